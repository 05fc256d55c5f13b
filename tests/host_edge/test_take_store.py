"""Takes on disk: whole after a kill, found, rated, exported; bad names, broken databases, full disks."""

import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from descant.host.edge.take_store import DATABASE, TakeStore
from descant.host.errors import TakeError
from descant.host.takes import Take, free_name, true_header, wav_header

WAVE = np.random.default_rng(1).uniform(-1, 1, (2, 4801)).astype(np.float32)


def recorded(store, name="take", **more):
    writer = store.begin(name, 48000, 2)
    assert writer.write(WAVE) and writer.write(WAVE[:, :100])
    writer.close()
    return store.keep(Take(name, "2026-01-01T00:00:00+00:00", writer.path.name, writer.seconds, **more))


@given(st.integers(1, 8), st.integers(8000, 192000), st.integers(0, 10**6), st.integers(0, 31))
def test_a_header_is_repaired_by_the_length_of_its_file(channels, rate, n, cut):
    true = wav_header(rate, channels, 4 * channels * n)
    assert true_header(true, len(true) + 4 * channels * n) is None
    stale = wav_header(rate, channels, 0)
    torn = len(true) + 4 * channels * n + min(cut, 4 * channels - 1)  # a sample was cut in the middle
    assert true_header(stale, torn) == (true if n else None)
    assert true_header(b"RIFF" + b"x" * 100, 1000) is None


def test_a_take_reads_back_bit_for_bit_and_is_found_rated_and_exported(tmp_path):
    with TakeStore(tmp_path) as store:
        take = recorded(store, "night walk", prompt="slow 50% jazz", key="Am", seed=2**62, events=b"\x00log")
        recorded(store, "other")
        wave, rate = soundfile.read(tmp_path / take.file, dtype="float32")
        np.testing.assert_array_equal(wave.T, np.concatenate((WAVE, WAVE[:, :100]), axis=1))
        assert rate == 48000 and take.seed == 2**62 and take.events == b"\x00log"
        assert [found.number for found in store.find("JAZZ night")] == [take.number]
        assert [found.name for found in store.find("50%")] == ["night walk"] and not store.find("5_%")
        assert store.rate(take.number, 4).rating == 4
        assert [found.name for found in store.find(at_least=3)] == ["night walk"]
        store.export(take.number, tmp_path / "copy.flac")
        flac, _ = soundfile.read(tmp_path / "copy.flac", dtype="float32")
        assert np.abs(flac - wave).max() < 2**-22
        for wrong in (lambda: store.get(99), lambda: store.rate(take.number, 6),
                      lambda: store.export(take.number, tmp_path / "x.mp3"),
                      lambda: store.export(take.number, tmp_path / "none" / "x.wav")):  # fmt: skip
            with pytest.raises(TakeError):
                wrong()
    with TakeStore(tmp_path / "again") as store:
        assert store.find() == []


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_an_export_takes_no_other_files_place(tmp_path, ending):
    mine = tmp_path / f"mine.{ending}"
    mine.write_bytes(b"somebody's work")
    with TakeStore(tmp_path / "takes") as store:
        take = recorded(store)
        with pytest.raises(TakeError, match="there already"):
            store.export(take.number, mine)
        assert mine.read_bytes() == b"somebody's work" and list(tmp_path.glob("mine*")) == [mine]
        other = tmp_path / f"take.{ending}"
        part = other.with_name(other.name + ".part")
        part.write_bytes(b"somebody's too")
        store.export(take.number, other)
        assert soundfile.info(other).samplerate == 48000 and part.read_bytes() == b"somebody's too"
        dangling = tmp_path / f"link.{ending}"
        dangling.symlink_to(tmp_path / "nowhere")
        with pytest.raises(TakeError, match="there already"):
            store.export(take.number, dangling)


def test_three_takes_of_one_name(tmp_path):
    with TakeStore(tmp_path) as store:
        assert [recorded(store, "a/b").name for _ in range(3)] == ["a/b", "a/b 2", "a/b 3"]
        assert len({take.file for take in store.find()}) == 3
    assert free_name("  ", []) == "take"


def test_what_was_recorded_when_it_was_killed_is_there(tmp_path):
    program = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from descant.host.edge.take_store import TakeStore\n"
        "writer = TakeStore(Path(sys.argv[1])).begin('killed', 48000, 2)\n"
        "while True:\n"
        "    writer.write(np.full((2, 480), 0.5, np.float32)); print(writer.n_samples, flush=True)\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        told = [int(process.stdout.readline()) for _ in range(50)][-1]
        os.kill(process.pid, signal.SIGKILL)
    with (tmp_path / "killed.wav").open("ab") as file:
        file.write(b"\x00" * 21)  # as if the end had come between sound and header, in the middle of a sample
    with TakeStore(tmp_path) as store:
        assert store.said == ["killed.wav was not closed; all that was recorded is there."]
        (take,) = store.find()
        wave, _ = soundfile.read(tmp_path / take.file)
        assert take.name == "killed" and len(wave) >= told and (wave[:told] == 0.5).all()
        assert take.seconds == pytest.approx(len(wave) / 48000)


def test_an_export_replaces_what_may_go_but_never_a_take(tmp_path):
    mine = tmp_path / "mine.wav"
    mine.write_bytes(b"what may go")
    with TakeStore(tmp_path / "takes") as store:
        take, other = recorded(store), recorded(store, "other")
        store.export(take.number, mine, replace=True)
        assert mine.read_bytes() == store.sound(take.number).read_bytes()
        for theirs in (take.file, other.file):
            before = (store.folder / theirs).read_bytes()
            with pytest.raises(TakeError, match="among the takes"):
                store.export(take.number, store.folder / theirs, replace=True)
            assert (store.folder / theirs).read_bytes() == before
        store.sound(take.number).unlink()
        for wrong in (
            lambda: store.sound(take.number),
            lambda: store.export(take.number, tmp_path / "x.flac"),
        ):
            with pytest.raises(TakeError, match="has gone"):
                wrong()
        assert not (tmp_path / "x.flac").exists() and store.get(take.number).file == take.file


def test_a_list_that_only_cannot_be_opened_now_stays_where_it_is(tmp_path):
    with TakeStore(tmp_path) as store:
        take = recorded(store, rating=4)
    database = tmp_path / DATABASE
    kept = tmp_path / "kept"
    database.rename(kept)
    database.mkdir()  # as a full disk or a lock is: no word about what is in the list
    with pytest.raises(TakeError, match="cannot be opened"):
        TakeStore(tmp_path)
    assert not list(tmp_path.glob("*.broken-*"))
    database.rmdir()
    kept.rename(database)
    with TakeStore(tmp_path) as store:
        assert store.get(take.number).rating == 4


def test_a_broken_database_is_set_aside_and_nothing_is_lost(tmp_path):
    with TakeStore(tmp_path) as store:
        recorded(store, "kept")
    (tmp_path / DATABASE).write_bytes(b"no database at all" * 100)
    with TakeStore(tmp_path) as store:
        assert [take.name for take in store.find()] == ["kept"]
        assert "could not be read" in store.said[0]
    assert list(tmp_path.glob(f"{DATABASE}.broken-*"))


def test_a_full_disk_loses_nothing_that_was_accepted(tmp_path):
    """A limit on file sizes stands for the disk: the system says no in the middle of a write."""
    with TakeStore(tmp_path) as store:
        assert store.low(48000, 2) == "" or "more minutes" in store.low(48000, 2)
        writer = store.begin("full", 48000, 2)
        assert writer.write(WAVE)
        before, old = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
        try:
            assert not writer.write(WAVE) and not writer.write(WAVE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, old)
        writer.close()
        assert "large" in writer.full
        wave, _ = soundfile.read(writer.path, dtype="float32")
        np.testing.assert_array_equal(wave.T, WAVE)
