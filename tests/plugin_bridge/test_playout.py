"""The playout ring against a slow model of its contract, one sample at a time."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from descant.plugin_bridge.playout import PlayoutRing

RATE = 2000  # a fade is 10 samples: small enough for hypothesis to find its edges
FADE = 10


class Model:
    """The contract, read literally. Dictionaries of position -> value; output computed sample by sample."""

    def __init__(self, channels: int, capacity: int, fade: int) -> None:
        self.channels, self.capacity, self.fade = channels, capacity, fade
        self.playhead, self.epoch, self.cut, self.r = 0, -1, 0, -1
        self.new: dict[int, np.ndarray] = {}
        self.old: dict[int, np.ndarray] = {}
        self.covered: set[int] = set()
        self.late = self.far = self.stale = self.underruns = 0
        self.sounding = False

    def gain(self, p: int, r: int) -> int:
        if p not in self.new:
            return -1
        distance = next((d for d in range(self.fade) if p + d not in self.new), self.fade)
        return min(r + 1, distance)

    def heard(self, start: int, n: int) -> tuple[list[np.ndarray], int]:
        out, r = [], self.r
        for p in range(start, start + n):
            r = self.gain(p, r)
            silence = np.zeros(self.channels)
            g = math.sin(math.pi / 2 * r / self.fade) ** 2 if r > 0 else 0.0
            out.append(self.old.get(p, silence) + g * self.new.get(p, silence))
        return out, r

    def fade_old(self, cut: int) -> None:
        for p in list(self.old):
            if p >= cut + self.fade:
                del self.old[p]
            elif p >= cut:
                self.old[p] = self.old[p] * math.cos(math.pi / 2 * (p - cut) / self.fade) ** 2
        self.cut = cut

    def place(self, at: int, epoch: int, wave: np.ndarray) -> None:
        n = wave.shape[1]
        if epoch < self.epoch:
            self.stale += n
            return
        end = self.playhead + self.capacity
        inside = [p for p in range(at, at + n) if self.playhead <= p < end]
        self.late += sum(p < self.playhead for p in range(at, at + n))
        self.far += sum(p >= end for p in range(at, at + n))
        if not inside:
            return
        cut = inside[0]
        if epoch > self.epoch:
            heard, _ = self.heard(self.playhead, cut + self.fade - self.playhead)
            self.old = {self.playhead + i: value for i, value in enumerate(heard)}
            self.covered = {p for p in self.covered if p < cut}
            self.fade_old(cut)
            self.new = {}
            self.epoch = epoch
            if cut == self.playhead:
                self.r = -1
        elif cut < self.cut:
            self.covered -= set(range(cut, self.cut))
            self.fade_old(cut)
        for p in inside:
            self.new[p] = wave[:, p - at].astype(float)
            self.covered.add(p)

    def read(self, n: int) -> tuple[np.ndarray, int]:
        heard, self.r = self.heard(self.playhead, n)
        covered = 0
        for p in range(self.playhead, self.playhead + n):
            covered += p in self.covered
            self.underruns += self.sounding and p not in self.covered
            self.sounding = p in self.covered
        self.playhead += n
        self.forget(self.playhead)
        return np.array(heard).T.reshape(self.channels, n), covered

    def seek(self, at: int) -> None:
        if at == self.playhead:
            return
        tail, _ = self.heard(self.playhead, self.fade)
        self.forget(at if at > self.playhead else self.playhead + 10**9)
        self.playhead = at
        for i in range(self.fade):
            angle = math.pi / 2 * i / self.fade
            self.old[at + i] = self.old.get(at + i, 0) * math.sin(angle) ** 2 + tail[i] * math.cos(angle) ** 2
        self.r, self.sounding = -1, False

    def forget(self, before: int) -> None:
        self.new = {p: v for p, v in self.new.items() if p >= before}
        self.old = {p: v for p, v in self.old.items() if p >= before}
        self.covered = {p for p in self.covered if p >= before}


def voice(epoch: int, at: int, n: int, channels: int) -> np.ndarray:
    """What epoch `epoch` sounds like at each position: the same whatever block carries it."""
    p = np.arange(at, at + n)
    return np.stack([np.cos(0.37 * p + epoch + c) for c in range(channels)]).astype(np.float32)


place = st.tuples(st.just("place"), st.integers(-40, 160), st.integers(0, 4), st.integers(1, 60))
read = st.tuples(st.just("read"), st.integers(1, 70))
seek = st.tuples(st.just("seek"), st.integers(-60, 200))
one = st.one_of(place, place, read)


@settings(max_examples=200, deadline=None)
@given(st.lists(one, max_size=40), st.integers(1, 2), st.sampled_from([40, 97, 128]))
def test_whatever_arrives_in_whatever_order_equals_the_model(steps, channels, capacity):
    check(steps, channels, capacity)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(place, place, read, seek), max_size=40),
    st.integers(1, 2),
    st.sampled_from([40, 97, 128]),
)
@example([("place", 0, 0, 60), ("read", 12), ("place", 40, 1, 20), ("seek", 8), ("read", 60)], 1, 128)
@example(
    [("place", 0, 0, 60), ("read", 20), ("seek", 200), ("read", 20), ("place", 0, 0, 30), ("read", 40)], 2, 97
)
def test_seeks_too(steps, channels, capacity):
    check(steps, channels, capacity)


def check(steps, channels, capacity) -> None:
    ring = PlayoutRing(channels, RATE, capacity, max_block=32)
    model = Model(channels, capacity, FADE)
    assert ring.fade == FADE
    for step in steps:
        if step[0] == "place":
            _, offset, epoch, n = step
            at = ring.playhead + offset
            wave = voice(epoch, at, n, channels)
            ring.place(at, epoch, wave)
            model.place(at, epoch, wave)
        elif step[0] == "read":
            out = np.full((channels, step[1]), np.nan, np.float32)
            covered = ring.read_into(out)
            expected, expected_covered = model.read(step[1])
            np.testing.assert_allclose(out, expected, atol=2e-6)
            assert covered == expected_covered
        else:
            at = ring.playhead + step[1]
            ring.seek(at)
            model.seek(at)
        for name in ("playhead", "epoch", "late", "far", "stale", "underruns"):
            assert getattr(ring, name) == getattr(model, name), name


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(place, place, read, seek), max_size=40))
def test_no_step_is_larger_than_the_fade_allows(steps):
    """Constant audio at full scale: all movement comes from fades, each at most a raised cosine over 5 ms."""
    ring = PlayoutRing(1, 48000, 6000)
    heard = [np.zeros((1, 1), np.float32)]
    for step in steps:
        if step[0] == "place":
            ring.place(ring.playhead + 24 * step[1], step[2], np.ones((1, 24 * step[3]), np.float32))
        elif step[0] == "read":
            heard.append(np.empty((1, 24 * step[1]), np.float32))
            ring.read_into(heard[-1])
        else:
            ring.seek(ring.playhead + 24 * step[1])
    out = np.concatenate(heard, axis=1)
    steepest = math.pi / 2 / ring.fade
    assert np.abs(np.diff(out)).max(initial=0) <= 4 * steepest * max(1.0, np.abs(out).max())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=20),
    st.lists(st.integers(1, 300), min_size=1, max_size=20),
)
def test_chunk_sizes_of_blocks_and_reads_do_not_matter(blocks, reads):
    total = 2000
    wave = voice(1, 0, total, 2)
    ring = PlayoutRing(2, RATE, total)
    at = 0
    for i in range(total):
        n = min(blocks[i % len(blocks)], total - at)
        if not n:
            break
        ring.place(at, 1, wave[:, at : at + n])
        at += n
    out = np.empty((2, total), np.float32)
    at = 0
    for i in range(total):
        n = min(reads[i % len(reads)], total - at)
        if not n:
            break
        assert ring.read_into(out[:, at : at + n]) == n
        at += n
    np.testing.assert_array_equal(out[:, FADE : total - FADE], wave[:, FADE : total - FADE])
    assert ring.underruns == 0


def test_a_later_epoch_takes_over_at_equal_gain():
    ring = PlayoutRing(1, 48000, 48000)
    old, new = np.zeros((1, 4800), np.float32), np.zeros((1, 4800), np.float32)
    old[:], new[:] = 1.0, -1.0
    ring.place(0, 1, old)
    ring.place(2400, 2, new)
    out = np.empty((1, 4000), np.float32)
    ring.read_into(out)
    assert (out[0, 240:2400] == 1.0).all() and (out[0, 2640:] == -1.0).all()
    x = np.arange(240) / 240 * math.pi / 2
    np.testing.assert_allclose(out[0, 2400:2640], np.cos(x) ** 2 - np.sin(x) ** 2, atol=1e-6)


def test_the_same_sound_on_both_sides_of_a_cut_is_left_alone():
    ring = PlayoutRing(1, 48000, 48000)
    tone = np.sin(np.arange(4800) * 0.05, dtype=np.float32)[None]
    ring.place(0, 1, tone)
    ring.place(2400, 2, tone[:, 2400:])
    out = np.empty((1, 4000), np.float32)
    ring.read_into(out)
    np.testing.assert_allclose(out[:, 240:], tone[:, 240:4000], atol=1e-6)


def test_a_gap_fades_out_before_and_in_after_and_counts_once():
    ring = PlayoutRing(1, 48000, 48000)
    ring.place(0, 0, np.ones((1, 1000), np.float32))
    ring.place(2000, 0, np.ones((1, 2000), np.float32))
    out = np.empty((1, 3000), np.float32)
    assert ring.read_into(out) == 2000
    assert ring.underruns == 1
    assert (out[0, 240:760] == 1).all() and (out[0, 1000:2000] == 0).all() and (out[0, 2240:] == 1).all()
    assert (np.diff(out[0, 760:1001]) < 0).all() and (np.diff(out[0, 2000:2240]) > 0).all()


def test_a_gap_filled_in_time_leaves_no_trace_and_a_fade_turns_round():
    ring = PlayoutRing(1, 48000, 48000)
    ring.place(0, 0, np.ones((1, 1000), np.float32))
    out = np.empty((1, 2000), np.float32)
    ring.read_into(out[:, :900])  # 100 samples into the closing fade of 240
    ring.place(1000, 0, np.ones((1, 2000), np.float32))
    ring.read_into(out[:, 900:])
    assert ring.underruns == 0
    assert out[0, 899] < 0.65 and (out[0, 1100:] == 1).all()
    assert np.abs(np.diff(out[0, 240:])).max() <= math.pi / 2 / 240 + 1e-6


def test_a_fresh_host_may_count_its_epochs_from_zero():
    ring = PlayoutRing(1, 48000, 4800)
    ring.place(0, 9, np.ones((1, 1000), np.float32))
    assert ring.place(500, 0, np.ones((1, 100), np.float32)) == 0
    ring.forget_epochs()
    assert ring.place(500, 0, np.ones((1, 100), np.float32)) == 100
    assert ring.ahead(4800) == 600


@pytest.mark.parametrize("capacity", [300, 4800])
def test_memory_is_what_was_allocated_at_the_start(capacity):
    ring = PlayoutRing(2, 48000, capacity)
    arrays = {name: id(value) for name, value in vars(ring).items() if isinstance(value, np.ndarray)}
    out = np.empty((2, 256), np.float32)
    for i in range(200):
        ring.place(ring.playhead + i % 97, i // 3, voice(i, 0, 64, 2))
        ring.read_into(out)
    assert {name: id(value) for name, value in vars(ring).items() if isinstance(value, np.ndarray)} == arrays


def test_no_array_is_made_while_reading_placing_cutting_or_seeking():
    ring = PlayoutRing(2, 48000, 96000)
    wave, out = np.ones((2, 4096), np.float32), np.empty((2, 4096), np.float32)

    def play() -> None:
        for i in range(30):
            ring.place(ring.playhead + 100 * (i % 3), ring.epoch + i % 2, wave)
            ring.place(ring.playhead + 5000, ring.epoch + 1, wave)
            ring.read_into(out)
        ring.seek(ring.playhead + 500)
        ring.read_into(out)

    play()
    tracemalloc.start()
    play()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4096, "less than the smallest array of a block: only numbers, lists and views"
