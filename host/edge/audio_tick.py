"""What happens in every block of live audio: in and out of shared memory, through the looper, past the
meters.

Thread: audio. Copies, adds and returns; allocates nothing that grows.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from descant.host.ceiling import Ceiling
from descant.host.clock_fit import ClockFit
from descant.host.edge.audio_memory import AudioMemory
from descant.host.levels import Levels
from descant.host.looper import Looper

Wave = npt.NDArray[np.float32]
MAX_BLOCK = 8192


class Tick:
    """One looper on one memory. fit: position against the monotonic clock, as this process's blocks come."""

    def __init__(self, looper: Looper, memory: AudioMemory) -> None:
        self.looper, self.memory = looper, memory
        self.fit = ClockFit(looper.rate)
        self._due: tuple[float, float, float] | None = None  # position, seconds, samples a second
        self._aligned = True
        channels, rate = memory.layout.channels, looper.rate
        self._meters = (Levels(channels, rate), Levels(channels, rate))
        self._made: Wave = np.zeros((channels, MAX_BLOCK), np.float32)
        self._sum: Wave = np.zeros((channels, MAX_BLOCK), np.float32)
        self._aside: Wave = np.zeros((channels, MAX_BLOCK), np.float32)
        self._silence: Wave = np.zeros((channels, MAX_BLOCK), np.float32)
        self._ceiling = Ceiling(channels, MAX_BLOCK)
        self._began = (0, time.monotonic())

    def take_over(self, position: float, seconds: float, at_rate: float) -> None:
        """Go on where another process would be by now; silent until it is known when our blocks are due."""
        self._due = (position, seconds, at_rate)
        self._aligned = False
        self.looper.position = round(self.due(time.monotonic()))
        self._began = (self.looper.position, time.monotonic())

    def due(self, seconds: float) -> float:
        """The sample that is due at a time, by the clock of the process before, or since our first block."""
        if self._due is not None:
            position, then, rate = self._due
            return position + (seconds - then) * rate
        return self._began[0] + (seconds - self._began[1]) * self.looper.rate

    def anew(self) -> None:
        """Another source calls from now on: its blocks come at other times, at the same place in time."""
        if self.memory.blocks:
            now = time.monotonic()
            if self.fit.settled:
                self._due = (self.fit.position_at(now), now, self.fit.rate)
            elif self._due is None:
                self._due = (self.due(now), now, float(self.looper.rate))
            self._aligned = False
        self.fit = ClockFit(self.looper.rate)

    def block(self, heard: Wave, out: Wave) -> None:
        """One block: heard [C, n] in, out [C, n] to be filled; n <= MAX_BLOCK."""
        began = time.monotonic()
        n, looper, memory = out.shape[1], self.looper, self.memory
        at = looper.position
        self.fit.update(at, began)
        if not self._aligned and self.fit.settled:
            at = self._align()
        made, total = self._made[:, :n], self._sum[:, :n]
        if not memory.take_made(at, made) and memory.making:
            memory.underruns += 1
        total[:] = made
        memory.note_heard(at, heard)
        self._meter(0, heard)  # now: out may be the same memory
        looper.process(at, heard, total, made)
        aside = self._aside[:, :n]
        if memory.take_aside(at, aside):  # after the looper: it is captured by nobody
            total += aside
        if not self._aligned:
            total[:] = 0.0
        self._meter(1, total)  # as loud as it wants to be: who plays sees that the ceiling is met
        self._ceiling.hold(total)
        out[:] = total
        if self._aligned:
            memory.stamp = 0  # so that nobody takes one block's place for another's time
            memory.position = at
            memory.stamp = int(began * 1e9)
        memory.blocks += 1
        if time.monotonic() - began > n / looper.rate:
            memory.slow += 1

    def silent_block(self, n: int) -> None:
        """A block with nobody to hear it."""
        self.block(self._silence[:, :n], self._silence[:, :n])
        self._silence[:, :n] = 0.0

    def _align(self) -> int:
        """Move to the sample that is due now, by both clocks without their jitter."""
        at = self.looper.position
        now = self.fit.seconds_of(at)
        at = round(self.due(now))
        self.looper.position = at
        self.fit.shift(at - round(self.fit.position_at(now)))
        self._aligned = True
        return at

    def _meter(self, which: int, wave: Wave) -> None:
        meter, shown = self._meters[which], self.memory.levels[which]
        meter.feed(wave)
        shown[:, 0], shown[:, 1], shown[:, 2] = meter.peak, meter.held, meter.clips
        if which == 0:
            self.memory.quiet = meter.quiet
