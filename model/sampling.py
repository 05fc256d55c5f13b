"""Logits to tokens: guidance, temperature, top-k or top-p, and a draw from an explicit generator.

Knows nothing about models, frames or audio. No global seed anywhere: the same generator state gives the same
tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descant.model.errors import ModelError

MAX_EVERY = 16
_MASK = (1 << 64) - 1
_FAR = 1 << 62  # frames


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    temperature: 0..10; sharpness, 1 = as learned, 0 = greedy (the likeliest token, no draw).
    top_k: 0..; only the k likeliest may be chosen, with all that tie with the k-th; 0 = all. Not used if
    top_p > 0. top_p: 0..1; only the likeliest that together hold this probability may be chosen; 0 = off.
    guidance: -10..20; null + guidance * (conditioned - null) on the logits; 1 = off.
    beta: 0..20, double guidance, for streams started with guided="double": what the text adds to the melody
        alone is multiplied by it first, null + guidance * (melody + beta * (both - melody) - null); None =
        off.
    every: 1..16; guidance is computed at every so many-th column. Between them what it last added to the
        logits is added again: on the embedded model that diverges from guidance at every column (KL) by a
        quarter to a third of what leaving it out there does at every second column, by two to three fifths
        at every fourth. Native kernels run the null rows late, several columns in one go.
    fall: 0..1000000 frames over which guidance falls from its value to 1, in a straight line from frame
        fall_from of the stream on; 0 = it stays.
    Raises ModelError for a value outside these.
    """

    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0
    guidance: float = 3.0
    beta: float | None = None
    every: int = 1
    fall: int = 0
    fall_from: int = 0

    def __post_init__(self) -> None:
        beta = self.beta
        if beta is not None and (
            isinstance(beta, bool) or not isinstance(beta, (int, float)) or not 0.0 <= beta <= 20.0
        ):
            raise _bad("beta", beta, "a number 0 to 20, or None")
        for name, low, high in (("temperature", 0.0, 10.0), ("top_p", 0.0, 1.0), ("guidance", -10.0, 20.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise _bad(name, value, f"a number {low:g} to {high:g}")
        if isinstance(self.top_k, bool) or not isinstance(self.top_k, int) or self.top_k < 0:
            raise _bad("top_k", self.top_k, "a whole number from 0")
        for name, low, high in (("every", 1, MAX_EVERY), ("fall", 0, 1_000_000), ("fall_from", -_FAR, _FAR)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise _bad(name, value, f"a whole number {low:g} to {high:g}")

    def at(self, frame: int) -> Sampling:
        """What it is at a frame of the stream."""
        if not self.fall:
            return self
        left = 1.0 - min(max(0, frame - self.fall_from), self.fall) / self.fall
        return replace(self, guidance=1.0 + (self.guidance - 1.0) * left, fall=0)

    @property
    def guides(self) -> bool:
        """Whether null rows have a say."""
        return self.guidance != 1.0 or self.beta is not None


def _bad(name: str, value: object, allowed: str) -> ModelError:
    return ModelError(
        f"Sampling {name} is {value!r}; allowed: {allowed}.",
        "The sampling in use is unchanged.",
        f"Choose {name} within these bounds.",
    )


def mix_guidance(conditioned: Tensor, null: Tensor, scale: float) -> Tensor:
    """null + scale * (conditioned - null), on raw logits of any one shape."""
    return torch.lerp(null, conditioned, scale)


def mix_rows(rows: Tensor, sampling: Sampling) -> Tensor:
    """A stream's rows [R, ...] of raw logits as one: conditioned, (melody alone,) null, by their guidance.

    R 1: no guidance. R 3: beta applies, as in audiocraft's double classifier-free guidance for style models.
    """
    conditioned = rows[0]
    if rows.shape[0] == 1:
        return conditioned
    if rows.shape[0] == 3 and sampling.beta is not None:
        conditioned = mix_guidance(conditioned, rows[1], sampling.beta)
    elif sampling.guidance == 1.0:
        return conditioned
    return mix_guidance(conditioned, rows[-1], sampling.guidance)


def probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    """What may be drawn, and how likely: logits [..., cardinality] -> as many float64, each row summing to 1.

    Temperature first, then softmax, then top-p if > 0, else top-k. Temperature 0: all on the likeliest (the
    first).
    """
    if sampling.temperature == 0.0:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.zeros(logits.shape, dtype=torch.float64).scatter_(-1, best, 1.0)
    scaled = logits
    if sampling.temperature != 1.0:
        scaled = logits.to(torch.float64)
        # never inf - inf, however cold
        scaled = (scaled - scaled.amax(dim=-1, keepdim=True)) / sampling.temperature
    if sampling.top_p > 0.0:
        chances = scaled.softmax(dim=-1, dtype=torch.float64)
        ordered, order = chances.sort(dim=-1, descending=True, stable=True)
        before = ordered.cumsum(dim=-1) - ordered
        kept = torch.zeros_like(chances).scatter_(-1, order, ordered * (before < sampling.top_p))
        return kept / kept.sum(dim=-1, keepdim=True)
    if 0 < sampling.top_k < logits.shape[-1]:
        least = scaled.topk(sampling.top_k, dim=-1).values[..., -1:]
        scaled = scaled.masked_fill(scaled < least, -math.inf)
    return scaled.softmax(dim=-1, dtype=torch.float64)


def sample(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """One token a row: logits [K, cardinality] -> [K] int64.

    Takes exactly K numbers from the generator (none when greedy), so what one row draws never depends on
    another.
    """
    if sampling.temperature == 0.0:
        return logits.argmax(dim=-1)
    heap = probabilities(logits, sampling).cumsum(dim=-1)
    height = torch.rand(logits.shape[0], 1, dtype=torch.float64, generator=generator) * heap[:, -1:]
    # the first token whose heap rises above the height: never one of chance 0
    return (heap <= height).sum(dim=-1)


def column_seed(seed: int, column: int) -> int:
    """The seed of a column's draws: SplitMix64 of the stream's seed and the column, 0 .. 2^63 - 1."""
    z = (seed * 0x9E3779B97F4A7C15 + (column + 1) * 0xD1B54A32D192ED03) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) >> 1


def check_seed(seed: int) -> int:
    """A whole number 0 .. 2^64 - 1, or ModelError."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= _MASK:
        raise ModelError(
            f"Seed {seed!r} is not allowed; allowed: a whole number 0 to 2^64 - 1.",
            "Nothing was started.",
            "Choose another seed, such as 0.",
        )
    return seed
