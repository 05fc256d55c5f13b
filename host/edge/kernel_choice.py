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
from typing import cast

import msgspec
import torch
from torch import Tensor

from descant.host.edge import machine
from descant.model import ModelError
from descant.model.checkpoints import read_spec
from descant.model.checkpoints.stored import KERNEL_VARIABLE
from descant.model.kernels.build import default_folder, load
from descant.model.lm.linear import DEVICE_KERNELS, KERNELS, NATIVE_KERNELS
from descant.model.lm.music_lm import MusicLm
from descant.model.patterns import pattern_of
from descant.model.spec import LmSpec, ModelSpec

LM_SHARE = 0.8  # of a frame's time: EnCodec's decoder takes an eighth of it, sampling and the wire some more
ROOM = 1.3  # of what weights and a stream take on a GPU: workspaces and recordings take some, too
LARGEST_ERROR = 0.02  # of a GPU's logits, against float32; half precision has a tenth of that
_REPEATS = 7
_COMPARED = 12  # columns
_MEASURED_WEIGHTS = 64_000_000  # at most so many are made up to be measured
_OTHERS = 48_000_000  # bytes read between two measurements: a step finds its weights in no cache
_TEXT_TOKENS = 16


class Choice(msgspec.Struct, frozen=True):
    """kernel: the chosen one. milliseconds: of a guided column over a full window, by each kernel that was
    measured. frame_ms: how long a column lasts. holds: whether the chosen one holds real time.
    passed_over: why the GPU is not used, where there is one."""

    kernel: str
    milliseconds: dict[str, float]
    frame_ms: float
    passed_over: str = ""

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
    if not isinstance(spec, ModelSpec) or spec.lm.context is not None:
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
    passed_over = ""
    if torch.cuda.is_available():
        device = DEVICE_KERNELS[0]
        progress(f"measuring {device}")
        passed_over = _passed_over(lm, spec.lm)
        if not passed_over:
            found[device] = _column_ms(lm, spec.lm, device)
            if (
                found[device] <= LM_SHARE * frame_ms
            ):  # as exact as any that holds, and the processor stays free
                return Choice(device, found, frame_ms)
            passed_over = f"a column takes it {found[device]:.1f} ms"
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
    return Choice(holding[0] if holding else fastest, found, frame_ms, passed_over)


def _passed_over(lm: MusicLm, spec: LmSpec) -> str:
    """Why the GPU is not to be used, or nothing: it is tried on the made-up layers and compared."""
    free, _ = torch.cuda.mem_get_info()
    needed = ROOM * bytes_on_device(spec)
    if needed > free:
        return f"{needed / 1e9:.1f} GB of its memory are needed, {free / 1e9:.1f} GB are free"
    try:
        error = _relative_error(lm, DEVICE_KERNELS[0])
    except (RuntimeError, ModelError) as failure:  # a driver, or a card, that torch cannot use after all
        return f"it failed: {str(failure).splitlines()[0][:200]}"
    return f"its results are off by {error:.1%}" if not error <= LARGEST_ERROR else ""


def bytes_on_device(spec: LmSpec) -> int:
    """What weights and one guided stream's keys and values take in half precision."""
    layer = (4 * spec.dim + 2 * spec.ffn_dim + (4 * spec.dim if spec.crosses else 0)) * spec.dim
    heads = spec.n_codebooks * spec.cardinality * spec.dim
    cache = 2 * 2 * spec.n_layers * spec.dim * (spec.window or 1500)
    return 2 * (spec.n_layers * layer + heads + cache)


@torch.inference_mode()
def _relative_error(lm: MusicLm, kernel: str) -> float:
    """How far a kernel's logits are from those in float32, over some columns."""
    drawn = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, lm.spec.cardinality, (_COMPARED, 2, lm.spec.n_codebooks), generator=drawn)
    logits = []
    for name in ("fp32", kernel):
        lm.use_kernel(name)
        state = lm.new_state(2, (lm.spec.context or 0) + _COMPARED)
        logits.append(torch.stack([cast(Tensor, lm.step(column, None, state)) for column in tokens]))
    return float((logits[1] - logits[0]).norm() / logits[0].norm())


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
    told = (
        repr(replace(spec, name="")),
        str(library.path),
        threads,
        machine.processor(),
        torch.__version__,
        torch.cuda.get_device_name() if torch.cuda.is_available() else "",
    )
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
