"""The last bar, held: audio that was sent, going round without a seam, where no stream is made in time.

Answers to what a Voice answers to; nothing is made for it. Knows nothing about why it is held.
Letters: C channels, n samples. Positions are samples at the client's rate.
"""

from __future__ import annotations

import numpy as np

from descant.host.events import Wave
from descant.host.voice import fade_table

MEMORY_SECONDS = 10.0
_READY = 1 << 62


class Memory:
    """The latest sent audio by its place: [C, n]; what was replaced is replaced here, too."""

    def __init__(self, rate: int) -> None:
        self._length = round(MEMORY_SECONDS * rate)
        self._wave: Wave | None = None
        self._first = self._end = 0  # samples first..end-1 are known

    def write(self, at_sample: int, wave: Wave) -> None:
        """Audio [C, n] was sent for at_sample on; nothing after it is known any more."""
        if self._wave is None:
            self._wave = np.zeros((wave.shape[0], self._length), np.float32)
        if not self._first <= at_sample <= self._end:
            self._first = at_sample  # another place: what was is no past of it
        self._end = at_sample + wave.shape[1]
        self._first = max(self._first, self._end - self._length)
        self._wave[:, np.arange(at_sample, self._end) % self._length] = wave

    def knows(self, end: int, length: int) -> bool:
        """Whether the `length` samples before `end` are all known."""
        return self._wave is not None and self._first <= end - length <= end <= self._end

    def last(self, end: int, length: int) -> Wave | None:
        """A copy of the `length` samples before `end`; None if they are not all known."""
        if self._wave is None or not self.knows(end, length):
            return None
        found: Wave = self._wave[:, np.arange(end - length, end) % self._length]
        return found

    def forget(self) -> None:
        """The timeline goes on elsewhere."""
        self._first = self._end = 0


class Held:
    """The bar before `start`, from there on. seam: samples over which its end runs into its beginning."""

    def __init__(self, memory: Memory, start: int, lengths: tuple[int, ...], seam: int) -> None:
        self.start = start
        self.end: int | None = None
        self.fade_in = self.fade_out = 0
        self.deaf = False
        self.generator = None
        self._loop: Wave | None = None
        for length in lengths:
            wave = memory.last(start, length + seam)
            if wave is not None:
                self._loop = wave[:, seam:].copy()
                table = fade_table(seam)
                self._loop[:, -seam:] *= table[::-1]
                self._loop[:, -seam:] += wave[:, :seam] * table
                break

    @property
    def oldest_changeable(self) -> int:
        """The first sample that can still be replaced."""
        return self.start

    @property
    def ready(self) -> int:
        """The first sample that cannot be rendered yet."""
        return _READY

    @property
    def tail_end(self) -> int | None:
        """The first sample at which it is silent for good, None while it has no end."""
        return None if self.end is None else self.end + self.fade_out

    def render(self, first: int, end: int) -> Wave | float:
        """Samples first..end-1 with fades, [C, end - first]; 0.0 if there was nothing to hold."""
        if self._loop is None:
            return 0.0
        places = np.arange(first, end)
        wave: Wave = self._loop[:, (places - self.start) % self._loop.shape[1]]
        if self.fade_in:
            table = np.append(fade_table(self.fade_in), np.float32(1.0))
            wave *= table[np.minimum(places - self.start, self.fade_in)]
        if self.end is not None and self.fade_out:
            table = np.concatenate([[1.0], fade_table(self.fade_out)[::-1], [0.0]]).astype(np.float32)
            wave *= table[np.clip(places - self.end, -1, self.fade_out) + 1]
        return wave
