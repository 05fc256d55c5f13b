"""A performance becomes messages, each at its sample, whatever the rate."""

from fractions import Fraction
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descant.host.edge.cues import Hum, Performance, cues, describe
from descant.host.edge.midi_file import Song, read_midi_file
from descant.plugin_bridge import wire


@pytest.fixture
def song(tmp_path: Path) -> Song:
    track = mido.MidiTrack(
        [
            mido.MetaMessage("set_tempo", tempo=400_000, time=0),
            mido.MetaMessage("time_signature", numerator=3, denominator=4, time=0),
            mido.Message("note_on", channel=9, note=36, velocity=80, time=480),
            mido.MetaMessage("set_tempo", tempo=600_000, time=960),
            mido.Message("note_off", channel=9, note=36, velocity=3, time=0),
            mido.Message("control_change", channel=2, control=74, value=9, time=240),
            mido.Message("program_change", channel=1, program=5, time=0),
        ]
    )
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(track)
    file.save(tmp_path / "a.mid")
    return read_midi_file(tmp_path / "a.mid")


def test_events_keep_their_exact_sample_and_values(song: Song) -> None:
    played = [
        message for message in cues(Performance(song), 48_000) if not isinstance(message, wire.Transport)
    ]
    assert played == [
        wire.NoteOn(9, 36, 80, at_sample=19_200),
        wire.NoteOff(9, 36, 3, at_sample=57_600),
        wire.Control(2, 74, 9, at_sample=72_000),
        wire.Program(1, 5, at_sample=72_000),
    ]
    assert [describe(message) for message in played[:3]] == [
        "note 36 on (velocity 80)",
        "",
        "controller 74 = 9",
    ]


@given(rate=st.integers(8000, 192_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_the_transport_is_told_all_along_and_at_every_change(song: Song, rate: int) -> None:
    messages = cues(Performance(song), rate)
    transports = [message for message in messages if isinstance(message, wire.Transport)]
    assert transports[0].at_sample == 0 and transports[0].numerator == 3
    assert [message.at_sample for message in messages] == sorted(message.at_sample for message in messages)
    gaps = np.diff([message.at_sample for message in transports]) / rate
    assert gaps.max() <= 0.101
    for message in transports:
        seconds = Fraction(message.at_sample, rate)
        assert message.beat == pytest.approx(float(song.beat_at(seconds)), abs=1e-9)
    change = next(message for message in transports if message.tempo == 100)
    assert change.at_sample == round(Fraction(6, 5) * rate)
    for message in messages:
        wire.encode(message)


@pytest.mark.parametrize("length", [1, 16_384, 16_385, 40_000])
def test_a_hum_is_handed_in_whole_at_its_bar(song: Song, length: int) -> None:
    wave = np.random.default_rng(0).uniform(-1, 1, (1, length)).astype(np.float32)
    messages = cues(Performance(song, Hum(wave, 44_100, at_bar=1)), 48_000)
    parts = [message for message in messages if isinstance(message, wire.Capture)]
    np.testing.assert_array_equal(np.concatenate([part.wave for part in parts], axis=1), wave)
    assert [part.index for part in parts] == list(range(len(parts)))
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {(part.at_sample, part.sample_rate, part.clip) for part in parts} == {(57_600, 44_100, 1)}


def test_without_a_song_the_prompt_or_the_first_pad_plays_at_the_preset_tempo() -> None:
    assert cues(Performance(prompt="piano", seconds=1), 48_000) == [wire.Prompt(0, "piano")]
    assert cues(Performance(first_pad=True, seconds=1), 48_000) == [wire.Trigger(0)]


def test_what_lies_beyond_the_length_is_not_played(song: Song) -> None:
    assert all(message.at_sample < 24_000 for message in cues(Performance(song, seconds=0.5), 48_000))
    two_bars_more = Performance(song).length - song.end
    assert two_bars_more == 6 * Fraction(600_000, 1_000_000)
