"""The kernels of the table that are the product's own, and torch's that were left out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from descant.model.kernels.native import NativeWeights
from descant.model.lm.linear import KERNELS, NATIVE_KERNELS
from descant.model.lm.step import LmState, StepLayer, StepRunner, TextMemory
from descant.model.lm.transformer import Layer
from descant.model.spec import LmSpec

CONTEXTS = (50, 500, 1000, 1500)
TOKENS = 20
GROUP = 32  # inputs that share a scale in torch's int4


@dataclass
class Entry:
    """A kernel ready to step: its run, its stream, and the bytes a step must read whatever it does."""

    name: str
    run: Callable[[Tensor, LmState], Tensor | None]
    state: LmState
    weight_bytes: float
    cache_bytes: float  # a remembered column, both rows


def musicgen_small(layers: int = 24) -> LmSpec:
    """facebook/musicgen-small's decoder, or one with fewer layers."""
    return LmSpec(1024, layers, 16, 4096, 4, 2048, (0, 1, 2, 3), text_dim=768)


def bf16_linear(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """torch's bfloat16 product."""
    narrow = weight.to(torch.bfloat16)
    return lambda x: F.linear(x.to(torch.bfloat16), narrow).to(torch.float32)


def int4_linear(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """torch's packed int4 product, asymmetric, a scale and a zero for each group of inputs."""
    rows, inputs = weight.shape
    groups = weight.view(rows, -1, GROUP)
    low, high = groups.amin(dim=2), groups.amax(dim=2)
    scale = ((high - low) / 15.0).clamp(min=1e-9)
    coded = ((groups - low[..., None]) / scale[..., None]).round().clamp(0, 15).to(torch.int32)
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(coded.view(rows, inputs), 1)
    scales = torch.stack([scale, low + 8.0 * scale], dim=2).transpose(0, 1).contiguous().to(torch.bfloat16)
    run = torch.ops.aten._weight_int4pack_mm_for_cpu
    return lambda x: run(x.to(torch.bfloat16), packed, GROUP, scales).to(torch.float32)


def torch_entry(name: str, spec: LmSpec, layer: Layer, heads: Tensor, text: TextMemory) -> Entry:
    """One of StepRunner's kernels, or one that was left out of them."""
    norm = torch.nn.LayerNorm(spec.dim)
    widths = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "int8": 1.0, "int4": 0.5 + 4.0 / GROUP}
    if name in ("bf16", "int4"):
        make = bf16_linear if name == "bf16" else int4_linear
        runner = StepRunner(spec, [], norm, heads, "fp32")
        for _ in range(spec.n_layers):
            packed = StepLayer(layer, "fp32")
            packed.qkv, packed.out = make(layer.attention.qkv.weight), make(layer.attention.out.weight)
            packed.ffn_in, packed.ffn_out = make(layer.ffn_in.weight), make(layer.ffn_out.weight)
            runner.layers.append(packed)
        runner.heads = make(heads)
    else:
        kernel = next(kernel for kernel in KERNELS if kernel == name)
        runner = StepRunner(spec, [layer] * spec.n_layers, norm, heads, kernel)
    state = runner.new_state(2, CONTEXTS[-1] + 1)
    state.text = text
    read = matrix_bytes(spec, widths[name])
    return Entry(f"torch {name}", runner.run, state, read, cache_bytes(spec, 4))


def matrix_bytes(spec: LmSpec, width: float) -> float:
    """What a step reads of matrices of `width` bytes a weight, and of a text folded into them in float32."""
    weights = spec.n_layers * (4 * spec.dim + 2 * spec.ffn_dim) * spec.dim
    weights += spec.n_codebooks * spec.cardinality * spec.dim
    return weights * width + 2.0 * 4 * spec.n_layers * spec.n_heads * TOKENS * spec.dim


def cache_bytes(spec: LmSpec, width: float) -> float:
    """What a remembered column takes, both rows, at `width` bytes a number."""
    return 2.0 * width * 2 * spec.n_layers * spec.dim


def native_entry(
    name: str, spec: LmSpec, layer: Layer, heads: Tensor, threads: int
) -> tuple[Entry, NativeWeights]:
    """One of the native kernels."""
    kernel = next(kernel for kernel in NATIVE_KERNELS if kernel == name)
    weights = NativeWeights(spec, kernel, threads)
    for index in range(spec.n_layers):
        weights.put_layer(index, layer)
    weights.put_head(torch.nn.LayerNorm(spec.dim), heads)
    state = weights.new_state(2, CONTEXTS[-1] + 1)
    state.text = weights.text_memory(torch.randn(1, TOKENS, spec.dim), None)
    width = {"native-fp32": 4.0, "native-int8-kv8": 1.0}.get(name, 2.0)
    cache = cache_bytes(spec, width)
    return Entry(name, weights.run, state, weights.read_seconds()[1], cache), weights
