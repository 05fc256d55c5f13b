"""The decoder's layers over a whole sequence: causal self-attention, cross-attention, feed-forward.

The cached one-column run of the same weights is in step.py. Knows nothing about tokens or codebooks.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from descant.model.lm.attend import attend
from descant.model.lm.positions import rotate
from descant.model.spec import LmSpec


def init_linear(layer: nn.Linear, depth: int | None = None) -> None:
    """Truncated normal (3 sigma), sigma 1/sqrt(fan_in), over sqrt(2 * depth) in layer `depth` (from 1)."""
    sigma = 1.0 / math.sqrt(layer.in_features)
    if depth is not None:
        sigma /= math.sqrt(2.0 * depth)
    nn.init.trunc_normal_(layer.weight, 0.0, sigma, -3.0 * sigma, 3.0 * sigma)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def band_mask(length: int, context: int, device: torch.device) -> Tensor:
    """[length, length] bool: True where query i may see key j, that is 0 <= i - j < context."""
    index = torch.arange(length, device=device)
    distance = index[:, None] - index[None, :]
    return (distance >= 0) & (distance < context)


class SelfAttention(nn.Module):
    """Causal self-attention, no biases; queries, keys and values in one matrix, rows in that order."""

    def __init__(self, spec: LmSpec, depth: int) -> None:
        super().__init__()
        self.n_heads = spec.n_heads
        self.qkv = nn.Linear(spec.dim, 3 * spec.dim, bias=False)
        self.out = nn.Linear(spec.dim, spec.dim, bias=False)
        init_linear(self.qkv)
        init_linear(self.out, depth)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None, band: Tensor | None) -> Tensor:
        """x: [B, S, dim]. rotation: rope_table of the S positions. band: [S, S] bool, None = plain causal."""
        q, k, v = (
            self.qkv(x).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        )  # each [B, H, S, head_dim]
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        y = attend(q, k, v, band, causal=band is None)
        result: Tensor = self.out(y.transpose(1, 2).flatten(-2))
        return result


class CrossAttention(nn.Module):
    """Attention to projected text states, no biases; keys and values in one matrix, rows in that order."""

    def __init__(self, spec: LmSpec, depth: int) -> None:
        super().__init__()
        self.n_heads = spec.n_heads
        self.q = nn.Linear(spec.dim, spec.dim, bias=False)
        self.kv = nn.Linear(spec.dim, 2 * spec.dim, bias=False)
        self.out = nn.Linear(spec.dim, spec.dim, bias=False)
        init_linear(self.q)
        init_linear(self.kv)
        init_linear(self.out, depth)

    def keys_values(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """text: [B, L, dim] projected states. Result: keys and values, each [B, H, L, head_dim]."""
        k, v = self.kv(text).unflatten(-1, (2, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        return k, v

    def forward(self, x: Tensor, text: Tensor, bias: Tensor | None) -> Tensor:
        """x: [B, S, dim]. text: [B, L, dim]. bias: [B, 1, 1, L] bool, True = visible, or added, or None."""
        q = self.q(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
        k, v = self.keys_values(text)
        y = attend(q, k, v, bias)
        result: Tensor = self.out(y.transpose(1, 2).flatten(-2))
        return result


class Layer(nn.Module):
    """Pre-norm: x += self(LN x); x += cross(LN x, text), if the model reads text; x += W2 gelu(W1 LN x)."""

    def __init__(self, spec: LmSpec, depth: int) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(spec.dim, eps=spec.norm_eps)
        self.attention = SelfAttention(spec, depth)
        self.norm_cross = nn.LayerNorm(spec.dim, eps=spec.norm_eps) if spec.crosses else None
        self.cross = CrossAttention(spec, depth) if spec.crosses else None
        self.norm_ffn = nn.LayerNorm(spec.dim, eps=spec.norm_eps)
        self.ffn_in = nn.Linear(spec.dim, spec.ffn_dim, bias=False)
        self.ffn_out = nn.Linear(spec.ffn_dim, spec.dim, bias=False)
        init_linear(self.ffn_in, depth)
        init_linear(self.ffn_out, depth)

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        band: Tensor | None,
        text: Tensor | None,
        text_bias: Tensor | None,
    ) -> Tensor:
        """x: [B, S, dim]; text None stands for the null text, whose cross-attention is exactly zero."""
        x = x + self.attention(self.norm_self(x), rotation, band)
        if self.cross is not None and self.norm_cross is not None and text is not None:
            x = x + self.cross(self.norm_cross(x), text, text_bias)
        hidden = F.gelu(self.ffn_in(self.norm_ffn(x)))
        result: Tensor = x + self.ffn_out(hidden)
        return result
