"""The ring between a writer that may wait and a callback that may not."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descant.host.edge.audio_device import OutputRing, list_devices


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60))
def test_what_is_read_is_what_was_written_then_silence(steps: list[tuple[int, int]]) -> None:
    ring = OutputRing(2, 32)
    source = iter(range(1, 10_000))
    queued: list[float] = []
    for to_write, to_read in steps:
        n = min(to_write, ring.free)
        block = np.array([[next(source)] * 2 for _ in range(n)], np.float32).reshape(n, 2)
        ring.write(block)
        queued += block[:, 0].tolist()
        out = np.full((to_read, 2), 9e9, np.float32)
        complete = ring.read(out)
        have = min(to_read, len(queued))
        assert out[:have, 0].tolist() == queued[:have] == out[:have, 1].tolist()
        assert not out[have:].any()
        assert complete or have < to_read
        del queued[:have]
    assert 0 <= ring.free <= 32


def test_too_much_is_refused_and_silence_before_the_first_sample_is_no_underrun() -> None:
    ring = OutputRing(1, 4)
    out = np.ones((3, 1), np.float32)
    ring.read(out)
    assert ring.underruns == 0
    with pytest.raises(ValueError, match="5 samples"):
        ring.write(np.zeros((5, 1), np.float32))
    ring.write(np.ones((2, 1), np.float32))
    assert not ring.read(out)
    assert ring.underruns == 1 and ring.played == 2


def test_two_threads_lose_and_invent_nothing() -> None:
    ring, total = OutputRing(1, 256), 4_000
    got: list[np.ndarray] = []

    def read() -> None:
        taken = 0
        while taken < total:
            out = np.zeros((64, 1), np.float32)
            before = ring.played
            ring.read(out)
            got.append(out[: ring.played - before, 0].copy())
            taken = ring.played
            time.sleep(0)

    reader = threading.Thread(target=read)
    reader.start()
    written = 0
    while written < total:
        n = min(ring.free, 101, total - written)
        ring.write(np.arange(written, written + n, dtype=np.float32)[:, None])
        written += n
        time.sleep(0)
    reader.join(30)
    np.testing.assert_array_equal(np.concatenate(got), np.arange(total, dtype=np.float32))


def test_listing_devices_never_fails() -> None:
    assert all(device.inputs or device.outputs for device in list_devices())
