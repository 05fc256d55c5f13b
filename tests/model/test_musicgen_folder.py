"""Folders that transformers saved: every family loads and is the same function; what is wrong is named."""

from __future__ import annotations

import gc
import json
import struct
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from descant.model import ModelError, load_model
from descant.model.checkpoints import load_codec, read_spec
from descant.model.checkpoints.memory import give_back
from descant.model.checkpoints.tensors import StoredTensors
from descant.model.codec.chunked import ChunkedEncodec
from descant.model.codec.codec import Codec
from tests.model.checkpoint_kit import (
    CARDINALITY,
    CHROMA_LENGTH,
    STRANGE,
    K,
    ids_of,
    make_codec,
    make_musicgen,
    make_t5,
    places,
    put,
    save,
)

FAMILIES = {
    "text": (False, False),
    "melody": (True, False),
    "stereo": (False, True),
    "stereo melody": (True, True),
}
CODECS: dict[str, dict[str, Any]] = {
    "24 kHz": {"use_causal_conv": True, "use_conv_shortcut": True, "target_bandwidths": [0.5, 1.0, 2.0]},
    "32 kHz": {},
    "48 kHz": {
        "use_conv_shortcut": True,
        "audio_channels": 2,
        "norm_type": "time_group_norm",
        "normalize": True,
        "chunk_length_s": 1.0,
        "overlap": 0.01,
        "target_bandwidths": [0.5, 1.0],
    },
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """transformers' models and where they were saved, by family."""
    root = tmp_path_factory.mktemp("saved")
    made = {name: make_musicgen(melody, stereo) for name, (melody, stereo) in FAMILIES.items()}
    return {name: (model, save(model, root / name.replace(" ", "-"))) for name, model in made.items()}


@pytest.fixture
def text_folder(folders: dict[str, tuple[Any, Path]], tmp_path: Path) -> Path:
    """A text model's folder that may be damaged."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in folders["text"][1].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def edit(folder: Path, change: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def refused(folder: Path, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as error:
        load_model(str(folder), **options)
    assert len(str(error.value).splitlines()) == 3
    return error.value


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_a_config_it_loads_or_is_refused(text_folder: Path, data: st.DataObject) -> None:
    path = text_folder / "config.json"
    whole = path.read_text()
    at = data.draw(st.sampled_from(sorted(places(json.loads(whole)))))
    try:
        path.write_text(json.dumps(put(json.loads(whole), at, data.draw(st.sampled_from(STRANGE)))))
        load_model(str(text_folder))
    except ModelError as error:
        assert error.still == "Nothing was loaded." and len(str(error).splitlines()) == 3
    finally:
        path.write_text(whole)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers(folders: Any, family: str) -> None:
    theirs, folder = folders[family]
    model = load_model(str(folder))
    melody, stereo = FAMILIES[family]
    n_codebooks = 2 * K if stereo else K
    assert model.spec.n_codebooks == n_codebooks and model.lm.kernel == "fp32"
    assert model.spec.lm.delays == ((0, 0, 1, 1, 2, 2, 3, 3) if stereo else (0, 1, 2, 3))
    assert model.spec.controls == (("text", "melody") if melody else ("text",))
    prompts = ["warm piano and slow drums", "drums"]  # one is padded
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, CARDINALITY + 1, (2, n_codebooks, 40), generator=draw)
    ids, mask = ids_of(prompts)
    given: dict[str, Any] = {}
    chroma = torch.nn.functional.one_hot(torch.arange(CHROMA_LENGTH) % 12, 12).float().expand(2, -1, -1)
    if melody:
        given["input_features"] = chroma
    with torch.inference_mode():
        expected = theirs(
            input_ids=ids, attention_mask=mask, decoder_input_ids=tokens.reshape(-1, 40), **given
        ).logits.view(2, n_codebooks, -1, CARDINALITY)[:, :, -40:]
        conditions = model.conditions(prompts)
        if melody:
            conditions = type(conditions)(
                conditions.text, conditions.text_mask, {"melody": chroma}, texts=conditions.texts
            )
        got = model.lm(tokens, conditions)
    assert expected.std() > 0.05
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_codec_is_theirs_and_the_model_makes_music(folders: Any, family: str) -> None:
    theirs, folder = folders[family]
    model = load_model(str(folder))
    assert isinstance(model.codec, Codec)
    channels = model.spec.channels
    codes = torch.randint(CARDINALITY, (1, model.spec.n_codebooks, 9))
    with torch.inference_mode():
        sides = [codes[:, side::channels] for side in range(channels)]
        expected = torch.cat(
            [theirs.audio_encoder.decode(side[None], [None]).audio_values for side in sides], dim=1
        )
        assert (model.codec.decode(codes) - expected).abs().max() <= 1e-5 * max(
            1.0, float(expected.abs().max())
        )
    wave = model.generate("warm piano", seconds=0.2, seed=1)
    assert wave.shape == (channels, 800) and torch.isfinite(wave).all()
    assert torch.equal(
        wave, load_model(str(folder / "config.json")).generate("warm piano", seconds=0.2, seed=1)
    )


@pytest.mark.parametrize("form", CODECS)
def test_codecs_load_by_themselves(tmp_path: Path, form: str) -> None:
    theirs = make_codec(**CODECS[form])
    folder = save(theirs, tmp_path / "codec", tokenizer=False)
    codec = load_codec(str(folder))
    assert codec.spec == read_spec(str(folder))
    wave = torch.randn(1, codec.spec.channels, 4700) * 0.3
    bandwidth = theirs.config.target_bandwidths[-1]
    with torch.no_grad():
        encoded = theirs.encode(wave, bandwidth=bandwidth)
        padding = encoded.last_frame_pad_length
        expected = theirs.decode(
            encoded.audio_codes, encoded.audio_scales, last_frame_pad_length=padding
        ).audio_values
    if isinstance(codec, ChunkedEncodec):
        chunks = codec.encode_scaled(wave)
        assert torch.equal(chunks[0].codes, encoded.audio_codes[0])
        decoded = codec.decode_scaled(chunks)
    else:
        codes = codec.encode(wave)
        assert torch.equal(codes, encoded.audio_codes[0])
        decoded = codec.decode(codes)
    assert (decoded[..., :4700] - expected[..., :4700]).abs().max() <= 1e-5
    lowest = load_codec(str(folder), bandwidth=theirs.config.target_bandwidths[0])
    assert lowest.spec.n_codebooks <= codec.spec.n_codebooks
    with pytest.raises(ModelError, match="makes no music"):
        load_model(str(folder))


def test_a_models_codec_can_be_had_alone(folders: Any) -> None:
    codec = load_codec(str(folders["stereo"][1]))
    assert (codec.spec.channels, codec.spec.n_codebooks) == (2, 2 * K)
    with pytest.raises(ModelError, match="is a model"):
        load_codec(str(folders["text"][1]), bandwidth=1.0)


def test_widths_that_need_no_projection(tmp_path: Path) -> None:
    """transformers leaves the projection out where text and decoder are equally wide."""
    theirs = make_musicgen(hidden_size=16)
    model = load_model(str(save(theirs, tmp_path / "model")))
    tokens = torch.randint(0, CARDINALITY, (1, K, 12))
    ids, mask = ids_of(["warm piano"])
    with torch.inference_mode():
        expected = theirs(input_ids=ids, attention_mask=mask, decoder_input_ids=tokens[0]).logits
        got = model.lm(tokens, model.conditions("warm piano"))
    torch.testing.assert_close(got[0], expected, rtol=1e-5, atol=5e-5)


def test_half_precision_shards_and_old_tensors(folders: Any, tmp_path: Path) -> None:
    theirs, folder = folders["text"]
    whole = load_model(str(folder))
    half = save(make_musicgen().half(), tmp_path / "half", max_shard_size="20KB")
    assert (half / "model.safetensors.index.json").is_file()
    loaded = load_model(str(half))
    for name, value in loaded.lm.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, whole.lm.state_dict()[name].half().float())
    tensors = load_file(folder / "model.safetensors")
    tensors["decoder.model.decoder.embed_positions.weights"] = torch.zeros(64, 32)
    old = save(theirs, tmp_path / "old")
    save_file(tensors, old / "model.safetensors")
    assert torch.equal(load_model(str(old)).lm.embedding, whole.lm.embedding)


def test_what_a_config_leaves_out_is_as_transformers_means_it(text_folder: Path) -> None:
    dropped = {"decoder": ("activation_function", "tie_word_embeddings", "scale_embedding", "audio_channels")}
    dropped["audio_encoder"] = (
        "norm_type",
        "kernel_size",
        "pad_mode",
        "compress",
        "trim_right_ratio",
        "overlap",
    )

    def change(config: dict[str, Any]) -> None:
        for part, names in dropped.items():
            for name in names:
                config[part].pop(name)

    before = load_model(str(text_folder)).spec
    edit(text_folder, change)
    assert load_model(str(text_folder)).spec == before


def test_pickled_weights_only_when_asked_for(text_folder: Path) -> None:
    tensors = load_file(text_folder / "model.safetensors")
    (text_folder / "model.safetensors").unlink()
    torch.save(tensors, text_folder / "pytorch_model.bin")
    error = refused(text_folder)
    assert "pickle" in error.what and "descant models convert" in error.do
    model = load_model(str(text_folder), allow_pickle=True)
    assert torch.equal(model.lm.norm.bias, tensors["decoder.model.decoder.layer_norm.bias"])
    torch.save({**tensors, "note": "hello"}, text_folder / "pytorch_model.bin")
    assert "note" in refused(text_folder, allow_pickle=True).what


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(model_type="bark"), "'bark'; allowed: descant, musicgen, musicgen_melody"),
        (lambda c: c.pop("model_type"), "None; allowed: descant, musicgen"),
        (lambda c: c["decoder"].update(num_codebooks=5), "5 codebooks"),
        (lambda c: c["decoder"].update(vocab_size=31), "pad_token_id 32"),
        (lambda c: c["decoder"].update(vocab_size=64, pad_token_id=64), "64 entries"),
        (
            lambda c: c["decoder"].update(audio_channels=2),
            "2 codebooks of 32 entries for each channel and a codec of 4",
        ),
        (lambda c: c["decoder"].update(audio_channels=3), "audio_channels 3; allowed"),
        (lambda c: c["decoder"].update(hidden_size="wide"), "'wide'"),
        (lambda c: c["decoder"].update(num_attention_heads=5), "5 heads"),
        (lambda c: c["decoder"].update(num_hidden_layers=3), "missing: decoder.model.decoder.layers.2"),
        (lambda c: c["decoder"].update(num_hidden_layers=10**9), "allowed: whole numbers"),
        (lambda c: c["decoder"].update(activation_function="relu"), "'relu'; allowed: 'gelu'"),
        (lambda c: c["decoder"].update(ffn_dim=65), "misshapen: decoder.model.decoder.layers.0.fc1.weight"),
        (lambda c: c["audio_encoder"].update(model_type="dac"), "'dac'; allowed: 'encodec'"),
        (lambda c: c["audio_encoder"].update(num_filters=8), "misshapen: decoder.layers"),
        (lambda c: c["audio_encoder"].update(upsampling_ratios=[]), "upsampling_ratios"),
        (lambda c: c["audio_encoder"].update(upsampling_ratios="4"), "upsampling_ratios '4'"),
        (lambda c: c["audio_encoder"].update(num_residual_layers=0), "num_residual_layers 0"),
        (lambda c: c["audio_encoder"].update(chunk_length_s=1.0), "mono and one piece"),
        (lambda c: c["audio_encoder"].update(target_bandwidths="all"), "no config of an EnCodec"),
        (lambda c: c["text_encoder"].update(model_type="bert"), "bert"),
        (lambda c: c.pop("text_encoder"), "text_encoder"),
    ],
)
def test_a_config_that_cannot_be_says_why(text_folder: Path, change: Any, says: str) -> None:
    edit(text_folder, change)
    assert says in refused(text_folder).what


def test_what_is_missing_unexpected_or_misshapen_is_listed(text_folder: Path) -> None:
    tensors = load_file(text_folder / "model.safetensors")
    del tensors["decoder.lm_heads.3.weight"]
    tensors["decoder.surplus"] = torch.zeros(1)
    tensors["enc_to_dec_proj.bias"] = torch.zeros(3)
    save_file(tensors, text_folder / "model.safetensors")
    what = refused(text_folder).what
    for part in (
        "missing: decoder.lm_heads.3.weight",
        "unexpected: decoder.surplus",
        "misshapen: enc_to_dec_proj.bias (3,) instead of (32,)",
    ):
        assert part in what
    codec = "audio_encoder.encoder.layers.0.conv.parametrizations.weight.original0"
    tensors = load_file(text_folder / "model.safetensors")
    tensors["decoder.lm_heads.3.weight"] = torch.zeros(CARDINALITY, 32)
    tensors["enc_to_dec_proj.bias"] = torch.zeros(32)
    del tensors["decoder.surplus"], tensors[codec]
    save_file(tensors, text_folder / "model.safetensors")
    assert "missing: encoder.layers.0.conv.weight_g" in refused(text_folder).what


def test_missing_files_are_named(text_folder: Path) -> None:
    for name in ("tokenizer.json", "model.safetensors", "config.json"):
        (text_folder / name).rename(text_folder / "away")
        assert name in refused(text_folder).what
        (text_folder / "away").rename(text_folder / name)
    (text_folder / "config.json").write_text("{")
    assert "cannot be read" in refused(text_folder).what
    with pytest.raises(ModelError, match="holds no model"):
        load_model(str(text_folder.parent))


def test_a_text_encoder_is_no_model(tmp_path: Path) -> None:
    folder = save(make_t5(), tmp_path / "t5")
    assert "text encoder (t5)" in refused(folder).what
    assert read_spec(str(folder)) is None


@pytest.mark.parametrize("part", ["decoder.", "enc_to_dec_proj.", "audio_encoder.", "text_encoder."])
def test_weights_of_whole_numbers_are_refused(text_folder: Path, part: str) -> None:
    stored = load_file(text_folder / "model.safetensors")
    name = next(n for n in stored if n.startswith(part) and n.endswith(("weight", "bias")))
    save_file({**stored, name: stored[name].to(torch.int8)}, text_folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"stored as torch\.int8; allowed: float32"):
        load_model(str(text_folder))


def test_weights_that_are_not_numbers_are_refused(text_folder: Path) -> None:
    tensors = load_file(text_folder / "model.safetensors")
    tensors["decoder.lm_heads.1.weight"][3, 4] = float("nan")
    save_file(tensors, text_folder / "model.safetensors")
    assert "decoder.lm_heads.1.weight holds values that are not numbers" in refused(text_folder).what


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_cut_or_flipped_files_never_half_load(text_folder: Path, data: st.DataObject) -> None:
    """A cut file is refused; a flipped bit of the header, too, unless it is harmless. Of a flipped bit of the
    data only a manifest can tell: see the model store's tests."""
    path = text_folder / "model.safetensors"
    whole = path.read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    try:
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        refused(text_folder)
        at = data.draw(st.integers(0, header - 1))
        path.write_bytes(
            whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :]
        )
        try:
            load_model(str(text_folder))
        except ModelError as error:
            assert error.still == "Nothing was loaded."
    finally:
        path.write_bytes(whole)


def test_a_failed_load_gives_its_memory_back(text_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the error is still held, as a terminal or a test holds it, no tensor of the file is."""
    given_out: list[weakref.ref[torch.Tensor]] = []
    real = StoredTensors.__getitem__

    def watched(self: StoredTensors, name: str) -> torch.Tensor:
        value = real(self, name)
        given_out.append(weakref.ref(value))
        return value

    monkeypatch.setattr(StoredTensors, "__getitem__", watched)
    weights = load_file(text_folder / "model.safetensors")
    weights["decoder.lm_heads.3.weight"][0, 0] = torch.nan  # found out when almost all has been read
    save_file(weights, text_folder / "model.safetensors", {"format": "pt"})
    del weights
    error = refused(text_folder)
    gc.collect()
    assert len(given_out) > 100 and not [ref for ref in given_out if ref() is not None]
    assert error.__context__ is None and error.__cause__ is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_failed_load_gives_its_memory_back_to_the_machine(tmp_path: Path) -> None:
    """By the process's own anonymous memory, for a file large enough to show."""

    def used() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

    theirs = make_musicgen(hidden_size=384, ffn_dim=6000, num_hidden_layers=8)
    folder = save(theirs, tmp_path / "large")
    stored = load_file(folder / "model.safetensors")
    stored["audio_encoder.decoder.layers.0.conv.bias"][0] = float("nan")  # when the others have been read
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    size = (folder / "model.safetensors").stat().st_size
    del theirs, stored
    give_back()
    before = used()
    error = refused(folder)
    assert "not numbers" in error.what and size > 100e6
    assert used() - before < size / 5


def test_names_of_models(folders: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DESCANT_MODELS", str(tmp_path))
    folder = folders["text"][1]
    assert load_model(str(folder)).spec.name == "text"
    monkeypatch.chdir(folder)
    assert load_model(".").spec.name == "text"
    with pytest.raises(ModelError) as error:
        load_model("facebook/musicgen-small")
    assert "not on this machine" in error.value.what
    assert error.value.do == "Pull it: descant models pull facebook/musicgen-small"


def test_the_kernel_is_exact_unless_asked_otherwise(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(folders["text"][1])
    monkeypatch.delenv("DESCANT_KERNEL", raising=False)
    assert load_model(folder).lm.kernel == "fp32"
    monkeypatch.setenv("DESCANT_KERNEL", "int8")
    assert load_model(folder).lm.kernel == "int8"
    assert load_model(folder, "fp16").lm.kernel == "fp16"
    with pytest.raises(ModelError, match="allowed: fp32, fp16, int8"):
        load_model(folder, "fp8")
