"""Loading: a folder of the embedded form gives the same model back, and damaged ones say what is wrong."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file

from descant.model import ModelError, load_model, tiny_model
from descant.model.checkpoints import load_codec, read_spec
from descant.model.checkpoints.embedded import load_folder
from descant.model.kernels.build import load


def write(folder, model):
    config = {
        "name": model.spec.name,
        "codec": {"kind": "tonebank", **asdict(model.spec.codec)},
        "lm": asdict(model.spec.lm),
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(model.codec.state_dict(), folder / "codec.safetensors")
    save_file(model.lm.state_dict(), folder / "lm.safetensors")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, tiny_model())


def edit_config(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def test_a_saved_model_comes_back_the_same(folder):
    model, loaded = tiny_model(), load_folder(folder, "fp32")
    assert loaded.spec == model.spec and len(loaded.weights_hash) == 64
    assert torch.equal(loaded.generate("piano", seconds=0.2), model.generate("piano", seconds=0.2))
    assert loaded.weights_hash == load_folder(folder).weights_hash
    assert not any(p.requires_grad for p in loaded.lm.parameters())


def test_what_is_missing_unexpected_or_misshapen_is_listed(folder):
    tensors = load_file(folder / "lm.safetensors")
    tensors["surplus"] = torch.zeros(1)
    del tensors["norm.bias"]
    tensors["heads.weight"] = torch.zeros(2, 3)
    save_file(tensors, folder / "lm.safetensors")
    with pytest.raises(ModelError) as error:
        load_folder(folder)
    for part in (
        "missing: norm.bias",
        "unexpected: surplus",
        "misshapen: heads.weight (2, 3) instead of (256, 32)",
    ):
        assert part in error.value.what
    assert error.value.still == "Nothing was loaded."


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("lm"), 'lacks "codec" or "lm"'),
        (lambda c: c["codec"].update(kind="pickle"), "'pickle'"),
        (lambda c: c["codec"].update(wings=2), "wings"),
        (lambda c: c["lm"].pop("dim"), "dim"),
        (lambda c: c["lm"].update(n_codebooks=5), "codebooks"),
        (lambda c: c["lm"].update(n_heads=5), "heads"),
    ],
)
def test_a_config_that_cannot_be_says_why(folder, change, says):
    edit_config(folder, change)
    with pytest.raises(ModelError) as error:
        load_folder(folder)
    assert says in error.value.what and len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("name", ["config.json", "codec.safetensors", "lm.safetensors"])
def test_missing_and_damaged_files_are_named(folder, name):
    (folder / name).write_bytes(b"\x00 not this")
    with pytest.raises(ModelError, match=name):
        load_folder(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        load_folder(folder)


def test_the_kernel_is_half_precision_unless_asked_otherwise(folder, monkeypatch, tmp_path):
    monkeypatch.delenv("DESCANT_KERNEL", raising=False)
    native = load().handle is not None
    assert load_folder(folder).lm.kernel == ("native-fp16" if native else "fp16")
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("DESCANT_CACHE", str(tmp_path / "empty"))
        assert load_folder(folder).lm.kernel == "fp16"  # nobody waits for a compiler
        assert not (tmp_path / "empty").exists()
    monkeypatch.setenv("DESCANT_KERNEL", "int8")
    assert load_folder(folder).lm.kernel == "int8"
    assert load_folder(folder, "fp32").lm.kernel == "fp32"
    monkeypatch.setenv("DESCANT_KERNEL", "fp8")
    with pytest.raises(ModelError, match="allowed: fp32, fp16, int8"):
        load_folder(folder)


def test_a_folder_of_this_form_loads_by_its_path(folder):
    model = load_model(str(folder), "fp32")
    assert model.weights_hash == load_folder(folder).weights_hash
    assert read_spec(str(folder)) == model.spec
    assert load_codec(str(folder)).spec == model.spec.codec


@pytest.mark.parametrize("name", ["", "gpt", "musicgen small", "../x", "a/b/c", "a/..", "-x/y", "x--y/z"])
def test_unknown_models_are_refused(name, monkeypatch, tmp_path):
    monkeypatch.setenv("DESCANT_MODELS", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="allowed: embedded, a folder, the id of a pulled model"):
        load_model(name)


def test_models_that_were_not_pulled_name_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("DESCANT_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match=r"not on this machine") as error:
        load_codec("facebook/encodec_24khz")
    assert error.value.do == "Pull it: descant models pull facebook/encodec_24khz"


def test_importing_the_model_package_stays_light():
    """Neither transformers nor sentence-transformers may be pulled in at run time: they cost seconds."""
    code = "import sys, descant.model as m; m.tiny_model().text.encode('a'); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"transformers", "sentence_transformers", "sklearn", "scipy"} & set(loaded)
