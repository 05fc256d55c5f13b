"""MIDI files: exact times through any tempo map, and a refusal for whatever is not one."""

from fractions import Fraction
from pathlib import Path

import mido
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descant.host.edge.midi_file import read_midi_file, sample_of
from descant.host.errors import HostError


def save(path: Path, *tracks: list, ppq: int = 480, kind: int = 1) -> Path:
    file = mido.MidiFile(ticks_per_beat=ppq, type=kind)
    for messages in tracks:
        track = mido.MidiTrack()
        track.extend(messages)
        file.tracks.append(track)
    file.save(path)
    return path


def note(tick: int, key: int = 60, velocity: int = 100, channel: int = 0) -> mido.Message:
    return mido.Message("note_on", note=key, velocity=velocity, channel=channel, time=tick)


def refused(path: Path) -> HostError:
    with pytest.raises(HostError) as caught:
        read_midi_file(path)
    assert len(str(caught.value).split("\n")) == 3 and str(path) in caught.value.what
    return caught.value


def test_times_follow_the_tempo_map_exactly(tmp_path: Path) -> None:
    tempo_track = [
        mido.MetaMessage("set_tempo", tempo=600_000, time=0),
        mido.MetaMessage("set_tempo", tempo=333_333, time=960),
    ]
    song = read_midi_file(
        save(tmp_path / "a.mid", tempo_track, [note(480), note(480 + 7, velocity=0), note(3, 62)])
    )
    assert [event.seconds for event in song.events] == [
        Fraction(6, 10),
        Fraction(12, 10) + Fraction(7 * 333_333, 480_000_000),
        Fraction(12, 10) + Fraction(10 * 333_333, 480_000_000),
    ]
    assert [event.kind for event in song.events] == ["note_on", "note_off", "note_on"]
    assert song.tempo_at(Fraction(0)) == 100.0
    assert sample_of(song.events[0].seconds, 44_100) == 26_460


def test_notes_controls_and_programs_keep_channel_and_values(tmp_path: Path) -> None:
    track = [
        note(0, 36, 17, 9),
        mido.Message("control_change", channel=3, control=74, value=5, time=1),
        mido.Message("program_change", channel=4, program=11, time=1),
        mido.Message("note_off", channel=9, note=36, velocity=64, time=1),
        mido.Message("pitchwheel", pitch=100, time=1),
    ]
    events = read_midi_file(save(tmp_path / "a.mid", track)).events
    assert [(e.kind, e.midi_channel, e.number, e.value) for e in events] == [
        ("note_on", 9, 36, 17),
        ("control", 3, 74, 5),
        ("program", 4, 11, 0),
        ("note_off", 9, 36, 64),
    ]


@given(
    tempos=st.lists(st.tuples(st.integers(1, 4000), st.integers(100_000, 2_000_000)), max_size=6),
    ppq=st.sampled_from([24, 96, 480, 960]),
    beat=st.fractions(0, 50, max_denominator=960),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_beats_and_seconds_are_inverse(tmp_path: Path, tempos: list, ppq: int, beat: Fraction) -> None:
    changes = [mido.MetaMessage("set_tempo", tempo=tempo, time=tick) for tick, tempo in tempos]
    song = read_midi_file(save(tmp_path / "a.mid", changes, [note(0)], ppq=ppq))
    assert song.beat_at(song.seconds_at(beat)) == beat
    for event in song.events:
        assert song.beat_at(event.seconds) == Fraction(event.tick, ppq)


def test_bars_follow_the_metre(tmp_path: Path) -> None:
    track = [
        mido.MetaMessage("time_signature", numerator=3, denominator=4, time=0),
        mido.MetaMessage("time_signature", numerator=7, denominator=8, time=2 * 3 * 480),
        note(0),
    ]
    song = read_midi_file(save(tmp_path / "a.mid", track))
    assert [song.beat_of_bar(bar) for bar in range(5)] == [0, 3, 6, Fraction(19, 2), 13]
    assert song.metre_at(song.seconds_at(Fraction(6))).numerator == 7


def test_a_song_without_notes_is_refused(tmp_path: Path) -> None:
    silent = [mido.Message("control_change", control=1, value=1, time=0), note(1, velocity=0)]
    assert "no notes" in refused(save(tmp_path / "a.mid", silent)).what


def test_files_that_are_no_song_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.mid")
    refused(tmp_path)
    (tmp_path / "words.mid").write_text("no music")
    assert "MThd" in refused(tmp_path / "words.mid").what
    whole = save(tmp_path / "whole.mid", [note(0)] * 20).read_bytes()
    (tmp_path / "cut.mid").write_bytes(whole[:40])
    assert "cut off" in refused(tmp_path / "cut.mid").what
    refused(save(tmp_path / "two.mid", [note(0)], kind=2))
    smpte = bytearray(save(tmp_path / "smpte.mid", [note(0)]).read_bytes())
    smpte[12:14] = b"\xe7\x28"
    (tmp_path / "smpte.mid").write_bytes(smpte)
    assert "SMPTE" in refused(tmp_path / "smpte.mid").what


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_a_damaged_file_is_read_or_refused_in_three_lines(tmp_path: Path, data: st.DataObject) -> None:
    track = [mido.MetaMessage("key_signature", key="C", time=0), note(1), note(10, velocity=0)]
    whole = bytearray(save(tmp_path / "a.mid", track).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(4, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.mid"
    damaged.write_bytes(whole[: data.draw(st.integers(4, len(whole)))])
    try:
        read_midi_file(damaged)
    except HostError as error:
        assert len(str(error).split("\n")) == 3


@pytest.mark.parametrize(
    ("microseconds", "said"),
    [(0, "quarter notes of no length"), (1, "60000000 bpm"), (60_060, "999.000999 bpm")],
)
def test_a_tempo_no_transport_takes_is_refused(tmp_path: Path, microseconds: int, said: str) -> None:
    tempo = mido.MetaMessage("set_tempo", tempo=microseconds, time=480)
    error = refused(save(tmp_path / "a.mid", [tempo], [note(0)]))
    assert said in error.what and "0.5 s from its start; allowed: 1..999 bpm" in error.what
    tempo.tempo = 60_061
    assert read_midi_file(save(tmp_path / "a.mid", [tempo], [note(0)])).tempos[1].microseconds == 60_061
