"""The synthetic hum: the notes asked for are the notes that sound, and the same seed is the same clip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.hum_synth import HumNote, hum, random_melody, read_notes, sounding, write_notes
from tools.make_performance import melody

RATE = 32000


def heard_key(wave: np.ndarray) -> float:
    """MIDI key of a steady tone by the first high peak of its autocorrelation."""
    spectrum = np.fft.rfft(wave * np.hanning(len(wave)), 4 * len(wave))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    low, high = RATE // 1000, RATE // 60
    part = correlation[low:high] / correlation[0]
    best = next(i for i in range(1, len(part) - 1) if part[i] > 0.9 * part.max() and part[i] >= part[i + 1])
    return float(69 + 12 * np.log2(RATE / (low + best) / 440.0))


def test_every_note_of_the_shipped_melody_sounds_at_its_pitch() -> None:
    notes = melody()
    wave = hum(notes, 8.0, RATE, seed=7)
    for note in notes:
        settled = wave[round((note.start + 0.09) * RATE) : round((note.end - 0.06) * RATE)].astype(float)
        assert abs(heard_key(settled[:6000]) - note.key) < 0.5, note


@settings(max_examples=10, deadline=None)
@given(key=st.integers(45, 80), seed=st.integers(0, 2**32 - 1))
def test_any_key_and_seed(key: int, seed: int) -> None:
    wave = hum([HumNote(0.1, 0.7, key)], 0.8, RATE, seed)
    assert wave.shape == (round(0.8 * RATE),) and wave.dtype == np.float32
    assert np.isfinite(wave).all() and np.abs(wave).max() == pytest.approx(0.6, abs=1e-6)
    assert abs(heard_key(wave[8000:18000].astype(float)) - key) < 0.5
    assert np.abs(wave[: RATE // 20]).max() < 0.01, "before the note there is only the room"


def test_same_seed_same_samples_and_another_seed_another_take() -> None:
    notes = [HumNote(0.0, 0.4, 60), HumNote(0.4, 0.9, 64)]
    assert np.array_equal(hum(notes, 1.0, seed=3), hum(notes, 1.0, seed=3))
    assert not np.array_equal(hum(notes, 1.0, seed=3), hum(notes, 1.0, seed=4))


def test_no_notes_is_silence_and_impossible_notes_are_named() -> None:
    assert not hum([], 0.5).any()
    with pytest.raises(ValueError, match="key=120"):
        hum([HumNote(0.0, 0.4, 120)], 1.0)
    with pytest.raises(ValueError, match="follow each other"):
        hum([HumNote(0.0, 0.5, 60), HumNote(0.4, 0.8, 62)], 1.0)
    with pytest.raises(ValueError, match="end by 1"):
        hum([HumNote(0.5, 1.5, 60)], 1.0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), minor=st.booleans(), tonic=st.integers(52, 68))
def test_random_melodies_can_be_hummed_and_stay_in_their_key(seed: int, minor: bool, tonic: int) -> None:
    notes = random_melody(seed, 6.0, tonic=tonic, minor=minor)
    hum(notes, 6.0, 8000)
    scale = {0, 2, 3, 5, 7, 8, 10} if minor else {0, 2, 4, 5, 7, 9, 11}
    assert notes and {(note.key - tonic) % 12 for note in notes} <= scale


def test_notes_survive_their_file_and_name_the_frames_they_sound_in(tmp_path) -> None:
    notes = [HumNote(0.0, 0.1, 60), HumNote(0.14, 0.2, 67)]
    write_notes(tmp_path / "notes.json", notes, 0.2, 120.0)
    assert read_notes(tmp_path / "notes.json", 0.2) == notes
    for other in (
        '{"bpm": 120}',
        "[]",
        "no json",
        '{"seconds": 0.2, "tempo": 9, "notes": [{"key": 60}]}',
        "[" * 9999,
    ):
        (tmp_path / "other.json").write_text(other)
        with pytest.raises(ValueError, match="no notes"):
            read_notes(tmp_path / "other.json", 0.2)
    with pytest.raises(ValueError, match=r"a clip of 0\.2 s"):
        read_notes(tmp_path / "notes.json", 3.0)
    assert sounding(notes, 10, 50.0).tolist() == [0, 0, 0, 0, 0, -1, -1, 7, 7, 7]
