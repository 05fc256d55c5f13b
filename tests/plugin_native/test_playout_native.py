"""The plugin's playout ring is the Python client's, sample for sample, whatever arrives in whatever order."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from descant.plugin_bridge.playout import PlayoutRing
from tests.plugin_native.rig import N_COUNTS, NativePlayout

place = st.tuples(st.just("place"), st.integers(-40, 160), st.integers(0, 4), st.integers(1, 60))
steps = st.lists(
    st.one_of(
        place,
        place,
        st.tuples(st.just("read"), st.integers(1, 70)),
        st.tuples(st.just("seek"), st.integers(-60, 200)),
        st.tuples(st.just("forget")),
    ),
    max_size=40,
)


def voice(epoch: int, at: int, n: int, channels: int) -> np.ndarray:
    p = np.arange(at, at + n)
    return np.stack([np.cos(0.37 * p + epoch + c) for c in range(channels)]).astype(np.float32)


def check(lib: ctypes.CDLL, script: list, channels: int, rate: int, capacity: int, scale: int = 1) -> None:
    """Play the script on both rings; every sample and every count must be the same."""
    ring, native = PlayoutRing(channels, rate, capacity), NativePlayout(lib, channels, rate, capacity)
    for step in script:
        if step[0] == "place":
            _, offset, epoch, n = step
            at = ring.playhead + offset * scale
            wave = voice(epoch, at, n * scale, channels)
            assert ring.place(at, epoch, wave) == native.place(at, epoch, wave)
        elif step[0] == "read":
            out = np.full((channels, step[1] * scale), np.nan, np.float32)
            covered = ring.read_into(out)
            heard, native_covered = native.read(step[1] * scale)
            np.testing.assert_array_equal(heard, out)
            assert native_covered == covered
        elif step[0] == "seek":
            at = ring.playhead + step[1] * scale
            ring.seek(at)
            native.seek(at)
        else:
            ring.forget_epochs()
            native.forget_epochs()
        assert native.counts() == {name: getattr(ring, name) for name in N_COUNTS}
        for limit in (1, 7, 10**6):
            assert native.ahead(limit) == ring.ahead(limit)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.integers(1, 2), st.sampled_from([40, 97, 128]))
@example([("place", 0, 0, 60), ("read", 12), ("place", 40, 1, 20), ("seek", 8), ("read", 60)], 1, 128)
@example(
    [("place", 0, 0, 60), ("read", 20), ("seek", 200), ("read", 20), ("place", 0, 0, 30), ("read", 40)], 2, 97
)
def test_small_rings(lib, script, channels, capacity):
    check(lib, script, channels, 2000, capacity)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.sampled_from([22050, 44100, 48000, 96000, 192000]))
def test_rings_of_a_real_size(lib, script, rate):
    check(lib, script, 2, rate, rate // 4, 67)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 88200, 96000, 176400, 192000, 384000])
def test_fades_are_the_same_at_every_rate(lib, rate):
    check(
        lib, [("place", 0, 0, 1), ("read", 1), ("place", 1, 1, 1), ("read", 3)], 1, rate, 2 * rate, rate // 20
    )


def test_mono_goes_to_every_channel(lib):
    native = NativePlayout(lib, 2, 48000, 4800)
    native.place(0, 0, np.linspace(-1, 1, 1000, dtype=np.float32)[None])
    heard, _ = native.read(1000)
    np.testing.assert_array_equal(heard[0], heard[1])
    assert heard[0, 500] != 0
