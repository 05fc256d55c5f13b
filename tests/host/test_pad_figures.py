"""Figures of waves whose answers are known: chords, clicks, gaps, tones; and words that name a key."""

import numpy as np
import pytest

from descant.host.audition import Audition, Heard, distance
from descant.host.loudness import loudness
from descant.host.pad_figures import apart, key_named, pad_figures
from descant.host.preset import Preset, PromptSlot
from descant.host.progression import Progression
from descant.host.verdict import asks_for_drums, complaints, longest_hold

RATE = 32000
CHORDS = ("C", "F", "G7", "Am")
WORDS = "bright pop with piano in C major"


def preset(text=WORDS, chords=CHORDS, tempo=120.0, pads=1):
    return Preset(
        name="p", tempo=tempo, prompts=tuple(PromptSlot(text=text, chords=chords) for _ in range(pads))
    )


def chord_wave(names=CHORDS, up=0, bar=2.0, overtones=(1.0, 0.3)):
    """A bar of each chord, every note with its overtones."""
    time = np.arange(int(bar * RATE)) / RATE
    out = []
    for chord in Progression.named(names, 1).chords:
        wave = np.zeros(len(time))
        for pitch in chord:
            for number, level in enumerate(overtones, 1):
                wave += 0.1 * level * np.sin(2 * np.pi * number * 261.63 * 2 ** ((pitch + up) / 12) * time)
        out.append(wave * np.minimum(1, np.minimum(time, time[::-1]) / 0.01))
    return np.concatenate(out).astype(np.float32)


def clicks(at, seconds=8.0):
    wave = np.random.default_rng(1).normal(0, 1e-4, int(seconds * RATE))
    noise = np.random.default_rng(2).normal(0, 0.3, 400)
    for second in at:
        start = int(second * RATE)
        wave[start : start + 400] += noise * np.exp(-np.arange(400) / 90)
    return wave.astype(np.float32)


def test_the_chords_and_key_that_were_asked_for_are_heard_and_moved_ones_are_not():
    right = pad_figures(chord_wave(), RATE, preset(), 0)
    assert right.in_key > 0.97 and right.chords > 0.85 and right.chords - right.others > 0.4
    wrong = pad_figures(chord_wave(up=1), RATE, preset(), 0)
    assert wrong.in_key < 0.6 and wrong.chords - wrong.others < 0.1
    free = pad_figures(chord_wave(), RATE, preset("music", ()), 0)
    assert np.isnan([free.in_key, free.chords, free.others]).all()


def test_attacks_are_counted_by_the_beat_and_known_to_be_on_it():
    on = pad_figures(clicks(np.arange(0.5, 8, 0.5)), RATE, preset(), 0)
    off = pad_figures(clicks(np.arange(0.25, 8, 0.5)), RATE, preset(), 0)
    assert on.onsets == pytest.approx(15 / 16) and off.onsets == pytest.approx(1.0)
    assert on.on_beat > 0.6 and off.on_beat < -0.2


def test_what_is_struck_is_told_from_what_is_held():
    struck = pad_figures(clicks(np.arange(0.5, 8, 0.5)), RATE, preset(), 0)
    held = pad_figures(chord_wave(), RATE, preset(), 0)
    assert struck.strikes == pytest.approx(15 / 16) and held.strikes < 0.2


def test_how_long_one_chord_goes_on_is_heard_under_drums_too():
    drums = clicks(np.arange(0.5, 8, 0.5))
    for wave in (chord_wave(), chord_wave() + 0.1 * drums):
        assert pad_figures(wave, RATE, preset(), 0).still == pytest.approx(1.0, abs=0.1)
    assert pad_figures(chord_wave(("C", "C", "F", "C")), RATE, preset(), 0).still == pytest.approx(
        2.0, abs=0.1
    )
    assert pad_figures(chord_wave(("C",), bar=8), RATE, preset(), 0).still == pytest.approx(4.0, abs=0.1)
    assert pad_figures(np.zeros(2 * RATE, np.float32), RATE, preset(), 0).still == 0


@pytest.mark.parametrize("rate", [32000, 44100, 48000])
def test_loudness_is_the_standards(rate):
    """BS.1770: a full sine of 997 Hz in one channel is -3.01 LUFS; pauses are gated; lows count less."""
    time = np.arange(4 * rate) / rate
    full = np.sin(2 * np.pi * 997 * time).astype(np.float32)
    assert loudness(full, rate) == pytest.approx(-3.01, abs=0.02)
    assert loudness(0.1 * full, rate) == pytest.approx(-23.01, abs=0.02)
    paused = np.concatenate([full, np.zeros_like(full)])
    assert loudness(paused, rate) == pytest.approx(-3.01, abs=0.3)
    low = np.sin(2 * np.pi * 50 * time).astype(np.float32)
    assert -8.5 < loudness(low, rate) < -7.0
    assert loudness(np.zeros_like(full), rate) == -120


def test_level_peak_and_gap():
    time = np.arange(4 * RATE) / RATE
    wave = (0.5 * np.sin(2 * np.pi * 8000 * time + np.pi / 4)).astype(np.float32)  # no sample is at its peak
    figures = pad_figures(wave, RATE, preset(), 0)
    assert figures.level == pytest.approx(-9.03, abs=0.02) and figures.gap == 0
    assert figures.peak == pytest.approx(-6.02, abs=0.1) and np.abs(wave).max() < 0.36
    assert figures.brightness == pytest.approx(8000, rel=0.01)
    wave[RATE : 2 * RATE] = 0
    assert pad_figures(wave, RATE, preset(), 0).gap == pytest.approx(1.0, abs=0.03)


def test_how_far_apart_sounds_are_does_not_depend_on_how_loud_they_are():
    soft, dull, rich = (
        pad_figures(wave, RATE, preset(), 0)
        for wave in (0.1 * chord_wave(), chord_wave(), chord_wave(overtones=(1, 1, 1, 1, 1, 1, 1)))
    )
    assert apart(soft, dull) < 0.5 < 5 < apart(dull, rich)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("calm jazz with piano in C major", (0, 2, 4, 5, 7, 9, 11)),
        ("techno in F sharp minor in three", (1, 2, 4, 6, 8, 9, 11)),
        ("pop in e flat Mixolydian", (0, 1, 3, 5, 7, 8, 10)),
        ("blues in Bb dorian", (0, 1, 3, 5, 7, 8, 10)),
        ("in a minor way", (0, 2, 4, 5, 7, 9, 11)),
        ("captain major, in command", None),
        ("", None),
    ],
)
def test_keys_are_read_from_words(text, key):
    found = key_named(text)
    assert found == (None if key is None else tuple(sorted(key)))


def heard(*waves, pads=1):
    """Every wave a seed of each pad in turn."""
    form = preset(pads=pads)
    return Audition(
        form,
        tuple(
            Heard(n % pads, n // pads, RATE, wave, pad_figures(wave, RATE, form, n % pads))
            for n, wave in enumerate(waves)
        ),
    )


def test_what_is_wrong_is_said_and_nothing_of_what_is_right():
    good = chord_wave()
    assert complaints(heard(good), 0) == []
    silent = good.copy()
    silent[RATE : 3 * RATE] = 0
    for wave, words in (
        (10 * good, "peaks at"),
        (0.001 * good, "level"),
        (silent, "silent for 2.0 s"),
        (chord_wave(up=1), "in key"),
        (chord_wave(("C", "C", "C", "C"), up=7), "chords"),
        (chord_wave(("C",), bar=8), "attacks a beat"),
    ):
        assert any(words in said for said in complaints(heard(wave), 0)), words
    rich = chord_wave(overtones=(1,) * 9)
    assert complaints(heard(good, good, pads=2), 0) == ["like pad 1 (0.0 dB)"]
    assert complaints(heard(good, 0.25 * rich, pads=2), 0) == []
    assert any(said.startswith("seeds") for said in complaints(heard(good, clicks([1, 2, 3])), 0))


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("calm jazz with piano and brushes", True),
        ("Drums and bass", True),
        ("techno with drums", True),
        ("techno without drums", False),
        ("piano, no drums", False),
        ("conundrums in C major", False),
    ],
)
def test_words_that_ask_for_drums(text, asks):
    assert asks_for_drums(text) == asks


def test_a_band_that_stays_on_one_note_is_stuck_and_a_drone_is_not():
    for text, chords, bars in (
        ("ambient with choir", ("C", "G"), 1.5),
        ("ambient with choir", ("C", "F", "G", "C"), 3.0),
        ("ambient with choir", ("C",), np.inf),
        ("ambient with choir", (), 1.5),
        ("rock with drums", ("C", "C", "G", "G"), 1.5),
    ):
        assert longest_hold(preset(text, chords), 0) == bars, chords
    band = preset("rock with organ and drums in C major", ("C",))
    held = chord_wave(("C",), bar=8)
    one = Heard(0, 0, RATE, held, pad_figures(held, RATE, band, 0))
    said = complaints(Audition(band, (one,)), 0)
    assert "stuck for 4.0 bars" in said and any(words.startswith("no drums heard") for words in said)


def test_a_pad_far_softer_than_its_neighbours_is_said():
    wave = chord_wave()
    three = heard(wave, 0.1 * wave, 0.9 * wave, pads=3)
    assert three.louder(1) == pytest.approx(-19.5, abs=0.1)
    assert "20 LU softer than the others" in complaints(three, 1)
    assert not any("LU" in said for said in complaints(heard(wave, 0.6 * wave, pads=2), 1))
    assert np.isnan(heard(wave).louder(0))  # nothing to compare with


def test_presets_are_compared_pad_by_nearest_pad():
    dull, rich = chord_wave(), chord_wave(overtones=(1,) * 9)
    assert distance(heard(dull, rich, pads=2), heard(rich, dull, pads=2)) == 0
    assert distance(heard(dull), heard(rich)) > 3
    assert 0 < distance(heard(dull, rich, pads=2), heard(rich)) < distance(heard(dull), heard(rich))
