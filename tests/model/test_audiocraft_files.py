"""audiocraft's files: the same model as transformers' folder, read weights-only; what is wrong is named."""

from __future__ import annotations

import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from descant.model import ModelError, Sampling, load_model
from descant.model.checkpoints import convert, load_codec, packed_file, read_spec
from descant.model.checkpoints.audiocraft_config import AudiocraftConfig
from descant.model.columns import Form
from descant.model.kernels.build import load
from descant.model.kernels.native import NativeWeights
from descant.model.music_model import MusicModel
from descant.model.patterns import pattern_of
from tests.model.checkpoint_kit import (
    CARDINALITY,
    CODEC_YAML,
    DIM,
    STRANGE,
    TEXT_DIM,
    K,
    audiocraft_codec,
    audiocraft_lm,
    in_store,
    lm_yaml,
    make_codec,
    make_musicgen,
    make_t5,
    package,
    places,
    put,
    save,
    save_audiocraft,
    stub,
)

FAMILIES = {
    "text": (False, False),
    "melody": (True, False),
    "stereo": (False, True),
    "stereo melody": (True, True),
}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own, empty store of pulled models."""
    monkeypatch.setenv("DESCANT_MODELS", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def with_t5(store: Path) -> None:
    in_store(make_t5(), "google-t5/t5-base")


def same_weights(
    one: MusicModel, other: MusicModel, change: Callable[[Any], Any] = lambda value: value
) -> None:
    pairs: tuple[tuple[Any, Any], ...] = ((one.lm, other.lm), (one.codec, other.codec))
    for mine, theirs in pairs:
        assert set(mine.state_dict()) == set(theirs.state_dict())
        for name, value in mine.state_dict().items():
            assert torch.equal(value, change(theirs.state_dict()[name])), name


def refused(folder: Path, allow_pickle: bool = True) -> ModelError:
    with pytest.raises(ModelError) as error:
        load_model(str(folder), allow_pickle=allow_pickle)
    assert len(str(error.value).splitlines()) == 3
    return error.value


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_that_of_the_transformers_folder(with_t5: None, tmp_path: Path, family: str) -> None:
    melody, stereo = FAMILIES[family]
    theirs = make_musicgen(melody, stereo)
    reference = load_model(str(save(theirs, tmp_path / "transformers")))
    folder = save_audiocraft(tmp_path / "audiocraft", theirs, config=lm_yaml(melody, stereo))
    model = load_model(str(folder), allow_pickle=True)
    same_weights(model, reference)
    as_theirs = replace(model.spec.lm, positions="sinusoidal", text_padding=reference.spec.lm.text_padding)
    assert as_theirs == reference.spec.lm and model.spec.codec == reference.spec.codec
    assert model.spec.lm.positions == "sinusoidal_audiocraft" and model.spec.lm.text_padding == "zeros"
    assert model.text is not None and model.text.dim == TEXT_DIM
    assert model.generate("warm piano", seconds=0.1).shape == (2 if stereo else 1, 400)


@pytest.mark.parametrize("family", FAMILIES)
def test_converted_it_is_the_same_without_pickles(with_t5: None, tmp_path: Path, family: str) -> None:
    melody, stereo = FAMILIES[family]
    folder = save_audiocraft(
        tmp_path / "audiocraft", make_musicgen(melody, stereo), config=lm_yaml(melody, stereo), half=True
    )
    before = load_model(str(folder), allow_pickle=True)
    written = convert(str(folder), tmp_path / "converted")
    assert {path.name for path in written} == {"config.json", "lm.safetensors", "codec.safetensors"}
    assert load_file(tmp_path / "converted" / "lm.safetensors")["emb.0.weight"].dtype == torch.float16
    after = load_model(str(tmp_path / "converted"))
    same_weights(after, before)
    assert after.spec.lm == before.spec.lm
    assert read_spec(str(tmp_path / "converted")) == after.spec
    assert torch.equal(after.generate("slow", seconds=0.1), before.generate("slow", seconds=0.1))


@pytest.mark.skipif(load().handle is None, reason=f"no native library: {load().reason}")
def test_what_a_native_kernel_packs_of_it_is_kept(
    with_t5: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESCANT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packed_file, "SMALLEST", 0)
    folder = save_audiocraft(tmp_path / "audiocraft", make_musicgen())
    first = load_model(str(folder), "native-fp16", allow_pickle=True)
    packed: list[bool] = []
    monkeypatch.setattr(NativeWeights, "put_layer", lambda *_: packed.append(True))  # and packs nothing
    again = load_model(str(folder), "native-fp16", allow_pickle=True)
    assert not packed and again.weights_hash == first.weights_hash
    assert torch.equal(again.generate("slow", seconds=0.1), first.generate("slow", seconds=0.1))


def test_half_precision_and_both_spellings(with_t5: None, tmp_path: Path) -> None:
    theirs = make_musicgen()
    plain = load_model(str(save_audiocraft(tmp_path / "plain", theirs)), allow_pickle=True)
    half = load_model(str(save_audiocraft(tmp_path / "half", theirs, half=True)), allow_pickle=True)
    for name, value in half.lm.state_dict().items():
        assert torch.equal(value, plain.lm.state_dict()[name].half().float())
    new = package(audiocraft_codec(theirs.audio_encoder, new_spelling=True), CODEC_YAML)
    old = save_audiocraft(tmp_path / "old", theirs, codec=new, legacy=True)
    same_weights(load_model(str(old), allow_pickle=True), plain)


def test_a_stub_names_a_pulled_codec(with_t5: None, tmp_path: Path) -> None:
    theirs = make_musicgen(stereo=True)
    folder = save_audiocraft(tmp_path / "fine-tune", theirs, codec=stub(), config=lm_yaml(stereo=True))
    assert (folder / "compression_state_dict.bin").stat().st_size < 2000
    error = refused(folder)
    assert "names the codec facebook/encodec_32khz, which is not on this machine" in error.what
    assert error.do == "Pull it: descant models pull facebook/encodec_32khz"
    place = in_store(theirs.audio_encoder, "facebook/encodec_32khz")
    model = load_model(str(folder), allow_pickle=True)
    mono: Any = load_codec("facebook/encodec_32khz")
    codec: Any = model.codec
    assert (model.spec.channels, model.spec.n_codebooks) == (2, 2 * K)
    for name, value in mono.state_dict().items():
        assert torch.equal(codec.state_dict()[f"mono.{name}"], value)
    convert(str(folder), tmp_path / "converted")
    assert not (tmp_path / "converted" / "codec.safetensors").exists()
    same_weights(load_model(str(tmp_path / "converted")), model)
    (folder / "compression_state_dict.bin").unlink()  # its config names the codec, too
    same_weights(load_model(str(folder), allow_pickle=True), model)
    save(make_codec(codebook_size=16, target_bandwidths=[0.8]), place, tokenizer=False)
    assert "its codec has 4 of 16 for each" in refused(folder).what


def test_the_text_encoder_is_looked_for_among_pulled_models(tmp_path: Path) -> None:
    folder = save_audiocraft(tmp_path / "a", make_musicgen())
    error = refused(folder)
    assert "names the text encoder google-t5/t5-base" in error.what
    assert error.do == "Pull it: descant models pull google-t5/t5-base"
    theirs = make_t5()
    in_store(theirs, "google/flan-t5-small")
    other = save_audiocraft(tmp_path / "b", make_musicgen(), config=lm_yaml(name="google/flan-t5-small"))
    assert load_model(str(other), allow_pickle=True).text is not None


def test_several_text_encoders_are_joined(with_t5: None, tmp_path: Path) -> None:
    """Joined states through one projection are each one's own through its own."""
    theirs = make_musicgen()
    config = lm_yaml(cross="[description, genre]")
    config += "  genre:\n    model: t5\n    t5:\n      name: google/flan-t5-small\n"
    in_store(make_t5(seed=1), "google/flan-t5-small")
    state = audiocraft_lm(theirs)
    weight, bias = torch.randn(DIM, TEXT_DIM), torch.randn(DIM)
    state["condition_provider.conditioners.genre.output_proj.weight"] = weight
    state["condition_provider.conditioners.genre.output_proj.bias"] = bias
    folder = save_audiocraft(tmp_path / "a", theirs)
    torch.save(package(state, config), folder / "state_dict.bin")
    model = load_model(str(folder), allow_pickle=True)
    states = model.encode_text("warm piano").states
    assert model.lm.text_proj is not None and states.shape == (6, 2 * TEXT_DIM + 2)
    projected = model.lm.text_proj(states)
    torch.testing.assert_close(
        projected[:3], theirs.enc_to_dec_proj(states[:3, :TEXT_DIM]), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        projected[3:], states[3:, TEXT_DIM : 2 * TEXT_DIM] @ weight.T + bias, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("pattern", "kind", "delays"),
    [
        ("parallel", "parallel", (0, 0, 0, 0)),
        ("unroll", "flatten", (0, 3, 3, 3)),
        ("valle", "coarse_first", (0, 0, 0, 0)),
        ("coarse_first", "coarse_first", (0, 0, 1, 2)),
    ],
)
def test_every_pattern_is_read(
    with_t5: None, tmp_path: Path, pattern: str, kind: str, delays: tuple[int, ...]
) -> None:
    config = lm_yaml(modeling=pattern).replace(
        "codebooks_pattern:\n",
        "codebooks_pattern:\n  unroll:\n    flattening: [0, 1, 1, 1]\n    delays: [0, 3, 3, 3]\n"
        "  coarse_first:\n    delays: [0, 1, 2]\n",
    )
    model = load_model(
        str(save_audiocraft(tmp_path / "a", make_musicgen(), config=config)), allow_pickle=True
    )
    assert (model.spec.lm.pattern, model.spec.lm.delays) == (kind, delays)
    assert model.spec.lm.flattening == ((0, 1, 1, 1) if kind == "flatten" else None)


@pytest.mark.parametrize("stereo", [False, True])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"modeling": "musiclm"}, {"pattern": "grouped", "group_by": 2}),
        ({"modeling": "musiclm", "group_by": "1"}, {"pattern": "grouped", "group_by": 1}),
        ({"flatten_first": "3", "empty_initial": "2"}, {"flatten_first": 3, "empty_initial": 2}),
        ({"modeling": "parallel", "delays": "null"}, {"pattern": "parallel", "empty_initial": 1}),
    ],
)
def test_rare_patterns_are_read_and_stream_what_a_whole_pass_says(
    with_t5: None, tmp_path: Path, stereo: bool, changes: dict[str, str], expected: dict[str, Any]
) -> None:
    """Greedy, so that each code of the stream is the likeliest one after the columns before it."""
    options = f"  musiclm:\n    group_by: {changes.get('group_by', 2)}\n  parallel:\n    empty_initial: 1\n"
    config = lm_yaml(stereo=stereo, **{k: v for k, v in changes.items() if k != "group_by"})
    config = config.replace("codebooks_pattern:\n", "codebooks_pattern:\n" + options)
    folder = save_audiocraft(tmp_path / "a", make_musicgen(stereo=stereo), config=config)
    model = load_model(str(folder), allow_pickle=True)
    lm = model.spec.lm
    assert expected.items() <= asdict(lm).items()
    stream = model.stream("warm piano", sampling=Sampling(temperature=0.0, guidance=1.0), form=Form(11))
    audio = torch.cat([stream.step() for _ in range(11)], dim=-1)
    pattern = pattern_of(lm)
    columns = pattern.to_columns(stream.tokens[None], lm.special)
    with torch.inference_mode():
        logits = model.lm(columns, model.conditions("warm piano"))
    heard = pattern.holds(11)[:, 1:]
    assert torch.equal(logits[0, :, :-1].argmax(-1)[heard], columns[0, :, 1:][heard])
    assert audio.shape[0] == model.spec.channels == 1 + stereo


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dim": "33"}, "heads"),
        ({"modeling": "musiclm", "n_q": "3", "delays": "null"}, "Groups of 2 were asked for of 3 codebooks"),
        ({"empty_initial": "-1"}, "empty_initial -1; allowed: whole numbers from 0 to 1000"),
        ({"flatten_first": "true"}, "flatten_first True; allowed: whole numbers from 0"),
        ({"dim": "wide"}, "transformer_lm.dim 'wide'; allowed: whole numbers"),
        ({"num_layers": "3"}, "missing: transformer.layers.2.cross_attention.in_proj_weight"),
        ({"card": "64"}, "4 codebooks of 64 entries"),
        ({"n_q": "8"}, "8 codebooks of 32 entries for 1 channels; its codec has 4 of 32"),
        ({"norm_first": "false"}, "norm_first False; allowed: True"),
        ({"radix2_exp": "12"}, "radix2_exp 12; allowed: 14"),
        ({"norm_first": "null"}, "norm_first False; allowed: True"),
        ({"positional_embedding": "rope"}, "'rope'; allowed: 'sin'"),
        (
            {"modeling": "magnet"},
            "'magnet'; allowed: delay, parallel, unroll, coarse_first (or valle), musiclm",
        ),
        ({"delays": "[0, 1]"}, "delays (0, 1)"),
        ({"cross_attention_pos_emb": "true"}, "cross_attention_pos_emb True"),
        ({"sum": "[description]"}, "by sum; allowed: cross, prepend"),
        ({"cross": "[]"}, "in a way that no released MusicGen does"),
        ({"model": "lut"}, "of kind 'lut'; allowed: t5"),
        ({"per_timestep": "true", "use": "true"}, "per_timestep True"),
        ({"lm_model": "magnet"}, "'magnet'; allowed: 'transformer_lm'"),
        ({"sample_rate": "${nothing.there}"}, ""),
        ({"segment_duration": "${nothing.there}"}, "refers to nothing.there, which is not there"),
        ({"segment_duration": "${dataset.segment_duration}"}, "refers to itself"),
        ({"channels": "&one 1", "sample_rate": "*one"}, "YAML aliases"),
        ({"solver": "!!python/object/apply:os.system ['true']"}, "is no YAML"),
    ],
)
def test_a_config_that_cannot_be_says_why(
    with_t5: None, tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    melody = "radix2_exp" in changes
    config = lm_yaml(melody, **changes)
    folder = save_audiocraft(tmp_path / "a", make_musicgen(melody), config=config)
    if says:
        assert says in refused(folder).what
    else:
        load_model(str(folder), allow_pickle=True)  # nobody asked for what is wrong


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_a_config_it_loads_or_is_refused(with_t5: None, data: st.DataObject) -> None:
    folder = Path(os.environ["DESCANT_MODELS"]) / "any"
    theirs = make_musicgen(True)
    texts = {"state_dict.bin": lm_yaml(True), "compression_state_dict.bin": CODEC_YAML}
    states = dict(zip(texts, (audiocraft_lm(theirs), audiocraft_codec(theirs.audio_encoder))))
    changed = data.draw(st.sampled_from(sorted(texts)))
    tree = yaml.safe_load(texts[changed])
    at = data.draw(st.sampled_from(sorted(places(tree))))
    texts[changed] = yaml.safe_dump(put(tree, at, data.draw(st.sampled_from(STRANGE))))
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        torch.save(package(states[name], text), folder / name)
    try:
        load_model(str(folder), allow_pickle=True)
    except ModelError as error:
        assert error.still == "Nothing was loaded." and len(str(error).splitlines()) == 3


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("norm: weight_norm", "norm: layer_norm", "seanet.norm 'layer_norm'"),
        ("autoencoder: seanet", "autoencoder: dac", "'dac'; allowed: 'seanet'"),
        ("encoder: {}", "encoder: {n_filters: 8}", "another geometry"),
        ("renormalize: false", "renormalize: true", "renormalize True"),
        ("bins: 32", "bins: 64", "codec has 4 of 64"),
        ("n_filters: 4", "n_filters: 5", "misshapen: decoder.layers"),
        ("lstm: 2", "lstm: 1", "unexpected: decoder.layers.1.lstm"),
    ],
)
def test_a_codec_that_cannot_be_says_why(
    with_t5: None, tmp_path: Path, old: str, new: str, says: str
) -> None:
    theirs = make_musicgen()
    assert old in CODEC_YAML
    codec = package(audiocraft_codec(theirs.audio_encoder), CODEC_YAML.replace(old, new))
    assert says in refused(save_audiocraft(tmp_path / "a", theirs, codec=codec)).what


def test_what_is_missing_unexpected_or_misshapen_is_listed(with_t5: None, tmp_path: Path) -> None:
    theirs = make_musicgen()
    folder = save_audiocraft(tmp_path / "a", theirs)
    state = audiocraft_lm(theirs)
    del state["out_norm.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["emb.0.weight"] = torch.zeros(CARDINALITY, DIM)
    torch.save(package(state, lm_yaml()), folder / "state_dict.bin")
    what = refused(folder).what
    for part in (
        "missing: out_norm.bias",
        "unexpected: extra.weight",
        "misshapen: emb.0.weight (32, 32) instead",
    ):
        assert part in what


class Payload:
    """What an attacker would put into a pickle: an instruction to run when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("where", ["state_dict.bin", "compression_state_dict.bin"])
@pytest.mark.parametrize("form", ["archive", "old", "bare", "tensor dict"])
def test_a_payload_never_runs(
    with_t5: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, form: str
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # and not even then
    folder, target = save_audiocraft(tmp_path / "a", make_musicgen()), tmp_path / "it-ran"
    bad = Payload(target)
    if form == "bare":
        (folder / where).write_bytes(pickle.dumps(bad))
    elif form == "tensor dict":
        torch.save({"best_state": {"w": torch.zeros(1)}, "xp.cfg": lm_yaml(), "version": bad}, folder / where)
    else:
        torch.save(bad, folder / where, _use_new_zipfile_serialization=form == "archive")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch says that it heeds no such variable
        error = refused(folder)
        with pytest.raises(ModelError):
            convert(str(folder), tmp_path / "out")
    assert where in error.what and "nothing in the file was run" in error.still
    assert not target.exists() and not (tmp_path / "out").exists()
    pickle.loads(pickle.dumps(bad))  # noqa: S301 - the payload is a real one
    assert target.exists()


def test_pickles_are_not_even_opened_unless_asked_for(with_t5: None, tmp_path: Path) -> None:
    folder = save_audiocraft(tmp_path / "a", make_musicgen())
    (folder / "state_dict.bin").write_bytes(b"not read")
    error = refused(folder, allow_pickle=False)
    assert "it was not read" in error.what and f"descant models convert {folder} OUT" in error.do
    with pytest.raises(ModelError, match="it was not read"):
        load_model(str(folder / "state_dict.bin"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be read"),
        (b"\x80\x02", "cannot be read"),
        (b"PK\x03\x04 and then nothing", "cannot be read"),
        ([1, 2], "holds a list; allowed: a dict"),
        ({"xp.cfg": "a: 1"}, "holds no best_state; it has: xp.cfg"),
        ({"best_state": {"a": "text"}, "xp.cfg": "a: 1"}, "holds more than tensors: a"),
        ({"best_state": {"a": torch.zeros(1)}}, "is no text (xp.cfg)"),
        ({"best_state": {"a": torch.zeros(1)}, "xp.cfg": "[1"}, "is no YAML"),
        ({"best_state": {"a": torch.zeros(1)}, "xp.cfg": "1"}, "is no YAML mapping"),
        ({"best_state": {"a": torch.zeros(1)}, "xp.cfg": "x" * 2_000_000}, "is no text"),
        ({"best_state": {"a": torch.zeros(1)}, "xp.cfg": "[" * 1200}, "is no YAML"),
    ],
)
def test_files_that_are_no_checkpoint(with_t5: None, tmp_path: Path, content: Any, says: str) -> None:
    folder = save_audiocraft(tmp_path / "a", make_musicgen())
    if isinstance(content, bytes):
        (folder / "state_dict.bin").write_bytes(content)
    else:
        torch.save(content, folder / "state_dict.bin")
    assert says in refused(folder).what


def test_truncated_pickles_are_refused(with_t5: None, tmp_path: Path) -> None:
    folder = save_audiocraft(tmp_path / "a", make_musicgen())
    whole = (folder / "state_dict.bin").read_bytes()
    for length in range(0, len(whole), len(whole) // 12):
        (folder / "state_dict.bin").write_bytes(whole[:length])
        assert "state_dict.bin" in refused(folder).what
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("data.pkl", b"nonsense")
    (folder / "state_dict.bin").write_bytes(archive.getvalue())
    assert "cannot be read" in refused(folder).what


def test_converting_writes_all_or_nothing(with_t5: None, tmp_path: Path) -> None:
    folder, out = save_audiocraft(tmp_path / "a", make_musicgen()), tmp_path / "out"
    convert(str(folder), out)
    with pytest.raises(ModelError, match="is there already"):
        convert(str(folder), out)
    with pytest.raises(ModelError, match=r"holds neither state_dict.bin"):
        convert(str(out), tmp_path / "again")
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="cannot be written"):
        convert(str(folder), tmp_path / "file" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "file", "out", "store"]
    lm = out / "lm.safetensors"
    damaged = bytearray(lm.read_bytes())
    damaged[-3] ^= 1  # the last bits of one weight: only the manifest can tell
    lm.write_bytes(damaged)
    assert "is not what was pulled" in refused(out, allow_pickle=False).what


def test_a_transformers_folder_of_pickles_is_converted_too(tmp_path: Path) -> None:
    folder = save(make_musicgen(), tmp_path / "a")
    reference = load_model(str(folder))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    convert(str(folder), tmp_path / "out")
    same_weights(load_model(str(tmp_path / "out")), reference)


def test_references_in_a_config() -> None:
    config = AudiocraftConfig("a: {b: 3, c: '${a.b}', d: ['${a.c}', 4], e: 'x${a.b}'}\nf: null", "here")
    assert (config.number("a.c"), config.numbers("a.d"), config.get("a.e")) == (3, (3, 4), "x${a.b}")
    assert config.get("f", 5) == 5 and config.get("a.nothing", 6) == 6
    with pytest.raises(ModelError, match=r"lacks a\.nothing"):
        config.get("a.nothing")


def test_a_converted_folder_whose_config_was_changed(with_t5: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(str(save_audiocraft(tmp_path / "a", make_musicgen())), out)
    (out / "manifest.json").unlink()
    config = json.loads((out / "config.json").read_text())
    for change, says in (
        ({"lm": 3}, "describes no lm"),
        ({"lm": {}}, "is no text"),
        ({"codec": {}}, "names the codec"),
    ):
        (out / "config.json").write_text(json.dumps({**config, **change}))
        assert says in refused(out, allow_pickle=False).what
    (out / "config.json").write_text(json.dumps(config))
    (out / "codec.safetensors").unlink()
    assert "codec.safetensors" in refused(out, allow_pickle=False).what
