"""Text encoders from files: as transformers saves them, with a real tokenizer; whatever is wrong is named."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    ClapTextConfig,
    ClapTextModelWithProjection,
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

from descant.model.checkpoints.spiece import read_spiece
from descant.model.checkpoints.tensors import StoredTensors
from descant.model.checkpoints.text_files import (
    audiocraft_quantizer,
    load_clap,
    load_t5,
    musicgen_text,
    weight_files,
)
from descant.model.checkpoints.tokenizer_files import FolderTokenizer
from descant.model.errors import ModelError

WORDS = ["▁warm", "▁piano", "▁drum", "s", "▁fi", "ne", "▁", *"abcdefghijklmnopqrstuvwxyz,.&"]
PIECES = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((w, -2.0 - 0.1 * i) for i, w in enumerate(WORDS))]
VOCABULARY = len(PIECES) + 100 + 3  # sentinels, and rows that no tokenizer uses
T5_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 12,
    "d_kv": 5,
    "num_heads": 3,
    "d_ff": 14,
    "num_layers": 2,
}
PROMPT = "warm piano, drums & ﬁne things"


def character_map() -> bytes:
    """SentencePiece's compiled map of one entry, the ligature ﬁ becoming fi: a double array and its texts."""
    key = "ﬁ".encode()
    units = [0] * 256 * (len(key) + 2)

    def unit(position: int, base: int, label: int, leaf: bool) -> int:
        return (position ^ base) << 10 | leaf << 8 | label

    units[0] = unit(0, 256, 0, False)
    for i, byte in enumerate(key):
        at = 256 * (i + 1) ^ byte
        units[at] = unit(at, 256 * (i + 2), byte, i == len(key) - 1)
    units[256 * (len(key) + 1)] = 1 << 31  # its text begins at byte 0
    return struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + b"fi\0"


def t5_tokenizer() -> Tokenizer:
    """A small T5 tokenizer.json, as the tokenizers library makes it; asked to pad and cut, which we undo."""
    extra = [f"<extra_id_{i}>" for i in reversed(range(100))]
    tokenizer = Tokenizer(models.Unigram([*PIECES, *((text, 0.0) for text in extra)], 2, False))
    tokenizer.normalizer = normalizers.Precompiled(character_map())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair=None, special_tokens=[("</s>", 1)]
    )
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>", *extra])
    tokenizer.enable_padding(length=50)
    tokenizer.enable_truncation(4)
    return tokenizer


def varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def field(number: int, value: int | float | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def spiece() -> bytes:
    """The same tokenizer as SentencePiece's own file, with fields that nobody needs between."""
    kinds = {"<pad>": 3, "</s>": 3, "<unk>": 2}
    pieces = b""
    for text, score in PIECES:
        kind = field(3, kinds[text]) if text in kinds else b""
        pieces += field(1, field(1, text.encode()) + field(2, score) + kind)
    trainer = field(2, field(3, 1) + field(4, VOCABULARY) + field(10, 0.5))
    return pieces + trainer + field(3, field(1, b"nmt_nfkc") + field(2, character_map()))


@pytest.fixture(scope="module")
def flan(tmp_path_factory) -> Path:
    """A FLAN-T5 with its decoder, as transformers saves it, and its tokenizer."""
    folder = tmp_path_factory.mktemp("flan")
    torch.manual_seed(1)
    config = T5Config(**T5_SHAPE, feed_forward_proj="gated-gelu", num_decoder_layers=1)
    T5ForConditionalGeneration(config).save_pretrained(folder)
    t5_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def copy(flan, tmp_path) -> Path:
    return Path(shutil.copytree(flan, tmp_path / "t5"))


def ids_of(prompt: str) -> torch.Tensor:
    tokenizer = t5_tokenizer()
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return torch.tensor([tokenizer.encode(prompt).ids])


def expected_states(model: Any, prompt: str) -> torch.Tensor:
    with torch.inference_mode():
        states: torch.Tensor = model.eval()(input_ids=ids_of(prompt)).last_hidden_state[0]
    return states


def test_a_folder_of_its_own_gives_the_states_of_transformers(flan):
    encoder = load_t5(flan)
    expected = expected_states(T5EncoderModel.from_pretrained(flan), PROMPT)
    states = encoder.encode(PROMPT)
    assert (
        encoder.dim == 12 and states.text == PROMPT and states.states.shape[0] == ids_of(PROMPT).shape[1] > 10
    )
    torch.testing.assert_close(states.states, expected, rtol=1e-5, atol=1e-5)
    assert encoder.encode("  ") is None


def test_prompts_are_cut_at_512_tokens_with_the_end_mark(flan):
    encoder = load_t5(flan)
    prompt = "q " * 900
    ids = ids_of(prompt)
    assert ids.shape[1] == 1801
    expected = T5EncoderModel.from_pretrained(flan).eval()(
        input_ids=torch.cat([ids[:, :511], torch.tensor([[1]])], dim=1)
    )
    torch.testing.assert_close(
        encoder.encode(prompt).states, expected.last_hidden_state[0].detach(), rtol=1e-5, atol=1e-5
    )


def test_shards_and_half_precision_and_either_name_of_the_table(flan, tmp_path):
    whole = load_t5(flan).encode(PROMPT).states
    model = T5EncoderModel.from_pretrained(flan)
    model.save_pretrained(tmp_path, max_shard_size="3KB")
    shutil.copy(flan / "tokenizer.json", tmp_path)
    assert len(weight_files(tmp_path)) > 3
    assert torch.equal(load_t5(tmp_path).encode(PROMPT).states, whole)
    tensors = load_file(flan / "model.safetensors")
    table = tensors.pop("shared.weight")
    for name in ("encoder.embed_tokens.weight", "shared.weight"):
        half = tmp_path / name
        half.mkdir()
        save_file({k: v.half() for k, v in {**tensors, name: table}.items()}, half / "model.safetensors")
        for file in ("config.json", "tokenizer.json"):
            shutil.copy(flan / file, half)
        states = load_t5(half).encode(PROMPT).states
        assert states.dtype == torch.float32
        torch.testing.assert_close(states, whole, rtol=0.02, atol=0.02)


def test_the_encoder_inside_a_musicgen(tmp_path):
    torch.manual_seed(2)
    codec = EncodecConfig(num_filters=2, hidden_size=4, codebook_size=8, target_bandwidths=[1.5])
    decoder = MusicgenDecoderConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, ffn_dim=8, num_codebooks=4
    )
    config = MusicgenConfig(
        text_encoder=T5Config(**T5_SHAPE).to_dict(), audio_encoder=codec.to_dict(), decoder=decoder.to_dict()
    )
    model = MusicgenForConditionalGeneration(config)
    model.save_pretrained(tmp_path)
    t5_tokenizer().save(str(tmp_path / "tokenizer.json"))
    saved = json.loads((tmp_path / "config.json").read_text())
    expected = expected_states(model.text_encoder, PROMPT)
    with StoredTensors([tmp_path / "model.safetensors"], "MusicGen") as stored:
        encoder = musicgen_text(stored, saved, tmp_path)
    torch.testing.assert_close(encoder.encode(PROMPT).states, expected, rtol=1e-5, atol=1e-5)
    tensors = load_file(tmp_path / "model.safetensors")
    assert torch.equal(
        musicgen_text(tensors, saved, tmp_path).encode(PROMPT).states, encoder.encode(PROMPT).states
    )
    with pytest.raises(ModelError, match=r"missing: encoder\.block"):
        musicgen_text({k: v for k, v in tensors.items() if "SelfAttention.o" not in k}, saved, tmp_path)
    for text in (None, {"model_type": "bert"}):
        with pytest.raises(ModelError, match=r"text_encoder None; allowed|'bert'; allowed"):
            musicgen_text(tensors, {**saved, "text_encoder": text}, tmp_path)


@pytest.fixture(scope="module")
def from_spiece(tmp_path_factory) -> Tokenizer:
    path = tmp_path_factory.mktemp("spiece") / "spiece.model"
    path.write_bytes(spiece())
    return read_spiece(path, VOCABULARY)


@pytest.fixture(scope="module")
def theirs() -> Any:
    return T5Tokenizer(vocab=_with_sentinels(), _spm_precompiled_charsmap=character_map())


def _with_sentinels() -> list[tuple[str, float]]:
    return [*PIECES, *((f"<extra_id_{i}>", 0.0) for i in reversed(range(100)))]


PARTS = st.sampled_from([*"warmpianod rufe ,.&\n\t  ﬁü東🎹<>/▁0", "</s>", "<pad>", "<extra_id_7>", "warm "])
LETTERS = st.lists(PARTS, max_size=30).map("".join)


@settings(deadline=None)
@given(LETTERS | st.text(max_size=30))
def test_sentencepieces_own_file_is_the_same_tokenizer(from_spiece, theirs, prompt):
    ids = from_spiece.encode(prompt).ids
    assert ids == theirs(prompt).input_ids
    assert ids == ids_of(prompt)[0].tolist() and ids[-1] == 1


def test_a_folder_with_spiece_model_alone_is_read(copy, flan):
    (copy / "tokenizer.json").unlink()
    (copy / "spiece.model").write_bytes(spiece())
    assert torch.equal(load_t5(copy).encode(PROMPT).states, load_t5(flan).encode(PROMPT).states)


@pytest.mark.parametrize("file", ["tokenizer.json", "spiece.model"])
def test_a_damaged_tokenizer_reads_prompts_or_says_so(copy, file):
    (copy / "tokenizer.json").unlink()
    whole = spiece() if file == "spiece.model" else t5_tokenizer().to_str().encode()

    @settings(deadline=None)
    @given(st.data())
    def damaged(data):
        content = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
        (copy / file).write_bytes(content[: data.draw(st.just(len(whole)) | st.integers(0, len(whole)))])
        with contextlib.suppress(ModelError):
            tokenizer = FolderTokenizer(copy, VOCABULARY, lambda ids: ids == [1])
            assert max(tokenizer.encode(PROMPT).ids) < VOCABULARY

    damaged()


def test_damage_that_shows_with_a_certain_letter_is_named_then(copy):
    table = bytearray(character_map())
    table[4 + 4 * (256 ^ "ﬁ".encode()[0]) + 3] ^= 64  # the ligature's first byte leads out of the array
    (copy / "tokenizer.json").unlink()
    (copy / "spiece.model").write_bytes(spiece().replace(character_map(), bytes(table)))
    encoder = load_t5(copy)
    assert encoder.encode("warm").states.shape == (2, 12)
    with pytest.raises(ModelError, match=r"spiece\.model is damaged: 'warm ﬁ' cannot be encoded"):
        encoder.encode("warm ﬁ")


def byte_tokenizer() -> Tokenizer:
    """A small RoBERTa tokenizer: bytes, <s> and </s> around."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: i for i, text in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    return tokenizer


def test_claps_text_tower_from_a_folder_with_a_quantizer(tmp_path):
    torch.manual_seed(3)
    config = ClapTextConfig(
        vocab_size=270,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=16,
        projection_dim=6,
    )
    model = ClapTextModelWithProjection(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer = byte_tokenizer()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    books = {f"q.vq.layers.{k}._codebook.embed": 0.4 * 0.6**k * torch.randn(32, 6) for k in range(12)}
    plain, quantized = load_clap(tmp_path), load_clap(tmp_path, audiocraft_quantizer(books, "q."))
    for prompt in ("Warm piano — über alles", "la " * 100):
        ids = tokenizer.encode(prompt.strip()).ids
        ids = [*ids[:76], 2] if len(ids) > 77 else ids
        with torch.inference_mode():
            expected = F.normalize(model(torch.tensor([ids])).text_embeds, dim=-1)
        torch.testing.assert_close(plain.encode(prompt).states, expected, rtol=1e-5, atol=1e-5)
        assert quantized.encode(prompt).states.shape == (1, 6) == (1, quantized.dim)
        assert 0 < float((quantized.encode(prompt).states - expected).norm()) < 0.5
    with pytest.raises(ModelError, match=r"shapes \[\]; allowed"):
        audiocraft_quantizer(books, "other.")
    books["q.vq.layers.3._codebook.embed"] = torch.ones(32, 5)
    with pytest.raises(ModelError, match=r"\(32, 5\), \(32, 6\)"):
        audiocraft_quantizer(books, "q.")


def _without(name):
    return lambda folder: (folder / name).unlink()


def _with(name, content):
    return lambda folder: (folder / name).write_bytes(
        content.encode() if isinstance(content, str) else content
    )


def _config(**values):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def _tensors(change):
    def changed(folder):
        path = folder / "model.safetensors"
        save_file(change(load_file(path)), path)

    return changed


def _index(content):
    def change(folder):
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))

    return change


def _unmarked(folder):
    tokenizer = t5_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair=None, special_tokens=[])
    tokenizer.save(str(folder / "tokenizer.json"))


NORM = "encoder.final_layer_norm.weight"
DAMAGE = {
    "no tokenizer": (_without("tokenizer.json"), "has no tokenizer.json"),
    "no config": (_without("config.json"), "config.json cannot be read"),
    "a list as config": (_with("config.json", "[1]"), "holds no JSON object"),
    "a deep config": (_with("config.json", "[" * 100_000), "cannot be read"),
    "another architecture": (_config(model_type="bart"), "'bart'; allowed"),
    "another width": (_config(d_model=13), r"misshapen: .*\(12,\) instead of \(13,\)"),
    "another flavour": (
        _config(feed_forward_proj="relu", dense_act_fn="relu"),
        "missing: .*wi.weight.*; unexpected",
    ),
    "no weights": (_without("model.safetensors"), "has no model.safetensors"),
    "cut weights": (_with("model.safetensors", b"\x10"), "cannot be read"),
    "a missing tensor": (_tensors(lambda t: {k: v for k, v in t.items() if k != NORM}), f"missing: {NORM}"),
    "an unknown tensor": (_tensors(lambda t: {**t, "encoder.x": t[NORM].clone()}), "unexpected: encoder.x"),
    "a NaN": (_tensors(lambda t: {**t, NORM: t[NORM] * torch.nan}), "not numbers"),
    "whole numbers": (_tensors(lambda t: {**t, NORM: t[NORM].to(torch.int8)}), "stored as torch.int8"),
    "no tokenizer inside": (_with("tokenizer.json", "{}"), "cannot be read as a tokenizer"),
    "bytes as tokenizer": (_with("tokenizer.json", b"\xff\x00"), "cannot be read as a tokenizer"),
    "a larger tokenizer": (_config(vocab_size=50), r"misshapen|ids up to"),
    "a tokenizer without end mark": (_unmarked, r"marks a blank prompt with \[\]"),
    "another tokenizer": (
        lambda f: byte_tokenizer().save(str(f / "tokenizer.json")),
        "ids up to 2",
    ),
    "an index outside": (_index({"weight_map": {"a": "../model.safetensors"}}), "none that lie beside it"),
    "an empty index": (_index({"weight_map": {}}), "lists no weight files"),
    "an index of numbers": (_index({"weight_map": {"a": 1}}), "lists no weight files"),
    "a missing shard": (
        _index({"weight_map": {"a": "b.safetensors"}}),
        r"lacks b.safetensors \(1 of 1 shards\)",
    ),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGE.values(), ids=DAMAGE.keys())
def test_what_is_wrong_in_a_folder_is_named(copy, damage, says):
    damage(copy)
    with pytest.raises(ModelError, match=says):
        load_t5(copy)
