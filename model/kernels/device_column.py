"""Columns through the layers as operations on fixed tensors, which a GPU can record once and play again.

No shape, address or number of a column's work is read back on the way: where it is written and what it sees
are tensors, too. Knows nothing about streams, text or graphs. Letters as everywhere; R rows that see a text,
L its tokens, W slots of a cache, S columns at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from descant.model.lm.positions import rotate
from descant.model.lm.transformer import Layer
from descant.model.spec import LmSpec

Norm = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class DeviceLayer:
    """A layer's weights on a device. Matrices in the column's precision, norms float32.

    qkv: queries are scaled by 1 / sqrt(head_dim) already, those of cross-attention too.
    """

    norms: tuple[Norm, Norm | None, Norm]
    qkv: Tensor
    out: Tensor
    ffn_in: Tensor
    ffn_out: Tensor
    cross_q: Tensor | None
    cross_kv: Tensor | None
    cross_out: Tensor | None


@dataclass(frozen=True, eq=False)
class DeviceText:
    """What cross-attention sees, a layer each: keys and values [R, H, L, head_dim]; empty for null.

    hidden: [R, 1, 1, L], added to the scores.
    """

    keys: tuple[Tensor, ...] = ()
    values: tuple[Tensor, ...] = ()
    hidden: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Place:
    """Where columns are written, and what they see.

    slots: [S] int64. newest, seen: [S, 1] int64: a column sees the `seen` slots that end at `newest`, itself
    included, going round. turn: cos and sin [S, head_dim / 2] float32 of rotary positions, or None.
    """

    slots: Tensor
    newest: Tensor
    seen: Tensor
    turn: tuple[Tensor, Tensor] | None


def device_layer(layer: Layer, device: torch.device, dtype: torch.dtype) -> DeviceLayer:
    """A copy of a layer's weights there."""

    def norm(module: torch.nn.LayerNorm) -> Norm:
        return module.weight.detach().to(device, torch.float32), module.bias.detach().to(
            device, torch.float32
        )

    def matrix(weight: Tensor, scale: float = 1.0, rows: int = 0) -> Tensor:
        weight = weight.detach().to(torch.float32).clone()
        weight[:rows] *= scale
        return weight.to(device, dtype)

    dim = layer.attention.out.weight.shape[0]
    scale = (dim // layer.attention.n_heads) ** -0.5
    cross = layer.cross
    return DeviceLayer(
        (
            norm(layer.norm_self),
            norm(layer.norm_cross) if layer.norm_cross is not None else None,
            norm(layer.norm_ffn),
        ),
        matrix(layer.attention.qkv.weight, scale, dim),
        matrix(layer.attention.out.weight),
        matrix(layer.ffn_in.weight),
        matrix(layer.ffn_out.weight),
        matrix(cross.q.weight, scale, dim) if cross is not None else None,
        matrix(cross.kv.weight) if cross is not None else None,
        matrix(cross.out.weight) if cross is not None else None,
    )


def visible(place: Place, n_slots: int) -> Tensor:
    """[S, W] float32, added to scores: 0 for the slots that each column sees, else -inf."""
    slots = torch.arange(n_slots, device=place.slots.device)
    age = torch.remainder(place.newest - slots, n_slots)
    zero = torch.zeros((), device=place.slots.device)
    return torch.where(age < place.seen, zero, zero - torch.inf)


def run_columns(
    spec: LmSpec,
    layers: list[DeviceLayer],
    x: Tensor,
    caches: tuple[Tensor, Tensor],
    text: DeviceText,
    place: Place,
) -> Tensor:
    """x [B, S, dim] float32 -> as much, after all layers.

    caches: keys and values [layers, B, H, W, head_dim], in the column's precision; written in place.
    """
    batch, length, dim = x.shape
    heads, width, shape, eps = spec.n_heads, spec.head_dim, (spec.dim,), spec.norm_eps
    keys, values = caches
    dtype = keys.dtype
    mask = visible(place, keys.shape[3]).to(dtype)
    for index, layer in enumerate(layers):
        norm_self, norm_cross, norm_ffn = layer.norms
        qkv = F.linear(F.layer_norm(x, shape, *norm_self, eps).to(dtype), layer.qkv)
        q, k, v = qkv.view(batch, length, 3, heads, width).permute(2, 0, 3, 1, 4)  # each [B, H, S, head_dim]
        if place.turn is not None:
            q, k = (rotate(part.float(), *place.turn).to(dtype) for part in (q, k))
        keys[index].index_copy_(2, place.slots, k)
        values[index].index_copy_(2, place.slots, v)
        y = F.scaled_dot_product_attention(q, keys[index], values[index], attn_mask=mask, scale=1.0)
        x = x + F.linear(y.transpose(1, 2).reshape(batch, length, dim), layer.out).float()
        if text.keys:
            assert norm_cross is not None and layer.cross_q is not None and layer.cross_out is not None
            rows = text.keys[0].shape[0]
            asked = F.linear(F.layer_norm(x[:rows], shape, *norm_cross, eps).to(dtype), layer.cross_q)
            asked = asked.view(rows, length, heads, width).transpose(1, 2)
            y = F.scaled_dot_product_attention(
                asked, text.keys[index], text.values[index], attn_mask=text.hidden, scale=1.0
            )
            found = F.linear(y.transpose(1, 2).reshape(rows, length, dim), layer.cross_out).float()
            x = torch.cat([x[:rows] + found, x[rows:]])
        hidden = F.gelu(F.linear(F.layer_norm(x, shape, *norm_ffn, eps).to(dtype), layer.ffn_in))
        x = x + F.linear(hidden, layer.ffn_out).float()
    return x


def text_of(spec: LmSpec, layers: list[DeviceLayer], states: Tensor, hidden: Tensor | None) -> DeviceText:
    """states [R, L, dim] on the device, hidden [R, 1, 1, L] or None -> what cross-attention sees of them."""
    rows, tokens, _ = states.shape
    keys, values = [], []
    for layer in layers:
        assert layer.cross_kv is not None
        both = F.linear(states.to(layer.cross_kv.dtype), layer.cross_kv)
        k, v = both.view(rows, tokens, 2, spec.n_heads, spec.head_dim).permute(2, 0, 3, 1, 4)
        keys.append(k.contiguous())
        values.append(v.contiguous())
    if hidden is None:
        hidden = states.new_zeros(rows, 1, 1, tokens)
    return DeviceText(tuple(keys), tuple(values), hidden.to(keys[0].dtype))
