"""Levels, clocks, the round trip and the looper as data: the pure parts of live audio."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.host.ceiling import Ceiling
from descant.host.clock_fit import ClockFit
from descant.host.levels import Levels
from descant.host.loop_press import Press
from descant.host.loop_state import restore, state_of, timeline_in, timeline_out
from descant.host.looper import Looper
from descant.host.round_trip import probe, round_trip
from descant.host.transport import Timeline


@given(st.lists(st.floats(-40, 40, width=32), min_size=1, max_size=64), st.floats(0.0, 0.8))
def test_the_ceiling_is_never_passed_and_what_is_below_stays_to_the_bit(samples, quietest):
    wave = np.array([samples, [quietest] * len(samples)], np.float32)
    held = wave.copy()
    Ceiling(2, 64).hold(held)
    assert np.abs(held).max() <= 1.0 and np.array_equal(held[1], wave[1])
    low = np.abs(wave) <= 0.8
    assert np.array_equal(held[low], wave[low])
    order = np.argsort(wave[0], kind="stable")
    assert (np.diff(held[0][order]) >= 0).all()  # louder stays louder
    mirrored = -wave
    Ceiling(2, 64).hold(mirrored)
    assert np.array_equal(mirrored, -held)


def test_the_ceiling_bends_without_a_corner():
    ramp = np.linspace(0.7, 1.2, 5001, dtype=np.float32)[None]
    held = ramp.astype(np.float32).copy()
    Ceiling(1, 5001).hold(held)
    slope = np.diff(held[0].astype(np.float64)) / np.diff(ramp[0].astype(np.float64))
    assert 0.98 < slope[900:1000].mean() < 1.001 and np.abs(np.diff(slope[::50])).max() < 0.02


def test_peaks_are_held_then_fall_and_clips_are_counted():
    levels = Levels(2, 1000)
    levels.feed(np.array([[0.5, -0.75], [1.0, 0.0]], np.float32))
    assert levels.peak.tolist() == [0.75, 1.0] and levels.clips.tolist() == [0, 1]
    levels.feed(np.zeros((2, 900), np.float32))
    assert levels.held.tolist() == [0.75, 1.0] and levels.quiet == 900
    for _ in range(10):
        levels.feed(np.zeros((2, 100), np.float32))
    assert 20 * np.log10(levels.held[1]) == pytest.approx(-20 * 0.9, abs=2.1)
    levels.forget()
    assert not levels.clips.any()


@given(st.floats(-200, 200), st.integers(0, 100))
@settings(deadline=None, max_examples=20)
def test_a_clock_is_followed_through_the_jitter_of_its_callbacks(ppm, seed):
    rng, rate = np.random.default_rng(seed), 48000 * (1 + ppm * 1e-6)
    fit = ClockFit(48000)
    for block in range(8000):
        late = min(rng.exponential(0.0004), 0.02)
        fit.update(block * 256, 100 + block * 256 / rate + late)
    there = fit.position_at(100 + 8000 * 256 / rate)
    assert abs(there - 8000 * 256) < 48  # a millisecond
    assert fit.rate == pytest.approx(rate, rel=4e-4)  # seven times its deviation under this jitter


@given(st.integers(0, 9000), st.sampled_from([44100, 48000, 96000]), st.floats(0.05, 1.0))
@settings(deadline=None, max_examples=20)
def test_the_probe_is_found_to_the_sample(delay, rate, level):
    sent = probe(rate)
    heard = np.random.default_rng(delay).normal(0, 0.02, len(sent) + 12_000).astype(np.float32)
    assert round_trip(sent, heard) is None
    heard[delay : delay + len(sent)] += level * sent
    assert round_trip(sent, heard) == delay
    assert round_trip(sent, np.zeros(len(heard), np.float32)) is None


def test_loops_play_on_from_the_same_memory_in_another_looper():
    memory = np.zeros((200, 1, 4096), np.float32)

    def block(looper, at, n=512, level=0.0):
        out = np.zeros((1, n), np.float32)
        looper.process(at, np.full((1, n), level, np.float32), out)
        return out[0]

    looper = Looper(48000, 1, 2, memory=memory, slot_seconds=10)
    looper.follow(Timeline.internal(48000, 133, 3, 4))
    wave = np.random.default_rng(1).normal(0, 0.1, (1, 70_000)).astype(np.float32)
    looper.slots[0].load(wave, Fraction(3 * 60 * 48000, 133), Fraction(0))
    looper.slots[0].play(Fraction(0))
    looper.press(Press(0, 0, "reverse", "off"))
    looper.press(Press(0, 1, "record", "off"))
    for at in range(0, 51_200, 512):
        block(looper, at)
    assert looper.status()[1].state == "recording"
    state = state_of(looper)
    other = Looper(48000, 1, 2, memory=memory, slot_seconds=10)
    restore(other, state)
    assert other.timeline == looper.timeline and other.status()[1].state == "empty"
    assert other.status()[0].undos == 2 and other.status()[0].reversed
    for at in range(51_200, 102_400, 512):
        ours, theirs = block(looper, at), block(other, at)
        if at > 52_000:
            np.testing.assert_array_equal(ours, theirs)
    for _ in range(4):
        other.press(Press(0, 0, "undo"))
        block(other, other.position)
    assert other.status()[0].state == "empty" and other.status()[0].redos == 2
    assert timeline_in(timeline_out(looper.timeline)) == looper.timeline
