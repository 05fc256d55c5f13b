"""What is put into a loop: a stretch of the past, recorded, overdubbed, put in its place, or multiplied.

It reads from a History, behind what is played by the latency of the input, and catches up where it was told
late: so a press after the line still records from the line. Knows nothing about slots, presses or tempo.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from descant.host.events import Wave
from descant.host.loop_memory import History, Layer
from descant.host.loop_ramp import raised
from descant.host.loop_voice import LoopVoice

Kind = Literal["record", "overdub", "replace", "multiply"]


class LoopWriter:
    """Writes one stretch of a source into one layer, a little at a time.

    start: the first position that belongs to the loop; a ramp of `seam` samples leads up to it. end: the
    first position that no longer does, None while that is not known; an overdub ramps down from there.

    Thread: audio, but for the making of it.
    """

    def __init__(self, channels: int, seam: int, max_block: int) -> None:
        self._seam = seam
        self._gains = raised(seam)
        self._block = max_block
        self._voice = LoopVoice(channels, seam, max_block)
        self._wave: Wave = np.zeros((channels, max_block), np.float32)
        self._under: Wave = np.zeros((channels, max_block), np.float32)
        self._gain: Wave = np.zeros(max_block, np.float32)
        self._steps = np.arange(max_block)
        self.kind: Kind = "record"
        self.end: int | None = None
        self.active = False
        self.failed = False

    def begin(
        self, kind: Kind, layer: Layer, start: int, source: History, delay: int = 0, base: Layer | None = None
    ) -> None:
        """Start at once, with what is in the past already.

        delay: samples by which the source comes late. base: what a multiply repeats.
        """
        self.kind = kind
        self.layer, self.start, self._base = layer, start, base
        self.end = None
        self._source, self._delay = source, delay
        self._next = start - self._seam
        self.active, self.failed = True, False

    def finish(self, end: int | None = None) -> None:
        """Stop at a position, past or to come; None: where it has come to. What is already written beyond it
        is never heard when a layer begins. An overdub ramps down from where it has come to at the earliest:
        what is in the loop at full level cannot end there without a step.
        """
        if end is None:
            self.end = self._next
        else:
            self.end = max(end, self._next) if self.kind in ("overdub", "replace") else end

    def abandon(self) -> None:
        self.active = self.failed = False

    def needs(self, layer: Layer) -> bool:
        """Whether a layer is being written, or repeated into the one that is."""
        return (self.active or self.failed) and (layer is self.layer or layer is self._base)

    def has(self, layer: Layer, position: int, n: int) -> bool:
        """Whether all that a layer sounds like in n samples from a position on is written: not where a new
        loop is still being fetched from the past.
        """
        if not self.needs(layer) or layer is not self.layer or self.kind in ("overdub", "replace"):
            return True
        start, end = self._voice.cycle(layer, position)
        return self._next - self.start >= min(position + n, end) - start

    def left(self, here: int, speed: int) -> int:
        """Samples from a position on until all is written, at `speed` times real time; the end is known."""
        last = self._last()
        return max(1, last + self._delay - here, -(-(last - self._next) // speed))

    def advance(self, budget: int, until: int) -> None:
        """Write what has come before the position `until`, at most `budget` samples. `active` is False when
        all is written, `failed` True when memory has run out.
        """
        limit = min(min(self._source.end, until) - self._delay, self._next + budget, self._last())
        while self.active and self._next < limit:
            n = min(limit - self._next, self._block)
            if self._next < self.start:
                n = min(n, self.start - self._next)
            if not (self._punched(n) if self.kind in ("overdub", "replace") else self._recorded(n)):
                self.active, self.failed = False, True
                return
            self._next += n
        if self.end is not None and self._next >= self._last():
            self.active = False

    def _last(self) -> int:
        """The first position that nothing is written at."""
        if self.kind in ("overdub", "replace"):
            return 2**62 if self.end is None else self.end + self._seam
        n_samples = self.layer.room if self.end is None else math.ceil(self.layer.length)
        return self.start + n_samples

    def _recorded(self, n: int) -> bool:
        """n samples of a new loop, or of the lead-in to it."""
        wave, at = self._wave[:, :n], self._next
        self._source.read(at + self._delay, wave)
        if self.kind == "multiply" and self._base is not None:
            if at < self.start:
                wave *= self._gains[at - self.start + self._seam :][:n]
            under = self._under[:, :n]
            self._voice.read(self._base, at, under)
            wave += under
        if at < self.start:
            return self.layer.write(at - self.start + self._seam, wave, lead_in=True)
        return self.layer.write(at - self.start, wave)

    def _punched(self, n: int) -> bool:
        """n samples on top of a loop that is there, or in place of it."""
        gain = self._gain_of(n)
        wave = self._wave[:, :n]
        self._source.read(self._next + self._delay, wave)
        wave *= gain
        keep: Wave | float = 1 - gain if self.kind == "replace" else 1.0
        done = 0
        while done < n:
            start, end = self._voice.cycle(self.layer, self._next + done)
            length = min(n - done, end - self._next - done)
            at = self._next + done - start
            piece = wave[:, done : done + length]
            kept = keep if isinstance(keep, float) else keep[done : done + length]
            if self.layer.reversed:
                at, piece = end - start - at - length, piece[:, ::-1]
                kept = kept if isinstance(kept, float) else kept[::-1]
            if not self._put(at, end - start, piece, kept):
                return False
            done += length
        return True

    def _put(self, at: int, cycle: int, piece: Wave, keep: Wave | float) -> bool:
        """Into the loop; near the end of the cycle into the lead-in, too, which is heard there as well."""
        lead = at + piece.shape[1] - max(at, cycle - self._seam)
        if lead > 0:
            tail = piece[:, -lead:]
            kept = keep if isinstance(keep, float) else keep[-lead:]
            first = at + piece.shape[1] - lead - (cycle - self._seam)
            if not self.layer.write(first, tail, kept, lead_in=True):
                return False
        return self.layer.write(at, piece, keep)

    def _gain_of(self, n: int) -> Wave:
        """[n] gains of the source: up before the start, down after the end."""
        gain, at = self._gain[:n], self._next
        gain[:] = 1.0
        if at < self.start:
            gain[:] = self._gains[at - self.start + self._seam :][:n]
        if self.end is not None and at + n > self.end:
            left = self._seam - (at + self._steps[:n] - self.end)
            gain *= self._gains[np.clip(left, 0, self._seam)]
        return gain
