"""Where a column stands in the sequence: MusicGen's sinusoids, or rotations of queries and keys (rope).

Knows nothing about tokens, caches or weights. Rotations are computed in float64, so that an hour-old stream
is as exact as a young one; sinusoids as the references compute them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

ROPE_BASE = 10000.0


def sinusoidal(positions: Tensor, dim: int, form: str = "sinusoidal") -> Tensor:
    """MusicGen's position vectors: [cos | sin], exponent denominator dim/2 - 1, always float32.

    The two references round differently (2e-4 apart at column 1500), and weights are used to one of them:
    form "sinusoidal" is transformers' MusicgenSinusoidalPositionalEmbedding, "sinusoidal_audiocraft"
    audiocraft's create_sin_embedding, operation by operation.
    positions: [S] int64, >= 0. dim: even, >= 4. Result: [S, dim] float32.
    """
    half = dim // 2
    index = torch.arange(half, dtype=torch.float32)
    at = positions.to(torch.float32)[:, None]
    if form == "sinusoidal_audiocraft":
        phase = at / torch.full((), 10000.0) ** (index / (half - 1))
    else:
        phase = at * torch.exp(index * -(math.log(10000.0) / (half - 1)))[None]
    return torch.cat([phase.cos(), phase.sin()], dim=-1)


def rope_table(positions: Tensor, head_dim: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotation of each pair of a head's values at each position.

    positions: [S] int64. head_dim: even. Result: two of [S, head_dim / 2] float32.
    """
    half = head_dim // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(ROPE_BASE) / half))
    phase = positions.to(torch.float64)[:, None] * rates.to(positions.device)
    return phase.cos().to(torch.float32), phase.sin().to(torch.float32)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn neighbouring pairs (x[2i], x[2i+1]) of every head by the angle of their position.

    x: [..., S, head_dim]. cos, sin: [S, head_dim / 2]. Result: as x.
    """
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)
