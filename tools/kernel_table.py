"""How long a step of MusicGen-small's shape takes under each kernel, beside this machine's memory: a table.

`python -m tools.kernel_table [--threads 2] [--rounds 15] [--json FILE]`. All kernels lie in memory together
and take turns, step by step, with a plain read of the same memory between them, so that a busy neighbour is
everyone's. Weights are random: speed does not depend on them. The guidance pair is two rows, the first with a
text of 20 tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from descant.model.errors import ModelError
from descant.model.kernels.native import NativeWeights
from descant.model.lm.linear import KERNELS, NATIVE_KERNELS
from descant.model.lm.step import LmState, StepLayer, StepRunner, TextMemory, text_memory
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
    weights = spec.n_layers * (4 * spec.dim + 2 * spec.ffn_dim) * spec.dim + heads.numel()
    folded = 2.0 * 4 * spec.n_layers * spec.n_heads * TOKENS * spec.dim
    cache = 2.0 * 4 * 2 * spec.n_layers * spec.dim
    return Entry(f"torch {name}", runner.run, state, weights * widths[name] + folded, cache)


def native_entry(
    name: str, spec: LmSpec, layer: Layer, heads: Tensor, threads: int, cache_int8: bool = False
) -> tuple[Entry, NativeWeights]:
    """One of the native kernels."""
    kernel = next(kernel for kernel in NATIVE_KERNELS if kernel == name)
    weights = NativeWeights(spec, kernel, threads, cache_int8)
    for index in range(spec.n_layers):
        weights.put_layer(index, layer)
    weights.put_head(torch.nn.LayerNorm(spec.dim), heads)
    state = weights.new_state(2, CONTEXTS[-1] + 1)
    state.text = weights.text_memory(torch.randn(1, TOKENS, spec.dim), None)
    width = {"native-fp32": 4.0}.get(name, 1.0 if cache_int8 else 2.0)
    cache = 2.0 * width * 2 * spec.n_layers * spec.dim
    title = f"{name}, int8 cache" if cache_int8 else name
    return Entry(title, weights.run, state, weights.read_seconds()[1], cache), weights


def fill(state: LmState) -> None:
    """Touch the whole cache: pages that were never written are not read from memory."""
    for name in ("entries", "memory"):
        memory = getattr(state.cache, name, None)
        if memory is not None:
            memory.fill_(0.0)


def measure(threads: int, rounds: int, layers: int, kernels: list[str] | None) -> dict[str, object]:
    """Medians and bests in milliseconds, and the share of the roofline, for each kernel and context."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    spec = musicgen_small(layers)
    layer, heads = Layer(spec, 1).requires_grad_(False), torch.randn(4 * 2048, spec.dim) * 0.03
    probe, reader = native_entry("native-int8", spec, layer, heads, threads)
    text = text_memory([layer], torch.randn(1, TOKENS, spec.dim), None)
    text = TextMemory(
        tuple(text.keys[0].clone() for _ in range(layers)),
        tuple(text.values[0].clone() for _ in range(layers)),
    )
    entries = [probe]
    for name in ("native-int4", "native-bf16"):
        entries.append(native_entry(name, spec, layer, heads, threads)[0])
    entries.append(native_entry("native-int8", spec, layer, heads, threads, True)[0])
    for name in ("fp32", "bf16", "fp16", "int8", "int4"):
        if kernels is None or f"torch {name}" in kernels:
            try:
                entries.append(torch_entry(name, spec, layer, heads, text))
                entries[-1].run(torch.randn(2, spec.dim), entries[-1].state)
            except (RuntimeError, AttributeError) as error:
                print(f"torch {name}: left out ({str(error).splitlines()[0]})")
    if kernels is not None:
        entries = [entry for entry in entries if entry.name in kernels]
    for entry in entries:
        fill(entry.state)
    x = torch.randn(2, spec.dim)
    rows = []
    for context in CONTEXTS:
        times: dict[str, list[float]] = {entry.name: [] for entry in entries}
        reads: list[float] = []
        for _ in range(rounds):
            for entry in entries:
                entry.state.cache.restart(0)
                entry.state.cache.advance(context - 1)
                entry.run(x, entry.state)  # wakes the threads, and forgets the others' weights
                entry.state.cache.rewind(1)
                start = time.perf_counter()
                entry.run(x, entry.state)
                times[entry.name].append(time.perf_counter() - start)
            seconds, size = reader.read_seconds()
            reads.append(size / seconds)
        bandwidth = statistics.median(reads)
        for entry in entries:
            floor = (entry.weight_bytes + entry.cache_bytes * context) / bandwidth
            median, best = statistics.median(times[entry.name]), min(times[entry.name])
            best_floor = (entry.weight_bytes + entry.cache_bytes * context) / max(reads)
            rows.append(
                {
                    "kernel": entry.name,
                    "context": context,
                    "ms": 1e3 * median,
                    "best_ms": 1e3 * best,
                    "floor_ms": 1e3 * floor,
                    "roofline": floor / median,
                    "best_roofline": best_floor / best,
                    "GB/s": bandwidth / 1e9,
                }
            )
    return {"threads": threads, "layers": layers, "load": os.getloadavg()[0], "rows": rows}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--kernel", action="append", help="only this one (may be given several times)")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        with torch.inference_mode():
            found = measure(given.threads, given.rounds, given.layers, given.kernel)
    except ModelError as error:
        raise SystemExit(str(error)) from error
    print(f"{'kernel':26}{'context':>8}{'ms':>8}{'best':>8}{'floor':>8}{'share':>7}{'at best':>9}{'GB/s':>7}")
    rows = found["rows"]
    assert isinstance(rows, list)
    for row in sorted(rows, key=lambda row: (row["kernel"], row["context"])):
        print(
            f"{row['kernel']:26}{row['context']:8}{row['ms']:8.2f}{row['best_ms']:8.2f}{row['floor_ms']:8.2f}"
            f"{row['roofline']:7.0%}{row['best_roofline']:9.0%}{row['GB/s']:7.1f}"
        )
    print(f"load average {found['load']:.2f}")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
