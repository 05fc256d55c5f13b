"""The main job's own checks: what it refuses before it plays, how it ends when it is stopped, and that
whatever it has played becomes a report."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from descant.host.edge.cues import Hum, Performance
from descant.host.edge.midi_file import MetreChange, Song, SongEvent, TempoChange
from descant.host.edge.performer import Recording
from descant.host.errors import HostError
from descant.host.preset import parse_preset
from descant.plugin_bridge import wire
from tools.first_light import ENDS, ROOT, _notes, main, write
from tools.hum_synth import HumNote, hum, write_notes
from tools.listen import follow, measure_sections
from tools.picture import draw
from tools.played import take_of
from tools.report import report

RATE = 16_000
Fails = Callable[..., list[str]]


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Fails:
    """Run something that must be refused before anything is played: its last three lines."""
    before = signal.getsignal(signal.SIGTERM)

    def call(*words: object) -> list[str]:
        capsys.readouterr()
        out = () if "--out" in words else ("--out", tmp_path / "out")
        code = main([str(word) for word in ("--silent", "--model", "nothere", *out, *words)])
        signal.signal(signal.SIGTERM, before)
        said = capsys.readouterr().err.splitlines()
        assert code == 1 and "Traceback" not in "".join(said), said
        assert not any("starting a host" in line for line in said), said
        return said[-3:]

    return call


def song_file(path: Path, *keys: int) -> Path:
    track = mido.MidiTrack([mido.Message("note_on", note=key, velocity=90, time=480) for key in keys])
    file = mido.MidiFile()
    file.tracks.append(track)
    file.save(path)
    return path


def hummed(path: Path, seconds: float = 2.0) -> list[HumNote]:
    notes = [HumNote(0.0, seconds / 2, 60), HumNote(seconds / 2, seconds, 64)]
    soundfile.write(path, hum(notes, seconds, RATE), RATE)
    return notes


def test_notes_that_no_pad_knows_are_an_error_that_names_the_pads(fails: Fails, tmp_path: Path) -> None:
    song = song_file(tmp_path / "a.mid", 60, 64, 67)
    lines = fails("--midi", song, "--preset", "daybreak")
    assert "none of its notes is bound in preset daybreak; it binds keys 36–" in lines[0]
    assert "--preset" in lines[2]
    later = song_file(tmp_path / "b.mid", *[60] * 8, 36)
    assert "of its first 2 s" in fails("--midi", later, "--seconds", "2")[0]


def test_a_hum_without_a_pitch_or_beyond_the_end_is_an_error(fails: Fails, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.2, 2 * RATE)
    soundfile.write(tmp_path / "noise.wav", noise.clip(-1, 1), RATE)
    lines = fails("--hum", tmp_path / "noise.wav")
    assert "no pitch" in lines[0] and "noise.wav" in lines[0]
    hummed(tmp_path / "me.wav")
    assert "bar 999" in fails("--hum", tmp_path / "me.wav", "--hum-bar", "999")[0]
    assert "bar 999" in fails("--hum-bar", "999")[0]


def test_a_place_that_is_no_folder_is_an_error(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    for place in (tmp_path / "there", tmp_path / "there" / "below"):
        assert "a file has that name" in fails("--out", place)[0]
    (tmp_path / "full").mkdir()
    os.mkfifo(tmp_path / "full" / "first-light.png")
    assert "a pipe" in fails("--out", tmp_path / "full")[0]
    assert (tmp_path / "full" / "first-light.png").is_fifo()
    assert "not UTF-8" in fails("--out", tmp_path / os.fsdecode(b"a\xff"))[0]
    assert not any(b"\xff" in os.fsencode(path) for path in tmp_path.iterdir())


def test_presets_of_ones_own_are_found_and_a_broken_one_is_named(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[[prompts]]\ntext = "piano"\nkey = 99\n')
    (tmp_path / "bad.toml").write_text("prompts = [")
    song = song_file(tmp_path / "a.mid", 36)
    lines = fails("--presets", tmp_path, "--preset", "mine", "--midi", song)
    assert "preset mine; it binds keys 99" in lines[0]
    assert "bad.toml" in fails("--presets", tmp_path, "--preset", "bad")[0]
    lines = fails("--preset", "nothere")
    assert "nothere" in lines[0] and lines[1] == "Nothing was played."


@pytest.mark.parametrize("beside", ["its own", "another's"])
def test_only_notes_of_the_clip_itself_count_as_what_was_hummed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], beside: str
) -> None:
    notes = hummed(tmp_path / "me.wav")
    wave, rate = soundfile.read(tmp_path / "me.wav", dtype="float32")
    if beside == "its own":
        write_notes(tmp_path / "me.json", notes, 2.0, 120.0)
    else:
        (tmp_path / "me.json").write_text('{"name": "settings of something"}')
    found = _notes(Hum(wave[None], rate), tmp_path / "me.wav")
    assert found == notes or beside == "another's"
    assert [note.key % 12 for note in found] == [0, 4]
    assert ("is not used" in capsys.readouterr().err) == (beside == "another's")


def test_stopped_by_ctrl_c_it_says_so_and_leaves_no_host(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tools.first_light", "--silent", "--model", "tiny", "--out", str(tmp_path)]
    run = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stderr is not None
    try:
        said = iter(run.stderr.readline, "")
        assert any("connected" in line for line in said)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of the group
        lines = [line.rstrip("\n") for line in said]
        assert run.wait(20) == 1
    finally:
        run.kill()
        run.wait()
        run.stderr.close()
    assert lines[-3:][0] == "Interrupted." and "Traceback" not in "".join(lines), lines
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)


@pytest.mark.slow
def test_a_host_that_is_killed_leaves_a_take_a_report_and_an_error(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tools.first_light", "--silent", "--model", "tiny", "--out", str(tmp_path)]
    run = subprocess.Popen(
        [*words, "--seconds", "8", "--no-hum"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    said = iter(run.stderr.readline, "")
    assert any("connected" in line for line in said)
    assert any("0 of 8 s played" in line for line in said)
    (host,) = _children(run.pid)
    os.kill(host, signal.SIGKILL)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 1
    lines = err.splitlines()[-3:]
    assert lines[0].startswith("The host is gone") and "silent from" in lines[0], err
    assert lines[1].startswith(f"{tmp_path} holds the take so far")
    assert "HOST GONE" in out and "busy" not in out
    assert (tmp_path / "first-light.txt").read_text() in out
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"first-light.{end}" for end in sorted(ENDS)]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_no_room_leaves_the_old_set_and_the_report_is_told_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for end in ENDS:
        (tmp_path / f"first-light.{end}").write_text("old")
    recording = Recording(np.zeros((2, RATE // 4), np.float32), RATE)
    take = take_of(recording, Performance(SONG, seconds=0.25), PRESET, [], WELCOME, 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (2 * 3 * RATE // 4 + 500, limits[1])
    )  # the WAV, not the picture
    try:
        with pytest.raises(HostError) as caught:
            write(tmp_path, take, measure_sections(take), follow(take))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    out = capsys.readouterr().out
    assert out.startswith("First light: 0.2 s") and "wrote" not in out
    assert caught.value.still == "Nothing was written; files of those names are as they were before."
    assert {path.read_text() for path in tmp_path.iterdir()} == {"old"} and len(list(tmp_path.iterdir())) == 3


PRESET = parse_preset(
    "tempo = 240\nfade_ms = 20\n"
    + "".join(
        f"[[prompts]]\n{slot}\n"
        for slot in ('text = "piano"\nkey = 36', 'text = "drums"\nkey = 37', "stop = true\nkey = 38")
    )
)
SONG = Song(
    480,
    (TempoChange(0, Fraction(0), 250_000),),
    (MetreChange(0, Fraction(0), 4, 4),),
    tuple(
        SongEvent(960 * at, Fraction(at, 2), "note_on", 0, key, 90) for at, key in enumerate((36, 60, 38, 37))
    ),
    Fraction(3),
)
WELCOME = wire.Welcome(1, RATE, 160, 2, "tiny", "cafe")
PLANNED = ("", "piano", "drums", "hummed melody, 1 bar", "hummed melody, 2 bars")


@settings(max_examples=100, deadline=None)
@example(plans=[(0, "piano"), (1, "")], with_hum=False, loud=False)
@given(
    plans=st.lists(st.tuples(st.integers(0, 4 * RATE), st.sampled_from(PLANNED)), max_size=6),
    with_hum=st.booleans(),
    loud=st.booleans(),
)
def test_whatever_was_planned_becomes_a_take_and_a_report(
    plans: list[tuple[int, str]], with_hum: bool, loud: bool
) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, (2, 3 * RATE)).astype(np.float32) * loud
    recording = Recording(wave, RATE, plans=[wire.Plan(0, at, 0.0, text) for at, text in plans])
    clip = Hum(wave[:, :RATE], RATE) if with_hum else None
    performance = Performance(SONG, clip, seconds=3.0)
    take = take_of(recording, performance, PRESET, [HumNote(0.0, 0.4, 60)] * with_hum, WELCOME, 0)
    assert all(section.prompt in PLANNED[1:3] and section.start < section.end for section in take.sections)
    assert report(take, measure_sections(take), follow(take))


def test_a_take_of_nothing_is_told_and_drawn() -> None:
    """A performance in which no pad was hit: no sections, and no picture or report that fails for it."""
    recording = Recording(np.zeros((2, 2 * RATE), np.float32), RATE)
    take = take_of(recording, Performance(SONG, seconds=2.0), PRESET, [], WELCOME, 0)
    sections, following = measure_sections(take), follow(take)
    assert take.sections == () and sections == []
    assert "0 underruns" in report(take, sections, following)
    assert draw(take, sections, following).axes
