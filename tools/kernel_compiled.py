"""torch.compile in the table: a layer compiled for any context, weights in bfloat16 or as bytes.

Caches are StepRunner's, in float32. Compiling takes a C++ compiler, and the first steps take a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from descant.model.lm.kv_cache import KvCache
from descant.model.lm.step import LmState, StepRunner, TextMemory, position_row
from descant.model.lm.transformer import Layer
from descant.model.spec import LmSpec
from tools.kernel_entries import CONTEXTS, Entry, cache_bytes, matrix_bytes

Weights = tuple[Tensor, Tensor]  # [out, in], scales [out]


def _coded(weight: Tensor, as_bytes: bool) -> Weights:
    if not as_bytes:
        return weight.to(torch.bfloat16), torch.ones(())
    scale = weight.abs().amax(dim=1) / 127.0
    return (weight / scale[:, None]).round().to(torch.int8), scale.to(torch.bfloat16)


def _linear(x: Tensor, weights: Weights) -> Tensor:
    matrix, scale = weights
    narrow = x.to(torch.bfloat16)
    if matrix.dtype == torch.int8:  # the form that the compiler knows as a product with bytes
        return (F.linear(narrow, matrix.to(torch.bfloat16)) * scale).to(torch.float32)
    return F.linear(narrow, matrix).to(torch.float32)


def _asked(x: Tensor, matrix: Weights, weight: Tensor, bias: Tensor) -> Tensor:
    """x [2, dim] -> queries, keys and values [2, 3 * dim] of its norm.

    By itself: what goes into the cache is copied between two compiled parts, for a function that is given
    one view to write and another to read gets its compiler to copy the whole cache.
    """
    return _linear(F.layer_norm(x, (x.shape[1],), weight, bias), matrix)


def _rest(
    x: Tensor,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    matrices: tuple[Weights, ...],
    norms: tuple[Tensor, ...],
    words: tuple[Tensor, Tensor],
    heads: int,
) -> Tensor:
    """The rest of StepRunner.run's layer: queries [2, dim], keys [2 * H, head_dim, n], values turned."""
    batch, dim = x.shape
    asked = queries.reshape(batch * heads, 1, -1) * (dim // heads) ** -0.5
    seen = torch.bmm(torch.bmm(asked, keys).softmax(-1), values).reshape(batch, dim)
    x = x + _linear(seen, matrices[1])
    scores = F.layer_norm(x[:1], (dim,), norms[2], norms[3]) @ words[0]
    heard = scores.view(1, heads, -1).softmax(-1).view(1, -1) @ words[1]
    x = torch.cat([x[:1] + heard, x[1:]])
    wide = F.gelu(_linear(F.layer_norm(x, (dim,), norms[4], norms[5]), matrices[2]))
    return x + _linear(wide, matrices[3])


def compiled_entry(name: str, spec: LmSpec, layer: Layer, heads: Tensor, text: TextMemory) -> Entry:
    """name: bf16 or int8. Raises RuntimeError with the compiler's reason where it cannot be had."""
    as_bytes = name == "int8"
    assert layer.norm_cross is not None
    norms = tuple(
        value.detach()
        for norm in (layer.norm_self, layer.norm_cross, layer.norm_ffn)
        for value in (norm.weight, norm.bias)
    )
    linears = (layer.attention.qkv, layer.attention.out, layer.ffn_in, layer.ffn_out)
    layers = [tuple(_coded(one.weight.detach(), as_bytes) for one in linears) for _ in range(spec.n_layers)]
    last = _coded(heads, as_bytes)
    ask: Callable[..., Tensor] = torch.compile(_asked)
    rest: Callable[..., Tensor] = torch.compile(_rest)  # any length, once it has met two
    ends: Callable[..., Tensor] = torch.compile(_linear)
    state = StepRunner(spec, [], torch.nn.LayerNorm(spec.dim), heads, "fp32").new_state(2, CONTEXTS[-1] + 1)

    def run(x: Tensor, state: LmState) -> Tensor:
        cache: Any = state.cache
        assert isinstance(cache, KvCache)
        x = x + position_row(spec, state)
        window = cache.begin()
        for index, matrices in enumerate(layers):
            qkv = ask(x, matrices[0], *norms[:2])
            window.places[index].copy_(qkv[:, spec.dim :].view(2, 2, spec.n_heads, -1))
            seen = window.keys[index], window.values[index]
            words = text.keys[index][0], text.values[index][0]
            x = rest(x, qkv[:, : spec.dim], *seen, matrices, norms, words, spec.n_heads)
        cache.end()
        return ends(F.layer_norm(x, (spec.dim,)), last).view(2, spec.n_codebooks, -1)

    try:
        for columns in (2, 5):  # the second one makes it a form for any length
            state.cache.restart(0)
            state.cache.advance(columns)
            run(torch.randn(2, spec.dim), state)
    except Exception as error:  # the compiler's families are its own
        raise RuntimeError(str(error).strip().splitlines()[0]) from error
    return Entry(
        f"compiled {name}", run, state, matrix_bytes(spec, 1.0 if as_bytes else 2.0), cache_bytes(spec, 4)
    )
