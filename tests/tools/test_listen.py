"""Measures of a take, on takes whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.host.heard import bands, chroma, spectrogram
from tools.hum_synth import HumNote, hum, sounding
from tools.listen import agreement, follow, measure_sections
from tools.make_performance import melody
from tools.take import Section, Take

RATE = 48000


def take_of(wave: np.ndarray, sections: tuple[Section, ...], spans=(), notes=()) -> Take:
    return Take(
        RATE, np.stack([wave, wave]).astype(np.float32), 0, (0,), 0, sections, (), (), (), tuple(notes),
        tuple(spans), (0.0, 0.0), 0, 120.0, "none", "", 0,
    )  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(key=st.integers(48, 90), rate=st.sampled_from([32000, 44100, 48000]))
def test_chroma_of_a_tone_is_its_pitch_class(key: int, rate: int) -> None:
    time = np.arange(rate // 2) / rate
    frequency = 440.0 * 2 ** ((key - 69) / 12)
    wave = (0.3 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)
    rows = chroma(*spectrogram(wave, rate))
    assert rows.shape == (25, 12)
    assert (rows[3:-3].argmax(axis=1) == key % 12).all() and rows[3:-3].max(axis=1).min() > 0.95


def test_silence_has_no_chroma_and_agrees_with_nothing() -> None:
    rows = chroma(*spectrogram(np.zeros(RATE, np.float32), RATE))
    assert not rows.any()
    assert np.isnan(agreement(rows, np.zeros(50, np.int64))).all()


def test_the_hum_follows_itself_and_no_transposition_of_itself() -> None:
    wave = hum(melody(), 8.0, RATE, seed=7)
    section = Section(0, len(wave), "all", "a hum", following=True)
    following = follow(take_of(wave, (section,), [(0, len(wave))], melody()))
    assert following.right > 0.85
    assert following.right - following.by_shift[1:].max() > 0.4
    assert following.tritone < 0.2 and np.isnan(following.unsteered)
    assert following.frames == (sounding(melody(), 400, 50.0) >= 0).sum()


def test_what_comes_without_hum_is_measured_with_the_same_notes() -> None:
    right, wrong = hum(melody(), 8.0, RATE, seed=1), hum([HumNote(0.0, 8.0, 66)], 8.0, RATE)
    wave = np.concatenate([wrong, right])
    n = len(right)
    sections = (Section(0, n, "a", "x", False), Section(n, 2 * n, "b", "y", True))
    following = follow(take_of(wave, sections, [(n, 2 * n)], melody()))
    assert following.right > 0.8 and following.unsteered < 0.2


def test_sections_tell_loud_from_soft_bright_from_dark_and_change_from_none() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 4 * RATE)
    dark = np.convolve(noise, np.ones(64) / 8, "same")
    wave = np.concatenate([noise, noise[::-1], dark * 0.25])
    n = len(noise)
    sections = tuple(Section(i * n, (i + 1) * n, str(i), "", False) for i in range(3))
    a, b, c = measure_sections(take_of(wave, sections))
    assert a.level == pytest.approx(-20.0, abs=0.3) and c.level < a.level - 3
    assert a.brightness > 5 * c.brightness
    assert np.isnan(a.moved) and b.moved < 3 and c.moved > 10


def test_bands_hold_a_tone_where_it_is() -> None:
    time = np.arange(RATE) / RATE
    rows = bands(*spectrogram(np.sin(2 * np.pi * 1000 * time).astype(np.float32), RATE))
    edges = np.geomspace(40, 15000, 97)
    best = int(rows[25].argmax())
    assert edges[best] * 0.97 <= 1000 <= edges[best + 1] * 1.03
    assert rows.min() >= -120 and np.isfinite(rows).all()
