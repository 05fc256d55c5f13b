"""Which kernel a model runs with here: the most exact one that holds real time, by a short measurement.

Measured on a few random layers of the model's own shape, before any of its weights is read; remembered in the
cache folder, so that the same machine gives the same samples. DESCANT_KERNEL, and models whose default is
fast everywhere, are left alone.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import torch

from descant.host.edge import machine
from descant.model import ModelError
from descant.model.checkpoints import read_spec
from descant.model.checkpoints.stored import KERNEL_VARIABLE
from descant.model.kernels.build import default_folder, load
from descant.model.lm.linear import KERNELS, NATIVE_KERNELS
from descant.model.lm.music_lm import MusicLm
from descant.model.patterns import pattern_of
from descant.model.spec import LmSpec, ModelSpec

LM_SHARE = 0.8  # of a frame's time: EnCodec's decoder takes an eighth of it, sampling and the wire some more
_REPEATS = 7
_MEASURED_WEIGHTS = 64_000_000  # at most so many are made up to be measured
_OTHERS = 48_000_000  # bytes read between two measurements: a step finds its weights in no cache
_TEXT_TOKENS = 16


class Choice(msgspec.Struct, frozen=True):
    """kernel: the chosen one. milliseconds: of a guided column over a full window, by each kernel that was
    measured. frame_ms: how long a column lasts. holds: whether the chosen one holds real time."""

    kernel: str
    milliseconds: dict[str, float]
    frame_ms: float

    @property
    def factor(self) -> float:
        """Predicted real-time factor of the language model alone: under LM_SHARE it holds."""
        return self.milliseconds[self.kernel] / self.frame_ms

    @property
    def holds(self) -> bool:
        """Whether it is expected to keep up."""
        return self.factor <= LM_SHARE


def choose(name: str, progress: Callable[[str], None] = lambda _: None) -> Choice | None:
    """Thread: main, or engine before it plays. The kernel for a model by its name; None: its own default.

    The first time on a machine takes some seconds. Raises ModelError if there is no such model.
    """
    if os.environ.get(KERNEL_VARIABLE) or name == "embedded":
        return None
    spec = read_spec(name)
    if not isinstance(spec, ModelSpec) or spec.lm.context is not None or torch.cuda.is_available():
        return None
    threads = torch.get_num_threads()
    path = default_folder() / "kernel-choices.json"
    known, key = _read(path), _key(spec, threads)
    if key not in known:
        known[key] = measure(spec, progress)
        if known[key].holds or machine.load() < threads:  # what a busy machine cannot do is not its nature
            _write(path, known)
    return known[key]


def measure(spec: ModelSpec, progress: Callable[[str], None] = lambda _: None) -> Choice:
    """Thread: main, or engine before it plays. Time kernels from the most exact one on, until one holds."""
    frame_ms = 1000.0 / spec.frame_rate
    native = load().handle is not None
    order: tuple[str, ...] = NATIVE_KERNELS if native else KERNELS
    found: dict[str, float] = {}
    lm = _made_up(spec.lm)
    for kernel in order[1:]:  # the exact one reads twice what the next one reads: only where that is quick
        progress(f"measuring {kernel}")
        found[kernel] = _column_ms(lm, spec.lm, kernel)
        if found[kernel] <= LM_SHARE * frame_ms:
            break
    first = order[1]
    if found[first] <= 0.5 * LM_SHARE * frame_ms:
        progress(f"measuring {order[0]}")
        found[order[0]] = _column_ms(lm, spec.lm, order[0])
    holding = [kernel for kernel in order if found.get(kernel, frame_ms) <= LM_SHARE * frame_ms]
    fastest = min(found, key=lambda kernel: found[kernel])
    return Choice(holding[0] if holding else fastest, found, frame_ms)


def _made_up(spec: LmSpec) -> MusicLm:
    """A few layers of that shape, and its heads, of random weights."""
    layer = (4 * spec.dim + 2 * spec.ffn_dim + (4 * spec.dim if spec.crosses else 0)) * spec.dim
    layers = max(1, min(spec.n_layers, _MEASURED_WEIGHTS // layer))
    with torch.random.fork_rng(devices=[]):
        return MusicLm(replace(spec, n_layers=layers)).eval().requires_grad_(False)


def _column_ms(lm: MusicLm, spec: LmSpec, kernel: str) -> float:
    """Milliseconds of one guided column of all layers, over a full window."""
    lm.use_kernel(kernel)
    columns = pattern_of(spec).n_columns(spec.window or 1500)
    prefix = sum(control.length for control in spec.prefix_controls)
    state = lm.new_state(2, columns + prefix + 1)
    if spec.crosses:
        states = torch.randn(2, _TEXT_TOKENS, spec.text_dim)
        mask = torch.zeros(2, _TEXT_TOKENS, dtype=torch.bool)
        mask[0] = True
        lm.set_text(state, states, mask)
    tokens = torch.zeros(2, spec.n_codebooks, dtype=torch.long)
    others = torch.zeros(_OTHERS // 4)
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(_REPEATS):
        for heads in (False, True):
            state.restart(0)
            state.cache.advance(columns + prefix - 1)
            others.add_(1.0)
            began = time.perf_counter()
            lm.step(tokens, None, state, want_logits=heads)
            times[heads].append(1000 * (time.perf_counter() - began))
    layers, whole = statistics.median(times[False]), statistics.median(times[True])
    return round(layers * spec.n_layers / lm.spec.n_layers + max(0.0, whole - layers), 3)


def _key(spec: ModelSpec, threads: int) -> str:
    """Changes with the shape, the library, the threads and the processor."""
    library = load()
    told = (repr(replace(spec, name="")), str(library.path), threads, machine.processor(), torch.__version__)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:24]


def _read(path: Path) -> dict[str, Choice]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Choice])
    except (OSError, msgspec.DecodeError):
        return {}  # never measured, or written by another version: measured anew


def _write(path: Path, choices: dict[str, Choice]) -> None:
    """Remembered if it can be; measured again next time if not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.write_bytes(msgspec.json.format(msgspec.json.encode(choices)))
        os.replace(scratch, path)
    except OSError as error:
        raise ModelError(
            f"The kernel that suits this machine cannot be remembered in {path}: {error.strerror or error}.",
            f"Everything works with a kernel of your choice ({KERNEL_VARIABLE}=native-int8, for one).",
            "Make the folder writable, or name another one: DESCANT_CACHE=/path/to/folder.",
        ) from error
