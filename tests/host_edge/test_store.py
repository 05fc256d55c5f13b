"""Sound files: what is refused and how, and that nothing half-written is ever left."""

import errno
import os
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from descant.host.edge import store
from descant.host.edge.whole import check_writable, whole_file, whole_files
from descant.host.errors import HostError

RATE = 16_000


def tone(seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def refused(path: Path, **bounds: float) -> HostError:
    with pytest.raises(HostError) as caught:
        store.read_wav(path, **bounds)
    lines = str(caught.value).split("\n")
    assert len(lines) == 3 and all(lines)
    assert str(path) in lines[0]
    return caught.value


def test_a_good_file_is_read_as_channels_by_samples(tmp_path: Path) -> None:
    stereo = np.stack([tone(), tone(level=0.25)])
    soundfile.write(tmp_path / "a.wav", stereo.T, RATE, subtype="FLOAT")
    clip = store.read_wav(tmp_path / "a.wav")
    assert clip.sample_rate == RATE and clip.warnings == () and clip.seconds == 0.5
    np.testing.assert_array_equal(clip.wave, stereo)
    assert clip.wave.dtype == np.float32 and clip.wave.flags["C_CONTIGUOUS"]


def test_missing_folder_empty_and_foreign_files_are_refused(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.wav").what
    assert "folder" in refused(tmp_path).what
    (tmp_path / "empty.wav").touch()
    assert "empty" in refused(tmp_path / "empty.wav").what
    (tmp_path / "words.wav").write_text("this is no sound\n" * 100)
    assert "not a sound file" in refused(tmp_path / "words.wav").what
    soundfile.write(tmp_path / "header.wav", np.zeros(0, np.float32), RATE)
    assert "0 samples" in refused(tmp_path / "header.wav").what


def test_a_rate_that_nothing_here_takes_is_refused_by_the_files_name(tmp_path: Path) -> None:
    for rate in (4_000, 7_999, 384_001):
        soundfile.write(tmp_path / "slow.wav", tone(), rate)
        assert f"sample rate is {rate} Hz; allowed: 8000..384000" in refused(tmp_path / "slow.wav").what
    soundfile.write(tmp_path / "slow.wav", tone(), 8_000)
    assert store.read_wav(tmp_path / "slow.wav").sample_rate == 8_000


def test_a_truncated_file_gives_what_it_holds_or_an_error_but_never_more(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0), RATE)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    assert 0.4 < store.read_wav(tmp_path / "cut.wav").seconds < 0.6
    (tmp_path / "cut.wav").write_bytes(whole[:20])
    refused(tmp_path / "cut.wav")


def test_silent_nan_and_infinite_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE, np.float32), RATE)
    assert "every sample is 0" in refused(tmp_path / "silent.wav").what
    soundfile.write(tmp_path / "faint.wav", tone(level=1e-5), RATE, subtype="FLOAT")
    assert "-100 dBFS" in refused(tmp_path / "faint.wav").what
    for bad in (np.nan, np.inf):
        wave = tone()
        wave[100:103] = bad
        soundfile.write(tmp_path / "bad.wav", wave, RATE, subtype="FLOAT")
        assert "3 samples that are not numbers" in refused(tmp_path / "bad.wav").what


def test_a_clipped_file_is_taken_with_a_warning(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", np.clip(tone(level=4.0), -1, 1), RATE)
    clip = store.read_wav(tmp_path / "loud.wav")
    assert len(clip.warnings) == 1 and "clipped" in clip.warnings[0]


def test_three_hours_are_refused_from_the_header_alone(tmp_path: Path) -> None:
    n_bytes = 3 * 3600 * RATE * 2
    fmt = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    riff = b"RIFF" + struct.pack("<I", 36 + n_bytes) + b"WAVEfmt " + struct.pack("<I", 16) + fmt
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.write(riff + b"data" + struct.pack("<I", n_bytes))
        file.truncate(44 + n_bytes)  # sparse: three hours that take no room on the disk
    assert "3.0 hours" in refused(path).what
    assert "10 minutes" in refused(path).what


def test_the_bound_is_the_callers(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0), RATE)
    assert store.read_wav(tmp_path / "a.wav", max_seconds=1.0).seconds == 1.0
    refused(tmp_path / "a.wav", max_seconds=0.9)


def test_what_is_written_reads_back_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    for level, tolerance in ((0.5, 2**-23), (1.5, 0.0)):
        wave = np.stack([tone(level=level), tone(level=level / 2)])
        store.write_wav(tmp_path / "out.wav", wave, RATE)
        back, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
        assert rate == RATE
        np.testing.assert_allclose(back.T, wave, atol=tolerance, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"old")
    with pytest.raises(HostError), whole_file(path) as part:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as part:
        part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["out.wav"]


def test_places_that_cannot_be_written_are_found_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "fine.wav")
    assert list(tmp_path.iterdir()) == []
    for path in (tmp_path, tmp_path / "no" / "folder.wav", Path("/proc/nothing.wav"), tmp_path / ("x" * 300)):
        with pytest.raises(HostError) as caught:
            check_writable(path)
        assert str(path) in str(caught.value)


def test_only_regular_files_are_replaced(tmp_path: Path) -> None:
    """A pipe or a socket at that name, or behind a link of that name, is refused and stays what it is."""
    pipe, link = tmp_path / "pipe.wav", tmp_path / "link.wav"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    with socket.socket(socket.AF_UNIX) as heard:
        heard.bind(str(tmp_path / "heard.wav"))
        for path, what in ((pipe, "a pipe"), (link, "a pipe"), (tmp_path / "heard.wav", "a socket")):
            before = path.stat()
            with pytest.raises(HostError, match=what):
                store.check_sound_file(path)
            with pytest.raises(HostError, match=what):
                store.write_wav(path, tone()[None], RATE)
            assert path.stat() == before
    assert link.is_symlink() and len(list(tmp_path.iterdir())) == 3


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    old, link, ahead = tmp_path / "deep" / "old.wav", tmp_path / "link.wav", tmp_path / "ahead.wav"
    old.write_bytes(b"old")
    link.symlink_to(old)
    ahead.symlink_to(tmp_path / "deep" / "new.wav")
    for path in (link, ahead):
        store.check_sound_file(path)
        store.write_wav(path, tone()[None], RATE)
        assert path.is_symlink() and not path.resolve().is_symlink()
        assert soundfile.info(path.resolve()).frames == len(tone())
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["new.wav", "old.wav"]
    loop = tmp_path / "loop.wav"
    loop.symlink_to(loop)
    ahead.unlink()
    ahead.symlink_to(tmp_path / "no" / "new.wav")
    for path in (loop, ahead):
        with pytest.raises(HostError):
            store.check_sound_file(path)


def test_a_name_that_promises_another_format_is_refused(tmp_path: Path) -> None:
    store.check_sound_file(tmp_path / "a.WAV")
    for name in ("a.mp3", "a.flac", "a", ".wav"):
        with pytest.raises(HostError, match=r"allowed: \.wav"):
            store.check_sound_file(tmp_path / name)
    check_writable(tmp_path / "a.jsonl")


def test_the_longest_name_the_system_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".wav")
    store.check_sound_file(path)
    store.write_wav(path, tone()[None], RATE)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_called_one() -> None:
    """/dev/full is one for whoever writes to it; the library that writes sound would keep that to itself."""
    with pytest.raises(OSError) as caught:
        store.sound_to(Path("/dev/full"), tone()[None], RATE)
    assert caught.value.errno == errno.ENOSPC


@contextmanager
def room_for(n_bytes: int) -> Iterator[None]:
    """No file can be made longer than this, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_sound_that_finds_no_room_says_why_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"old")
    with pytest.raises(HostError) as caught, room_for(5_000):
        store.write_wav(path, tone()[None], RATE)
    assert "cannot be written: file too large" in caught.value.what
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_files_of_a_set_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("a.wav", "a.png", "a.txt")]
    for name in names:
        name.write_text("old")
    with pytest.raises(HostError) as caught, whole_files(names) as parts:
        parts[0].write_text("new")
        parts[1].write_text("new")
        raise OSError(28, "No space left on device")
    assert (
        caught.value.what
        == f"a.wav, a.png and a.txt in {tmp_path} cannot be written: no space left on device."
    )
    assert caught.value.still.startswith("Nothing was written")
    assert [name.read_text() for name in names] == ["old"] * 3 and len(list(tmp_path.iterdir())) == 3
    with whole_files(names) as parts:
        for part in parts:
            part.write_text("new")
    assert [name.read_text() for name in names] == ["new"] * 3 and len(list(tmp_path.iterdir())) == 3


def test_what_was_replaced_before_a_failure_is_named(tmp_path: Path) -> None:
    first, second = tmp_path / "a.wav", tmp_path / "b.png"
    with pytest.raises(HostError) as caught, whole_files([first, second]) as parts:
        for part in parts:
            part.write_text("new")
        second.mkdir()  # meanwhile, by somebody else
    assert str(second) in caught.value.what and str(first) not in caught.value.what
    assert caught.value.still.startswith(f"{first} was written") and first.read_text() == "new"


def test_a_name_of_bytes_that_are_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="not UTF-8"):
        store.check_sound_file(tmp_path / os.fsdecode(b"a\xff.wav"))
