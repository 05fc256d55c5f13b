"""Recording live: takes begin and end with the sound, know what they are of, and survive whatever comes."""

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

from descant.host.edge.take_recorder import GAP_SECONDS, QUIET_SECONDS, About, TakeRecorder
from descant.host.edge.take_store import TakeStore
from descant.host.errors import TakeError

RATE = 8000
ABOUT = About("first", "tiny", "abc", 2**62)
LOUD = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 4 * RATE)).astype(np.float32)


def recorder(folder, about=ABOUT, tempo=90.0):
    return TakeRecorder(folder, RATE, 2, tempo, about)


def feed(takes, at, wave, block=512):
    for start in range(0, wave.shape[1], block):
        takes.heard(at + start, wave[:, start : start + block])
    return at + wave.shape[1]


def test_a_take_is_what_sounded_and_what_is_known_of_it(tmp_path):
    takes = recorder(tmp_path)
    takes.planned(0, "slow  jazz")
    quiet = np.zeros((2, RATE + 37), np.float32)
    at = feed(takes, 1000, quiet)
    at = feed(takes, at, LOUD)
    takes.planned(at, "loud rock")
    takes.noted(b"one")
    feed(takes, at + RATE, LOUD)  # a hole of a second
    takes.close()
    assert not takes.said
    with TakeStore(tmp_path) as store:
        (take,) = store.find()
        assert (take.prompt, take.model, take.weights_hash, take.seed, take.tempo) == (
            "slow jazz | loud rock", "tiny", "abc", 2**62, 90.0,
        )  # fmt: skip
        assert take.key == ""  # of noise
        assert take.number in takes.takes and take.name.endswith("slow jazz")
        wave, rate = soundfile.read(tmp_path / take.file, dtype="float32")
        assert rate == RATE and take.seconds == len(wave) / RATE
        hole = np.zeros((2, RATE), np.float32)
        np.testing.assert_array_equal(wave.T, np.concatenate((LOUD, hole, LOUD), axis=1))
        assert store.noted("first") == [b"one"]
        store.remove(take.number)
        assert store.noted("first") == [] and not list(tmp_path.glob("*.wav"))


def test_words_that_come_after_the_first_sound_are_the_takes_all_the_same(tmp_path):
    takes = recorder(tmp_path)
    at = feed(takes, 0, LOUD)
    deadline = time.monotonic() + 30
    while not takes.takes and time.monotonic() < deadline:
        time.sleep(0.01)
    takes.planned(1000, "slow jazz")
    with TakeStore(tmp_path) as store:  # another program looks, long before the row is due again
        while not store.find()[0].prompt and time.monotonic() < deadline:
            time.sleep(0.01)
        (take,) = store.find()
        assert take.prompt == "slow jazz" and take.name.endswith("slow jazz")
        assert store.rate(take.number, 3).rating == 3
    feed(takes, at, LOUD)
    takes.close()
    with TakeStore(tmp_path) as store:
        (take,) = store.find()
        assert (take.prompt, take.rating, take.seconds) == ("slow jazz", 3, 8.0)
        assert take.name.endswith("slow jazz") and (tmp_path / take.file).exists()


def test_long_silence_a_long_hole_or_another_session_begin_another_take(tmp_path):
    takes = recorder(tmp_path)
    at = feed(takes, 0, LOUD)
    at = feed(takes, at, np.zeros((2, int((QUIET_SECONDS + 1) * RATE)), np.float32))
    at = feed(takes, at, LOUD)
    feed(takes, int(at + (GAP_SECONDS + 1) * RATE), LOUD)
    at = feed(takes, 0, LOUD)  # back in time
    takes.goes_on_as(About("second"))
    feed(takes, at, LOUD)
    takes.close()
    with TakeStore(tmp_path) as store:
        found = store.find()
        assert [take.session for take in found] == ["second"] + 4 * ["first"] and len(takes.takes) == 5
        assert [take.seconds for take in found[:4]] == [4.0] * 4
        assert 4 < found[4].seconds < 4 + QUIET_SECONDS + 2


def test_silence_leaves_nothing_behind(tmp_path):
    takes = recorder(tmp_path)
    takes.noted(b"transport")
    feed(takes, 0, np.zeros_like(LOUD))
    takes.close()
    with TakeStore(tmp_path) as store:
        assert not takes.takes and not store.find() and not store.noted("first")


@contextmanager
def files_of(n_bytes):
    """A limit on file sizes stands for the disk: the system says no in the middle of a write."""
    before, old = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)


def test_a_file_that_is_full_is_followed_by_another(tmp_path):
    with files_of(10 * 8 * RATE):
        takes = recorder(tmp_path)
        for start in range(0, 40, 4):
            feed(takes, start * RATE, LOUD)
        takes.close()
    with TakeStore(tmp_path) as store:
        found = store.find()[::-1]
        waves = [soundfile.read(tmp_path / take.file, dtype="float32")[0].T for take in found]
        assert len(found) > 3 and not takes.said
        assert [take.seconds for take in found] == [wave.shape[1] / RATE for wave in waves]
        np.testing.assert_array_equal(np.concatenate(waves, axis=1), np.tile(LOUD, 10))


def test_a_full_disk_is_said_and_leaves_nothing_half_made(tmp_path):
    with TakeStore(tmp_path):
        pass  # the database is there
    takes = recorder(tmp_path)
    feed(takes, 0, LOUD)
    with files_of(100):
        feed(takes, 4 * RATE, LOUD)
        takes.close()
    assert takes.said and "Make room" in takes.said[0][2]
    with TakeStore(tmp_path) as store:
        for take in store.find():
            wave, _ = soundfile.read(tmp_path / take.file, dtype="float32")
            np.testing.assert_array_equal(wave.T, np.tile(LOUD, 2)[:, : len(wave)])
            assert len(wave) and take.seconds == len(wave) / RATE


def test_a_folder_that_cannot_be_is_said_and_holds_up_nobody(tmp_path):
    (tmp_path / "file").write_bytes(b"no folder")
    takes = recorder(tmp_path / "file")
    feed(takes, 0, LOUD)
    takes.close()
    (said,) = takes.said
    assert "cannot be kept" in said[0] and "--takes" in said[2] and not takes.takes


PROGRAM = """
import sys, numpy as np
from pathlib import Path
from descant.host.edge.take_recorder import About, TakeRecorder
takes = TakeRecorder(Path(sys.argv[1]), 8000, 2, 120.0, About("killed", seed=7))
for n in range(40):
    takes.heard(n * 800, np.full((2, 800), 0.5, np.float32))
while not any(path.stat().st_size > 8000 for path in Path(sys.argv[1]).glob("*.wav")):
    pass
print("recording", flush=True)
sys.stdin.readline()
"""


def test_what_another_process_records_is_left_alone_until_it_is_killed(tmp_path):
    words = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "recording\n"
        with TakeStore(tmp_path) as store:
            (take,) = store.find()
            assert store.said == [] and take.session == "killed"
            with pytest.raises(TakeError, match="being recorded"):
                store.remove(take.number)
        os.kill(process.pid, signal.SIGKILL)
    with TakeStore(tmp_path) as store:
        (take,) = store.find()
        wave, _ = soundfile.read(tmp_path / take.file)
        assert (take.seed, take.rating) == (7, 0) and take.seconds == len(wave) / RATE > 0
        assert (wave == 0.5).all()
