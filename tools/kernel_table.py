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
from pathlib import Path

import torch
from torch import Tensor

from descant.host.edge.bench_race import touch
from descant.model.errors import ModelError
from descant.model.lm.step import TextMemory, text_memory
from descant.model.lm.transformer import Layer
from descant.model.spec import LmSpec
from tools.kernel_compiled import compiled_entry
from tools.kernel_entries import CONTEXTS, TOKENS, Entry, musicgen_small, native_entry, torch_entry
from tools.kernel_onnx import onnx_entry


def rivals(
    spec: LmSpec, layer: Layer, heads: Tensor, text: TextMemory, threads: int
) -> dict[str, Callable[[], Entry]]:
    """Kernels that may not be had everywhere, by name, each made when it is asked for."""
    found: dict[str, Callable[[], Entry]] = {}
    for name in ("fp32", "bf16", "fp16", "int8", "int4"):
        found[f"torch {name}"] = lambda name=name: torch_entry(name, spec, layer, heads, text)  # type: ignore[misc]
    for bits, block in ((8, 128), (8, 32), (4, 64)):
        found[f"onnx int{bits} / {block}"] = lambda bits=bits, block=block: onnx_entry(  # type: ignore[misc]
            bits, block, spec, layer, heads, text, threads
        )
    for name in ("bf16", "int8"):
        found[f"compiled {name}"] = lambda name=name: compiled_entry(name, spec, layer, heads, text)  # type: ignore[misc]
    return found


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
    for name in ("native-int4", "native-bf16", "native-int8-kv8"):
        entries.append(native_entry(name, spec, layer, heads, threads)[0])
    for name, make in rivals(spec, layer, heads, text, threads).items():
        if kernels is None or name in kernels:
            try:
                entries.append(make())
                entries[-1].run(torch.randn(2, spec.dim), entries[-1].state)
            except (RuntimeError, AttributeError, ImportError) as error:
                entries = [entry for entry in entries if entry.name != name]
                print(f"{name}: left out ({(str(error).splitlines() or ['no reason given'])[0]})", flush=True)
    if kernels is not None:
        entries = [entry for entry in entries if entry.name in kernels]
    for entry in entries:
        touch(entry.state)
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
