"""A layer of a loop in motion: which of its samples is heard where.

Cycles start at the nearest sample to anchor + c * length, counted exactly, so a loop of whole bars stays on
the bars for hours; one cycle may be a sample shorter than the next. The end of each cycle goes over into
the lead-in, whatever the cycle's length, so the seam is what the source was there. Knows nothing about
slots, presses or tempo.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from descant.host.events import Wave
from descant.host.loop_memory import Layer
from descant.host.loop_ramp import raised

HALF = Fraction(1, 2)
_REACH = 8  # content samples on either side that half speed interpolates from


def rounded(position: Fraction) -> int:
    """The nearest sample, as the transport rounds its lines."""
    return math.floor(position + HALF)


class LoopVoice:
    """Reads a layer [C, T] at positions.

    seam: samples over which a cycle's end goes over into the lead-in. max_block: the most that is read at
    once.
    """

    def __init__(self, channels: int, seam: int, max_block: int) -> None:
        self._seam = seam
        self._in = raised(seam)[1:]
        self._out: Wave = (1 - self._in).astype(np.float32)
        self._work: Wave = np.zeros((channels, max_block), np.float32)
        self._lead: Wave = np.zeros((channels, seam), np.float32)
        self._wide: Wave = np.zeros((channels, max_block + 2 * _REACH + 2), np.float32)
        self._odd: Wave = np.zeros((channels, max_block + 2), np.float32)
        offsets = np.arange(_REACH) + 0.5
        taps = np.sinc(offsets) * np.kaiser(4 * _REACH + 1, 6.0)[2 * _REACH + 1 :: 2][:_REACH]
        self._taps = (taps / (2 * taps.sum())).astype(np.float32)

    def cycle(self, layer: Layer, position: int) -> tuple[int, int]:
        """(start, end) of the cycle at a position, in samples; at half speed a cycle lasts twice as long."""
        if layer.half:
            zero = rounded(layer.anchor)
            start, end = _cycle(Fraction(0), layer.length, (position - zero) // 2)
            return zero + 2 * start, zero + 2 * end
        return _cycle(layer.anchor, layer.length, position)

    def read(self, layer: Layer, position: int, out: Wave) -> None:
        """Fill out [C, n], n <= max_block, with what the layer sounds like from a position on."""
        if layer.empty:
            out[:] = 0.0
        elif not layer.half:
            self._content(layer, layer.anchor, position, out)
        else:
            zero, n = rounded(layer.anchor), out.shape[1]
            first = (position - zero) // 2
            skip = position - zero - 2 * first
            n_content = (n + skip + 1) // 2
            wide = self._wide[:, : n_content + 2 * _REACH]
            self._content(layer, Fraction(0), first - _REACH + 1, wide)
            odd = self._odd[:, :n_content]
            odd[:] = 0.0
            for k, tap in enumerate(self._taps):
                left, right = _REACH - 1 - k, _REACH + k
                odd += tap * (wide[:, left : left + n_content] + wide[:, right : right + n_content])
            even = wide[:, _REACH - 1 : _REACH - 1 + n_content]
            out[:, skip::2] = even[:, : (n - skip + 1) // 2] if not skip else even[:, 1 : 1 + n // 2]
            out[:, 1 - skip :: 2] = odd[:, : (n + skip) // 2]

    def _content(self, layer: Layer, anchor: Fraction, at: int, out: Wave) -> None:
        """Fill out [C, n] at full speed, cycle after cycle."""
        done, n = 0, out.shape[1]
        while done < n:
            start, end = _cycle(anchor, layer.length, at + done)
            length = min(n - done, end - at - done)
            self._piece(layer, end - start, at + done - start, out[:, done : done + length])
            done += length

    def _piece(self, layer: Layer, cycle: int, at: int, out: Wave) -> None:
        """Part of one cycle of `cycle` samples, from its sample `at` on."""
        n = out.shape[1]
        if layer.reversed:
            done = 0
            while done < n:
                part = self._work[:, : min(n - done, self._work.shape[1])]
                length = part.shape[1]
                self._forward(layer, cycle, cycle - at - done - length, part)
                out[:, done : done + length] = part[:, ::-1]
                done += length
        else:
            self._forward(layer, cycle, at, out)

    def _forward(self, layer: Layer, cycle: int, at: int, out: Wave) -> None:
        layer.read(at, out)
        first = max(at, cycle - self._seam)
        n = at + out.shape[1] - first
        if n > 0:
            lead_at = first - (cycle - self._seam)
            lead = self._lead[:, :n]
            layer.read(lead_at, lead, lead_in=True)
            lead *= self._in[lead_at : lead_at + n]
            tail = out[:, first - at :]
            tail *= self._out[lead_at : lead_at + n]
            tail += lead


def _cycle(anchor: Fraction, length: Fraction, position: int) -> tuple[int, int]:
    """The cycle of exact length `length` that holds a sample: its first one, and the next cycle's."""
    count = math.ceil((position + HALF - anchor) / length) - 1
    start = anchor + count * length
    return rounded(start), rounded(start + length)
