"""One column at a time through the decoder's layers, with remembered keys and values: streaming `forward`.

Same weights, same function (to 1e-4); made for one or two rows on a CPU, so weights are packed once and every
operation counts. Knows nothing about sampling or frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from descant.model.errors import ModelError
from descant.model.lm.kv_cache import KvCache, Ring
from descant.model.lm.linear import TorchKernel, packed_linear
from descant.model.lm.positions import rope_table, sinusoidal
from descant.model.lm.transformer import Layer
from descant.model.spec import LmSpec

_TABLE = 256  # positions whose rotations or sinusoids are computed at once
_CHUNK = 256  # positions run at once in run_many


@dataclass(frozen=True, eq=False)
class TextMemory:
    """What cross-attention remembers of a text of L tokens, a layer each; none for null.

    Queries and outputs are linear, so their matrices are multiplied into the keys and values once a text: a
    step then reads 2 * H * L vectors instead of two matrices, a third of the memory for usual prompts.

    keys: [R, dim, H * L], values: [R, H * L, dim]; the rows of a stream after the first R are null.
    hidden: [R, 1, 1, L] float, added to the scores: -inf where a token is not to be seen; None = zeros.
    Native kernels keep one tensor of bytes in `keys`, [R, ...], and no values: see kernels/native.py.
    """

    keys: tuple[Tensor, ...] = ()
    values: tuple[Tensor, ...] = ()
    hidden: Tensor | None = None


def text_memory(
    layers: list[Layer],
    states: Tensor,
    mask: Tensor | None,
    bias: Tensor | None = None,
    hide: bool = True,
) -> TextMemory:
    """states [B, L, dim], projected, mask [B, L] bool or None: all are real -> what steps need of them.

    bias: [B, L] float32 added to the scores, or None. hide: whether tokens that are not real are masked.
    """
    states, hidden = seen_text(states, mask, bias, hide)
    folded = [_fold_cross(layer, states) for layer in layers]
    return TextMemory(tuple(k for k, _ in folded), tuple(v for _, v in folded), hidden)


def seen_text(
    states: Tensor, mask: Tensor | None, bias: Tensor | None, hide: bool
) -> tuple[Tensor, Tensor | None]:
    """Arguments of text_memory -> the states of the rows that are not null, and TextMemory.hidden."""
    rows = states.shape[0]
    if mask is not None:
        rows = 1 + int(mask.any(dim=1).nonzero().max())
        states, mask = states[:rows], mask[:rows]
        mask = mask | ~mask.any(dim=1, keepdim=True)  # a null row sees its zeros
    hidden = None if bias is None else bias[:rows, None, None, :].to(torch.float32)
    if mask is not None and hide and not bool(mask.all()):
        away = torch.zeros(mask.shape).masked_fill(~mask, -math.inf)[:, None, None, :]
        hidden = away if hidden is None else hidden + away
    return states, hidden


def _fold_cross(layer: Layer, states: Tensor) -> tuple[Tensor, Tensor]:
    """A layer's (keys, values) of TextMemory, with attention's 1 / sqrt(head_dim)."""
    assert layer.cross is not None
    keys, values = layer.cross.keys_values(states)  # [R, H, L, head_dim]
    heads, width = keys.shape[1], keys.shape[3]
    queries = layer.cross.q.weight.view(heads, width, -1) * width**-0.5
    outputs = layer.cross.out.weight.view(-1, heads, width).permute(1, 2, 0)  # [H, head_dim, dim]
    return (keys @ queries).flatten(1, 2).transpose(1, 2).contiguous(), (values @ outputs).flatten(1, 2)


@dataclass
class LmState:
    """What one stream remembers between steps: the caller owns it, the weights do not change with it.

    cache: self-attention's keys and values. text: cross-attention's; put another there to change it.
    prefix_length: positions that a prefix takes before column 0.
    """

    batch: int
    cache: Ring
    text: TextMemory = field(default_factory=TextMemory)
    prefix_length: int = 0
    table: Tensor | None = None
    table_start: int = 0

    @property
    def position(self) -> int:
        """Columns run so far; the place of the next one, the prefix not counted."""
        return self.cache.position - self.prefix_length

    def rewind(self, columns: int) -> None:
        """Go back by that many columns. Raises ModelError if the ring does not remember that far."""
        self.cache.rewind(columns)

    def restart(self, position: int) -> None:
        """Forget all columns; go on at `position` (tokens of the past are run again to fill the ring)."""
        self.prefix_length = 0
        self.cache.restart(position)


def other_kernel() -> ModelError:
    """A stream, or a text, met weights packed in another form than those it was begun with."""
    return ModelError(
        "The kernel was changed between torch's, a native and a GPU's while a stream was running.",
        "Streams begun from now on run with the new one.",
        "Begin the stream again, or change the kernel back.",
    )


def position_row(spec: LmSpec, state: LmState) -> Tensor:
    """This position's sinusoid [dim], or its rotation [head_dim / 2] complex; a table at a time."""
    here = state.cache.position  # the prefix is counted
    offset = here - state.table_start
    if state.table is None or not 0 <= offset < _TABLE:
        state.table_start = here - here % _TABLE
        state.table = position_table(spec, state.table_start, _TABLE)
        offset = here - state.table_start
    return state.table[offset]


def position_table(spec: LmSpec, start: int, n: int) -> Tensor:
    """Sinusoids [n, dim], or rotations [n, head_dim / 2] complex, of the n positions from `start` on."""
    positions = torch.arange(start, start + n)
    if spec.positions == "rope":
        return torch.complex(*rope_table(positions, spec.head_dim))
    return sinusoidal(positions, spec.dim, spec.positions)


class StepLayer:
    """A layer's weights, packed for one-column runs."""

    def __init__(self, layer: Layer, kernel: TorchKernel) -> None:
        self.norms = [
            (norm.weight.detach().clone(), norm.bias.detach().clone()) if norm is not None else None
            for norm in (layer.norm_self, layer.norm_cross, layer.norm_ffn)
        ]
        self.qkv = packed_linear(_scaled_queries(layer), kernel=kernel)
        self.out = packed_linear(layer.attention.out.weight, kernel=kernel)
        self.ffn_in = packed_linear(layer.ffn_in.weight, kernel=kernel)
        self.ffn_out = packed_linear(layer.ffn_out.weight, kernel=kernel)


def _scaled_queries(layer: Layer) -> Tensor:
    """The matrix of queries, keys and values; attention's 1 / sqrt(head_dim) is in the queries already."""
    weight = layer.attention.qkv.weight.detach().clone()
    dim = weight.shape[1]
    weight[:dim] *= (dim // layer.attention.n_heads) ** -0.5
    return weight


def _torch_cache(state: LmState) -> KvCache:
    cache, text = state.cache, state.text
    if not isinstance(cache, KvCache) or (text.keys and not text.values):
        raise other_kernel()
    return cache


class StepRunner:
    """All layers, the final norm and the heads for one column: x [B, dim] -> logits [B, K, cardinality]."""

    def __init__(
        self, spec: LmSpec, layers: list[Layer], norm: torch.nn.LayerNorm, heads: Tensor, kernel: TorchKernel
    ) -> None:
        self.spec = spec
        self.layers = [StepLayer(layer, kernel) for layer in layers]
        self.norm = (norm.weight.detach().clone(), norm.bias.detach().clone())
        self.heads = packed_linear(heads, kernel=kernel)

    def new_state(self, batch: int, capacity: int) -> LmState:
        """An empty stream, as MusicLm.new_state."""
        spec = self.spec
        cache = KvCache(spec.n_layers, batch, spec.n_heads, spec.head_dim, capacity, spec.context)
        return LmState(batch, cache)

    def run(self, x: Tensor, state: LmState, want_logits: bool = True) -> Tensor | None:
        """x: [B, dim], the column's summed embeddings and controls, not yet with its position.

        Result: [B, K, cardinality], or None if no logits are wanted (a column that is only remembered).
        """
        spec = self.spec
        batch, heads, width = state.batch, spec.n_heads, spec.head_dim
        shape, eps = (spec.dim,), spec.norm_eps
        here = position_row(spec, state)
        rotation = None
        if spec.positions == "rope":
            rotation = here
        else:
            x = x + here
        text, cache = state.text, _torch_cache(state)
        window = cache.begin()
        for index, layer in enumerate(self.layers):
            norm_self, norm_cross, norm_ffn = layer.norms
            assert norm_self is not None and norm_ffn is not None
            qkv = layer.qkv(torch.layer_norm(x, shape, *norm_self, eps)).view(batch, 3, heads, width)
            if rotation is not None:  # pairs as complex numbers, queries and keys at once
                torch.view_as_complex(qkv.narrow(1, 0, 2).view(batch, 2, heads, -1, 2)).mul_(rotation)
            window.places[index].copy_(qkv.narrow(1, 1, 2))
            # Plain products: torch's fused attention takes twice as long for a single query.
            chances = torch.bmm(qkv.select(1, 0).reshape(-1, 1, width), window.keys[index]).softmax(-1)
            x = x + layer.out(torch.bmm(chances, window.values[index]).view(batch, -1))
            if text.keys:
                assert norm_cross is not None
                rows = x[: text.keys[0].shape[0]]
                seen = torch.layer_norm(rows, shape, *norm_cross, eps).unsqueeze(1)
                scores = torch.bmm(seen, text.keys[index]).view(-1, heads, 1, text.keys[0].shape[2] // heads)
                if text.hidden is not None:
                    scores = scores + text.hidden
                chances = scores.softmax(-1).view(rows.shape[0], 1, -1)
                rows.add_(torch.bmm(chances, text.values[index]).squeeze(1))
            hidden = F.gelu(layer.ffn_in(torch.layer_norm(x, shape, *norm_ffn, eps)))
            x = x + layer.ffn_out(hidden)
        cache.end()
        if not want_logits:
            return None
        logits = self.heads(torch.layer_norm(x, shape, *self.norm, eps))
        return logits.view(batch, spec.n_codebooks, spec.cardinality)

    def run_many(self, x: Tensor, state: LmState) -> None:
        """Remember several positions at once, [B, S, dim] as in `run`; for caches without a finite context.

        The same function as S runs, in products of many rows; at most _CHUNK positions at a time, to bound
        memory.
        """
        for first in range(0, x.shape[1], _CHUNK):
            self._run_chunk(x[:, first : first + _CHUNK], state)

    def _run_chunk(self, x: Tensor, state: LmState) -> None:
        spec, cache, text = self.spec, _torch_cache(state), state.text
        batch, length, dim = x.shape
        heads, width, shape, eps = spec.n_heads, spec.head_dim, (spec.dim,), spec.norm_eps
        start, slot = cache.position, cache.room_for(length)
        here = position_table(spec, start, length)
        rotation = None
        if spec.positions == "rope":
            rotation = here[:, None]
        else:
            x = x + here
        seen = slot + length  # slots of all positions up to the last of these
        visible = torch.arange(seen) <= torch.arange(slot, seen)[:, None]
        for index, layer in enumerate(self.layers):
            norm_self, norm_cross, norm_ffn = layer.norms
            assert norm_self is not None and norm_ffn is not None
            rows = torch.layer_norm(x, shape, *norm_self, eps).view(-1, dim)
            qkv = layer.qkv(rows).view(batch, length, 3, heads, width)
            if rotation is not None:
                pairs = qkv.narrow(2, 0, 2).unflatten(-1, (-1, 2))
                torch.view_as_complex(pairs).mul_(rotation[:, None])
            q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [B, H, S, head_dim]
            keys, values = cache.entries[index]
            keys[:, :, slot:seen].copy_(k)
            values[:, :, slot:seen].copy_(v)
            y = F.scaled_dot_product_attention(
                q, keys[:, :, :seen], values[:, :, :seen], attn_mask=visible, scale=1.0
            )
            x = x + layer.out(y.transpose(1, 2).reshape(-1, dim)).view_as(x)
            if text.keys:
                assert norm_cross is not None
                n_rows, tokens = text.keys[0].shape[0], text.keys[0].shape[2] // heads
                asked = torch.layer_norm(x[:n_rows], shape, *norm_cross, eps)
                scores = torch.bmm(asked, text.keys[index]).view(n_rows, length, heads, tokens)
                if text.hidden is not None:
                    scores = scores + text.hidden
                found = torch.bmm(scores.softmax(-1).flatten(2), text.values[index])
                x = torch.cat([x[:n_rows] + found, x[n_rows:]])
            hidden = F.gelu(layer.ffn_in(torch.layer_norm(x, shape, *norm_ffn, eps).view(-1, dim)))
            x = x + layer.ffn_out(hidden).view_as(x)
        cache.advance(length)
