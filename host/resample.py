"""From the codec's sample rate to the client's: a windowed sinc addressed by absolute position.

Every output sample is a pure function of its own position and of the input samples around it, computed by
the same additions in the same order however the stream is cut. So streaming equals offline bit for bit, and
going back is free. Knows nothing about streams, epochs or models.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROLLOFF = 0.93  # middle of the transition band, as a share of the lower Nyquist frequency
STOP_DB = 85.0  # designed stop-band attenuation
KEPT_PLANS = 8  # blocks of a client and frames of a model meet in a few ways only
MAX_PHASES = 2048  # more phases than this are interpolated between these (error below -125 dB)


class Resampler:
    """Immutable: rates in, samples out. Output sample n lies at source position n * source_rate /
    target_rate.

    source_rate, target_rate: Hz, positive integers. half_width: source samples needed on either side of a
    position (0 when the rates are equal: then every sample passes unchanged).
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        if source_rate <= 0 or target_rate <= 0:
            raise ValueError(f"sample rates are positive, not {source_rate} and {target_rate}")
        ratio = Fraction(source_rate, target_rate)
        self.source_rate, self.target_rate = source_rate, target_rate
        self._step, self._phases = (
            ratio.numerator,
            ratio.denominator,
        )  # source samples per `phases` output samples
        cutoff = 0.5 * ROLLOFF * min(1.0, target_rate / source_rate)  # cycles a source sample
        transition = (1 - ROLLOFF) * 2 * (cutoff / ROLLOFF)
        taps = (STOP_DB - 8) / (14.36 * transition)
        self.half_width = 0 if source_rate == target_rate else math.ceil(taps / 2)
        self._table = self._design(cutoff) if self.half_width else np.ones((1, 1))
        self._plans: OrderedDict[tuple[int, int], tuple[Ints, Floats]] = OrderedDict()

    def ready(self, available: int) -> int:
        """Output samples 0..n-1 that are final when source samples 0..available-1 are known -> n >= 0."""
        last = (
            available - 1 - self.half_width
        )  # largest source position that may lie at or after a computed one
        return 0 if last < 0 else (last * self._phases + self._phases - 1) // self._step + 1

    def first_touched(self, source: int) -> int:
        """The first output sample (>= 0) that depends on any source sample at or after `source`."""
        return self.ready(max(source, 0))

    def needed(self, first: int) -> int:
        """The earliest source sample (>= 0) that output sample `first` and later ones depend on."""
        return max(0, first * self._step // self._phases - self.half_width + 1 if self.half_width else first)

    def render(self, source: NDArray[np.float32], start: int, first: int, end: int) -> NDArray[np.float32]:
        """Output samples first..end-1.

        source: [C, m] float32, source samples start..start+m-1; must reach from needed(first) to all that
        ready() asked for `end`. Samples before source position 0 are silence. Result: [C, end - first]
        float32.
        """
        count = max(0, end - first)
        if self.half_width == 0 or count == 0:
            return source[:, first - start : end - start].copy() if count else source[:, :0].copy()
        base = first * self._step // self._phases
        index, kernel = self._plan(first, count)
        low = base - self.half_width + 1 - start
        high = int(index[-1, -1]) + 1 + low
        out = np.empty((source.shape[0], count), np.float32)
        for channel, samples in enumerate(source):
            wave = samples[max(low, 0) : high].astype(np.float64)
            if low < 0:
                wave = np.concatenate([np.zeros(-low), wave])
            products = wave.take(index)
            products *= kernel
            total = products[0].copy()
            for row in products[1:]:  # one fixed order of additions, whatever `count` is
                total += row
            out[channel] = total
        return out

    def _plan(self, first: int, count: int) -> tuple[Ints, Floats]:
        """Which source sample meets which coefficient: index and kernel [2 * half_width, count].

        The index counts from the first source sample that output sample `first` needs.
        """
        key = (first % self._phases, count)
        if (known := self._plans.get(key)) is not None:
            self._plans.move_to_end(key)
            return known
        position = (np.arange(count, dtype=np.int64) + key[0]) * self._step
        whole, phase = position // self._phases, position % self._phases
        rows = len(self._table) - 1
        if self._phases <= MAX_PHASES:
            kernel = self._table[phase].T.copy()
        else:
            left = phase * rows // self._phases
            share = (phase * rows % self._phases) / self._phases
            kernel = (
                self._table[left] * (1 - share)[:, None] + self._table[left + 1] * share[:, None]
            ).T.copy()
        index = (whole - whole[0])[None, :] + np.arange(2 * self.half_width, dtype=np.int64)[:, None]
        self._plans[key] = (index, kernel)
        if len(self._plans) > KEPT_PLANS:
            self._plans.popitem(last=False)
        return index, kernel

    def _design(self, cutoff: float) -> Floats:
        """Coefficients [rows + 1, 2 * half_width]; row r is for positions r / rows past a source sample."""
        half = self.half_width
        rows = min(self._phases, MAX_PHASES)
        offset = np.arange(-half + 1, half + 1)[None, :] - (np.arange(rows + 1) / rows)[:, None]
        beta = 0.1102 * (STOP_DB - 8.7)
        window = np.i0(beta * np.sqrt(np.clip(1 - (offset / half) ** 2, 0, None))) / np.i0(beta)
        table = np.sinc(2 * cutoff * offset) * window
        normal: Floats = table / table.sum(axis=1, keepdims=True)
        return normal
