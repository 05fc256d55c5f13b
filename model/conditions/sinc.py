"""Another sample rate by a Hann-windowed sinc, as the reference has it; piece by piece, whatever the pieces.

The formula is torchaudio.functional.resample's with the numbers Hugging Face gives it (rolloff 0.945, 24 zero
crossings); outside the clip there is silence. A whole clip is a stream that is given one piece.
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

_ROLLOFF = 0.945  # middle of the filter's edge, as a share of the lower Nyquist frequency
_CROSSINGS = 24  # zero crossings of its sinc on a side
_MAX_PHASES = 4096  # a ratio of rates that has more is rounded, by less than a tenth of a cent
_AT_ONCE = 0.25  # seconds made in one product, about: always as many, so that all are rounded alike


def resampled(mono: Tensor, rate: float, target: int) -> Tensor:
    """[T] float32 at `rate` Hz -> [ceil(T * target / rate)] at `target` Hz."""
    stream = SincStream(rate, target)
    if stream.passes:
        return mono
    return torch.cat([stream.push(mono), stream.finish()])


class SincStream:
    """A clip that comes piece by piece, [n] float32 at `rate` Hz, and leaves at `target` Hz.

    passes: the rates are the same, and what comes in goes out.
    """

    def __init__(self, rate: float, target: int) -> None:
        ratio = Fraction(rate / target).limit_denominator(_MAX_PHASES)
        self.passes = ratio == 1
        self._ratio = ratio
        self._heard = self._made = 0
        if self.passes:
            return
        cutoff = _ROLLOFF * min(1.0, float(1 / ratio))  # of the source's Nyquist frequency
        half = math.ceil(_CROSSINGS / cutoff)  # source samples that count, on a side
        # A block of `phases` samples is made of one of `step`; the samples of a part of it share a product.
        part = max(1, math.floor(2 * half / ratio))
        self._phases = ratio.denominator * math.ceil(part / ratio.denominator)
        self._step = int(self._phases * ratio)
        self._blocks = max(1, round(_AT_ONCE * rate / self._step))
        self._parts: list[tuple[int, Tensor]] = []  # where in a block's stretch, weights [span, part]
        for first in range(0, self._phases, part):
            phase = torch.arange(first, min(first + part, self._phases))
            start = first * self._step // self._phases
            span = int(phase[-1]) * self._step // self._phases - start + 2 * half + 2
            # Where each source sample lies as seen from each of ours.
            offset = torch.arange(span)[:, None] + (start - half) - phase.double() * self._step / self._phases
            self._parts.append((start, _sinc(offset, cutoff)))
        reach = max(start + len(weights) for start, weights in self._parts)
        self._needed = (self._blocks - 1) * self._step + reach
        self._waiting = torch.zeros(half)  # what stands before the clip

    def push(self, piece: Tensor) -> Tensor:
        """The samples that are certain now, [m]; m is 0 at times."""
        self._heard += piece.numel()
        if self.passes:
            return piece
        self._waiting = torch.cat([self._waiting, piece])
        made = []
        while self._waiting.numel() >= self._needed:
            made.append(self._next())
        return torch.cat(made) if made else torch.zeros(0)

    def finish(self) -> Tensor:
        """The rest, [m]: the clip is over. Nothing can be pushed after it."""
        if self.passes:
            return torch.zeros(0)
        made, length = [], math.ceil(self._heard / self._ratio)
        before = self._made
        while self._made < length:
            short = max(0, self._needed - self._waiting.numel())
            self._waiting = torch.nn.functional.pad(self._waiting, (0, short))
            made.append(self._next())
        return torch.cat(made)[: length - before] if made else torch.zeros(0)

    def _next(self) -> Tensor:
        out = torch.empty(self._blocks, self._phases)
        stretch, first = self._waiting[: self._needed].clone(), 0  # at the same place in memory, ever so cut
        for start, weights in self._parts:
            span, width = weights.shape
            end = start + (self._blocks - 1) * self._step + span
            out[:, first : first + width] = stretch[start:end].unfold(0, span, self._step) @ weights
            first += width
        self._waiting = self._waiting[self._blocks * self._step :]
        self._made += out.numel()
        return out.flatten()


def _sinc(offset: Tensor, cutoff: float) -> Tensor:
    """Weights of source samples so far away: float64 in, float32 out."""
    crossings = (offset * cutoff).clamp(-_CROSSINGS, _CROSSINGS)
    bell = torch.cos(crossings * (math.pi / 2 / _CROSSINGS)).square()
    return (torch.sinc(crossings) * bell * cutoff).float()
