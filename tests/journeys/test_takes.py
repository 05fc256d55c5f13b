"""What is played live is recorded: by the commands themselves, a real host and its model; killed, too."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from descant.host.edge.take_store import TakeStore
from descant.model.kernels.build import ready

pytestmark = pytest.mark.slow
DESCANT = [sys.executable, "-m", "descant.host.cli"]


def descant(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([*DESCANT, *words], capture_output=True, text=True, timeout=120)


def playing(folder, *more: str) -> subprocess.Popen:
    words = [*DESCANT, "play", "--threads", "1", "--takes", str(folder), "--prompt", "slow jazz piano", *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until_recorded(folder, seconds: float) -> float:
    """Wait until so much of a take is in its file; how much is."""
    for _ in range(6000):
        for path in folder.glob("*.wav"):
            try:
                length = soundfile.info(path).duration
            except RuntimeError:
                continue
            if length >= seconds:
                return length
        time.sleep(0.01)
    raise AssertionError("nothing was recorded")


def test_a_performance_becomes_a_take_that_is_found_rated_exported_and_removed(tmp_path):
    folder = tmp_path / "takes"
    process = playing(folder, "--seconds", "5", "--seed", "4")
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0 and "recorded: takes 1" in told, told
    listed = descant("takes", "list", "--takes", str(folder))
    assert "slow jazz piano" in listed.stdout and listed.returncode == 0
    shown = descant("takes", "show", "1", "--takes", str(folder)).stdout
    assert "seed     4" in shown and "embedded" in shown and "slow jazz piano" in shown
    assert "4 of 5" in descant("takes", "rate", "1", "4", "--takes", str(folder)).stdout
    assert "★★★★" in descant("takes", "find", "JAZZ", "--rating", "4", "--takes", str(folder)).stdout
    assert "No take like that" in descant("takes", "find", "polka", "--takes", str(folder)).stdout
    wav, flac = tmp_path / "mine.wav", tmp_path / "mine.flac"
    for out in (wav, flac):
        assert descant("takes", "export", "1", str(out), "--takes", str(folder)).returncode == 0
    wave, rate = soundfile.read(wav, dtype="float32")
    assert rate == 48000 and len(wave) > 2 * rate and np.abs(wave).max() > 0.01
    assert np.abs(soundfile.read(flac, dtype="float32")[0] - np.clip(wave, -1, 1)).max() < 2**-22
    rendered = tmp_path / "again.wav"
    made = descant("takes", "render", "1", "--out", str(rendered), "--takes", str(folder))
    assert made.stdout.strip().endswith("the recording bit for bit"), made.stdout + made.stderr
    np.testing.assert_array_equal(soundfile.read(rendered, dtype="float32")[0], wave)
    again = descant("takes", "export", "1", str(wav), "--takes", str(folder))
    assert again.returncode == 1 and len(again.stderr.strip().splitlines()) == 3
    assert descant("takes", "rm", "1", "--yes", "--takes", str(folder)).returncode == 0
    assert not list(folder.glob("*.wav"))
    missing = descant("takes", "show", "1", "--takes", str(folder))
    assert missing.returncode == 1 and missing.stderr.startswith("There is no take 1.")


@pytest.mark.skipif(not ready(), reason="no native library, so no other kernel")
def test_a_take_of_the_time_before_the_native_library_is_made_again_as_it_was(tmp_path, monkeypatch):
    folder, rendered = tmp_path / "takes", tmp_path / "again.wav"
    with monkeypatch.context() as before:
        before.setenv("DESCANT_KERNEL", "fp16")
        playing(folder, "--seconds", "3").communicate(timeout=120)
    made = descant("takes", "render", "1", "--out", str(rendered), "--takes", str(folder))
    assert made.stdout.strip().endswith("the recording bit for bit, with fp16"), made.stdout + made.stderr


def test_what_was_recorded_before_a_kill_is_a_take_at_the_next_start(tmp_path):
    folder = tmp_path / "takes"
    process = playing(folder)
    try:
        length = until_recorded(folder, 2.0)
        with TakeStore(folder) as store:  # another program looks while it is recorded
            assert store.said == [] and [take.prompt for take in store.find()] == ["slow jazz piano"]
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate(timeout=60)
    listed = descant("takes", "list", "--takes", str(folder))
    assert "slow jazz piano" in listed.stdout
    with TakeStore(folder) as store:
        (take,) = store.find()
        wave, rate = soundfile.read(folder / take.file)
        assert take.seconds == len(wave) / rate >= length and np.abs(wave).max() > 0.01
        assert take.weights_hash and take.prompt == "slow jazz piano" and take.tempo > 0


def test_nothing_is_recorded_where_that_is_not_wanted(tmp_path):
    process = playing(tmp_path / "takes", "--no-takes", "--seconds", "1")
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0 and "recorded" not in told and not (tmp_path / "takes").exists()
