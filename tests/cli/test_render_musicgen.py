"""`descant render` with a MusicGen that was pulled: its melody, its guidance, and all that can be wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from descant.host.resample import Resampler
from descant.model import Sampling, load_model
from descant.model.checkpoints.pulled import MANIFEST, Manifest, StoredFile
from descant.model.checkpoints.tensors import file_hash
from tests.cli.conftest import Run
from tests.model.checkpoint_kit import in_store, make_musicgen

NAME, RATE = "facebook/musicgen-melody", 8000
PLAIN = "facebook/musicgen-small"
Fails = Callable[..., list[str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pulled models: a musicgen-melody and a musicgen-small, tiny, as transformers saves them."""
    store = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESCANT_MODELS", str(store))
        in_store(make_musicgen(melody=True), NAME)
        in_store(make_musicgen(), PLAIN)
    return store


@pytest.fixture
def store(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, to be spoilt; no hub anywhere."""
    shutil.copytree(made, tmp_path / "models")
    monkeypatch.setenv("DESCANT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody is there
    return tmp_path / "models"


def hum(path: Path, hz: float) -> Path:
    time = np.arange(2 * RATE) / RATE
    wave = 0.4 * sum(np.sin(2 * np.pi * hz * n * time) / n for n in (1, 2, 3))
    soundfile.write(path, wave.astype(np.float32), RATE, subtype="FLOAT")
    return path


def rendered(run: Run, path: Path, *more: object) -> np.ndarray:
    words = ("render", "-p", "slow piano", "--seconds", "0.6", "--rate", RATE, "--seed", "7", *more)
    code, _, err = run(*words, "--out", path)
    assert code == 0, err
    wave: np.ndarray = soundfile.read(path, dtype="float32")[0]
    return wave


def test_a_hum_steers_a_pulled_melody_model(store: Path, run: Run, tmp_path: Path) -> None:
    low, high = hum(tmp_path / "low.wav", 220.0), hum(tmp_path / "high.wav", 330.0)
    model = ("--model", NAME)
    waves = [
        rendered(run, tmp_path / "out.wav", *model, *more)
        for more in (("--melody", low), ("--melody", low), ("--melody", high), ())
    ]
    assert np.array_equal(waves[0], waves[1]) and np.abs(waves[0]).max() > 0
    for other in waves[2:]:
        assert not np.array_equal(waves[0], other)


def test_double_guidance_is_that_of_the_python_interface(store: Path, run: Run, tmp_path: Path) -> None:
    path = hum(tmp_path / "hum.wav", 220.0)
    words = ("--model", NAME, "--melody", path, "--set", "temperature=0", "--set", "guidance=4")
    ours = rendered(run, tmp_path / "out.wav", *words, "--set", "beta=2.5")
    weak = rendered(run, tmp_path / "out.wav", *words, "--set", "beta=0.2")
    plain = rendered(run, tmp_path / "out.wav", *words)
    two_step = rendered(run, tmp_path / "out.wav", *words, "--set", "beta=2.5", "--two-step")
    assert not np.array_equal(ours, weak) and not np.array_equal(ours, plain)
    assert np.abs(ours - two_step).max() < 1e-4 < np.abs(ours).max()
    wave = soundfile.read(path, dtype="float32")[0]
    sampling = Sampling(temperature=0.0, guidance=4.0, beta=2.5)
    stream = load_model(NAME).stream("slow piano", (wave[None], RATE), sampling=sampling, guided="double")
    theirs = np.concatenate([stream.step().numpy() for _ in range(40)], axis=1)
    resampled = Resampler(stream.spec.sample_rate, RATE).render(theirs, 0, 0, len(ours))[0]
    # one bar at the preset's 120 bpm is the whole hum: the host gives the model the same melody
    assert np.abs(ours - resampled)[24:].max() < 1e-5  # without the 3 ms in which the host's music rises


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[20] ^= 1 << 3
    path.write_bytes(bytes(content))


def _config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))

    return spoil


def _reshape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["decoder.model.decoder.layer_norm.bias"] = torch.zeros(3)
    save_file(tensors, folder / "model.safetensors")


def _drop_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["decoder.model.decoder.layer_norm.bias"]
    save_file(tensors, folder / "model.safetensors")


class Payload:
    """What an attacker would put into a pickle: an instruction to run when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.target),)


def _payload(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"w": Payload(folder / "it-ran")}, folder / "pytorch_model.bin")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (_cut, "cannot be read"),
    "a bit flipped": (_flip, "cannot be read"),
    "unknown architecture": (_config(lambda c: c.update(model_type="bark")), "'bark'; allowed: "),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json"),
    "codebooks that do not fit": (_config(lambda c: c["decoder"].update(num_codebooks=5)), "5 codebooks"),
    "misshapen": (_reshape, "misshapen: "),
    "missing": (_drop_tensor, "missing: "),
    "a pickle with a payload": (_payload, "pickle"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_checkpoint_is_told_in_three_lines(
    store: Path, fails: Fails, tmp_path: Path, case: str
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(store / "facebook--musicgen-melody", folder)
    (folder / MANIFEST).unlink()
    spoil, said = BAD[case]
    spoil(folder)
    what, still, _ = fails("render", "-p", "piano", "-s", "0.5", "--model", folder, "--out", "OUT")
    assert said in what and still == "Nothing was loaded."
    assert not (folder / "it-ran").exists()


def test_a_pulled_file_that_has_changed_since_is_refused(store: Path, fails: Fails) -> None:
    path = store / "facebook--musicgen-melody" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    what, _, do = fails("render", "-p", "piano", "-s", "0.5", "--model", NAME, "--out", "OUT")
    assert "model.safetensors" in what and "pull" in do


def test_what_a_pulled_manifest_says_is_what_lies_there(store: Path) -> None:
    """The store of these tests is laid out as `descant models pull` leaves it."""
    for folder in store.iterdir():
        known = json.loads((folder / MANIFEST).read_text())
        files = tuple(StoredFile(**row) for row in known.pop("files"))
        assert Manifest(**known, files=files).id in (NAME, PLAIN)
        assert all(file_hash([folder / file.name]) == file.sha256 for file in files)


def test_a_melody_for_a_model_without(store: Path, fails: Fails, tmp_path: Path) -> None:
    path = hum(tmp_path / "hum.wav", 220.0)
    what, _, do = fails("render", "--melody", path, "-s", "0.5", "--model", PLAIN, "--out", "OUT")
    assert "melody" in what and do


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--set", "beta=2"), "there is none"),
        (("--set", "beta=21"), "allowed: 0..20"),
        (("--two-step", "--set", "guidance=1"), "there is one row"),
    ],
)
def test_guidance_that_could_do_nothing_is_refused_before_any_work(
    fails: Fails, more: tuple[str, ...], said: str
) -> None:
    words = ("render", "-p", "piano", "--model", "nothere", *more)  # not even the model is looked for
    assert said in fails(*words, "--out", "OUT")[0]


@pytest.mark.parametrize("name", ["facebook/musicgen-huge", "../etc", "no such folder"])
def test_a_model_that_is_not_there(store: Path, fails: Fails, name: str) -> None:
    what, still, do = fails("render", "-p", "piano", "--model", name, "--out", "OUT")
    assert name in what and still and do
