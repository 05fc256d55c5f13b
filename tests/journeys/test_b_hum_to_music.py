"""Journey B, hum to music: the hummed melody comes back from its bar line on, in the output's own chroma."""

from __future__ import annotations

import numpy as np
import pytest

from descant.host.heard import chroma, spectrogram
from descant.plugin_bridge import wire
from tests.journeys.stage import BAR, RATE, Heard, clip, first_difference, pad, perform, transport
from tools.hum_synth import HumNote, hum, sounding
from tools.listen import agreement

HUM_RATE = 32000
START = [transport(tempo=120.0), pad(36, 2000)]  # bars of two seconds; music from bar 1
LONG_BAR = 2 * BAR
# Two bars at 120 bpm: long notes, far apart, so that few frames say much.
NOTES = [HumNote(0.5 * i, 0.5 * i + 0.48, key) for i, key in enumerate((60, 64, 67, 69, 67, 64, 62, 60))]


def hummed(shift: int = 0) -> np.ndarray:
    return hum([HumNote(note.start, note.end, note.key + shift) for note in NOTES], 4.0, HUM_RATE, seed=3)


def followed(heard: Heard, line: int) -> np.ndarray:
    """Chroma cosine of what was heard from a line on with the notes moved by 0..11 semitones, [12]."""
    wave = heard.wave[:, line : line + 4 * RATE].mean(axis=0).astype(np.float32)
    rows = chroma(*spectrogram(wave, RATE))
    return agreement(rows, sounding(NOTES, len(rows), 50.0))


def test_a_hum_is_followed_from_the_next_bar_line_and_not_before(tiny) -> None:
    given = clip(hummed(), HUM_RATE, LONG_BAR + 30_000)
    without = perform(tiny, START, 5.0)
    heard = perform(tiny, [*START, *given], 5.0)
    plan = heard.plans[-1]
    assert (plan.from_sample, plan.bar, plan.text) == (2 * LONG_BAR, 2.0, "hummed melody, 2 bars")
    assert 2 * LONG_BAR <= first_difference(without, heard) < 2 * LONG_BAR + RATE // 5
    assert not heard.faults


@pytest.mark.parametrize(
    ("wave", "words"),
    [
        (np.zeros(HUM_RATE, np.float32), "silent"),
        (np.full(1000, 0.1, np.float32), "0.03 s"),
        (np.random.default_rng(0).normal(0, 1e-5, HUM_RATE).astype(np.float32), "silent"),
    ],
    ids=["silence", "too short", "hiss"],
)
def test_a_hum_without_melody_is_a_fault_and_the_music_goes_on(tiny, wave: np.ndarray, words: str) -> None:
    without = perform(tiny, START, 3.0)
    heard = perform(tiny, [*START, *clip(wave, HUM_RATE, LONG_BAR)], 3.0)
    assert first_difference(without, heard) == 3 * RATE
    (fault,) = heard.faults
    assert words in fault.what and fault.still and fault.do


def test_a_hum_alone_starts_the_music(tiny) -> None:
    heard = perform(tiny, [transport(tempo=120.0), *clip(hummed(), HUM_RATE, 1000)], 3.0)
    assert LONG_BAR <= heard.first_sound() < LONG_BAR + 64


def test_the_output_follows_the_hum_and_a_moved_hum_is_followed_where_it_went(embedded) -> None:
    """The chroma of the output agrees with the hum far better than without it, and moves when the hum
    moves."""
    line = 2 * LONG_BAR
    seconds = line / RATE + 4.2
    without = perform(embedded, START, seconds)
    right = perform(embedded, [*START, *clip(hummed(), HUM_RATE, LONG_BAR)], seconds)
    moved = perform(embedded, [*START, *clip(hummed(6), HUM_RATE, LONG_BAR)], seconds)
    assert np.array_equal(without.wave[:, :line], right.wave[:, :line])
    null, with_hum, with_moved = (followed(heard, line) for heard in (without, right, moved))
    assert with_hum[0] - null[0] >= 0.1
    assert with_hum[0] == with_hum.max()
    assert with_moved[6] - with_hum[6] >= 0.1 and with_moved[6] == with_moved.max()


def test_the_melody_controller_lets_the_hum_go(embedded) -> None:
    line = 2 * LONG_BAR
    let_go = wire.Control(0, 2, 0, at_sample=line - RATE)
    given = clip(hummed(), HUM_RATE, LONG_BAR)
    kept = perform(embedded, [*START, *given], line / RATE + 4.2)
    gone = perform(embedded, [*START, *given, let_go], line / RATE + 4.2)
    assert followed(kept, line)[0] - followed(gone, line)[0] >= 0.1
