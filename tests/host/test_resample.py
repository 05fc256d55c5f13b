"""The resampler: pure in absolute position, in tune, and clean beyond the band."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.host.resample import Resampler

RATES = [8000, 22050, 24000, 31999, 32000, 44100, 47999, 48000, 88200, 96000, 192000]


def noise(n, channels=1, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (channels, n)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(RATES),
    st.integers(0, 2**31),
    st.lists(st.integers(1, 700), min_size=1, max_size=12),
    st.data(),
)
def test_any_chunking_equals_one_shot_bit_for_bit(rate, seed, chunks, data):
    resampler = Resampler(32000, rate)
    source = noise(2000, channels=data.draw(st.integers(1, 2)), seed=seed)
    total = resampler.ready(source.shape[1])
    whole = resampler.render(source, 0, 0, total)
    parts, known, done = [], 0, 0
    for chunk in [*chunks, 2000]:
        known = min(2000, known + chunk)
        ready = resampler.ready(known)
        keep = resampler.needed(done)  # everything older may be forgotten
        while done < ready:
            end = min(ready, done + data.draw(st.integers(1, 900)))
            parts.append(resampler.render(source[:, keep:known], keep, done, end))
            done = end
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


@given(st.sampled_from(RATES), st.integers(0, 5000), st.integers(0, 300))
@settings(max_examples=40, deadline=None)
def test_what_a_change_touches(rate, at, width):
    """first_touched and needed are exact: nothing earlier changes, something at or just after does."""
    resampler = Resampler(32000, rate)
    source = noise(6000)
    changed = source.copy()
    changed[:, at:] = noise(6000 - at, seed=1)
    total = resampler.ready(6000)
    before, after = (resampler.render(wave, 0, 0, total) for wave in (source, changed))
    first = resampler.first_touched(at)
    assert np.array_equal(before[:, :first], after[:, :first])
    if first < total:
        assert resampler.needed(first) <= at
    keep = resampler.needed(first)
    end = min(total, first + width)
    assert np.array_equal(resampler.render(source[:, keep:], keep, first, end), before[:, first:end])


def test_equal_rates_pass_unchanged():
    source = noise(1000, channels=2)
    resampler = Resampler(32000, 32000)
    assert resampler.ready(1000) == 1000 and resampler.half_width == 0
    assert np.array_equal(resampler.render(source, 0, 0, 1000), source)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hertz", [55.0, 440.0, 3000.0])
def test_in_tune_and_in_place(rate, hertz):
    """Away from the edges a sine comes out as the same sine at the same time: error below -75 dB."""
    resampler = Resampler(32000, rate)
    source = np.sin(2 * np.pi * hertz * np.arange(16000) / 32000).astype(np.float32)[None]
    out = resampler.render(source, 0, 0, resampler.ready(16000))[0]
    ideal = np.sin(2 * np.pi * hertz * np.arange(len(out)) / rate)
    error = (out - ideal)[rate // 100 :]
    assert 20 * np.log10(np.sqrt(2 * np.mean(error**2))) < -75


@pytest.mark.parametrize("rate", [44100, 47999, 48000, 96000, 192000])
def test_images_stay_below_the_noise(rate):
    """What lies above the source's Nyquist frequency is an image: at least 80 dB down."""
    resampler = Resampler(32000, rate)
    source = np.sin(2 * np.pi * 13000 * np.arange(32000) / 32000).astype(np.float32)[None]
    out = resampler.render(source, 0, 0, resampler.ready(32000))[0][-rate // 2 :]
    spectrum = np.abs(np.fft.rfft(out * np.kaiser(len(out), 18)))
    frequency = np.fft.rfftfreq(len(out), 1 / rate)
    assert 20 * np.log10(spectrum[frequency > 16100].max() / spectrum.max()) < -80


@pytest.mark.parametrize("rate", [8000, 22050, 24000])
def test_aliases_stay_below_the_noise(rate):
    """What lies above the target's Nyquist frequency is removed: at least 75 dB down."""
    resampler = Resampler(32000, rate)
    hertz = rate / 2 * 1.1
    source = np.sin(2 * np.pi * hertz * np.arange(32000) / 32000).astype(np.float32)[None]
    out = resampler.render(source, 0, 0, resampler.ready(32000))[0][rate // 10 :]
    assert 20 * np.log10(np.sqrt(2 * np.mean(out.astype(float) ** 2))) < -75


def test_far_positions_are_as_exact_as_near_ones():
    """Ten hours in, the same input gives the same output."""
    resampler = Resampler(32000, 44100)
    hours = 10 * 3600
    source = noise(2000)
    near = resampler.render(source, 0, 441, 1323)
    far = resampler.render(source, hours * 32000, hours * 44100 + 441, hours * 44100 + 1323)
    assert np.array_equal(near, far)
