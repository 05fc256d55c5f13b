"""MusicGen-small's shape in a race with its reference and with this machine's memory, in turns.

Every round runs Descant, a plain read of its weights, and transformers in bf16 and fp32, one after the other,
so that a busy neighbour is everyone's; what is told are medians of ratios within rounds. Caches are put at a
context instead of being played up to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from torch import Tensor

from descant.host.edge.bench_reference import Reference
from descant.model import MusicModel, Sampling
from descant.model.kernels.native import NativeCache, NativeWeights
from descant.model.lm.step import LmState
from descant.model.sampling import mix_rows, sample

Progress = Callable[[str], None]


class Times(msgspec.Struct, frozen=True):
    """A measured time over repetitions, ms. best: the least, which other programs disturbed least."""

    n: int
    best: float
    p50: float
    p95: float
    p99: float


class AtContext(msgspec.Struct, frozen=True):
    """One context of the race.

    lm: a column of both branches. step: and its draw. frame: and its frame of the codec. bf16, fp32: the same
    as `step` by transformers. over_bf16, over_fp32: how many times as fast Descant's is. floor: the time to
    read what a column must read. roofline: floor / lm; None where the kernel's reads are not known.
    """

    seconds: float
    columns: int
    lm: Times
    step: Times
    frame: Times
    bf16: Times
    fp32: Times
    over_bf16: float
    over_fp32: float
    floor: float | None
    roofline: float | None
    best_roofline: float | None


def times(seconds: Sequence[float]) -> Times:
    """The figures of measured seconds, of which there must be one."""
    values = 1000 * np.asarray(seconds)
    p50, p95, p99 = (float(np.percentile(values, percent)) for percent in (50, 95, 99))
    return Times(len(values), *(round(x, 3) for x in (float(values.min()), p50, p95, p99)))


class Runner:
    """Descant's model at a context: a frame as a stream makes it, its parts timed."""

    def __init__(self, model: MusicModel, prompt: str, sampling: Sampling, most: int) -> None:
        self.model, self.sampling = model, sampling
        spec = model.spec.lm
        states = model.encode_text(prompt)
        assert states is not None
        self._text = torch.stack([states.states, torch.zeros_like(states.states)])
        self._mask = torch.ones(self._text.shape[:2], dtype=torch.bool)
        self._mask[1] = False
        self.state = self.new_state(most)
        self._codec = model.codec.decode_stream(1)
        self._tokens = torch.zeros(spec.n_codebooks, dtype=torch.long)
        self._draws = torch.Generator().manual_seed(0)

    @torch.inference_mode()
    def new_state(self, most: int) -> LmState:
        """A stream that remembers so many columns, its memory touched: pages never written are not read."""
        state = self.model.lm.new_state(2, most + 2)
        touch(state)
        self.model.lm.set_text(state, self._text, self._mask)
        return state

    def at(self, columns: int) -> None:
        """The next column sees `columns`."""
        put(self.state, columns)

    def frame(self) -> tuple[float, float, float]:
        """Seconds of a column, of its draw, and of a frame of the codec. The column is forgotten again."""
        began = time.perf_counter()
        logits = self.model.lm.step(self._tokens.expand(2, -1), None, self.state)
        ran = time.perf_counter()
        assert logits is not None
        drawn = sample(mix_rows(logits, self.sampling), self.sampling, self._draws)
        chosen = time.perf_counter()
        self._codec.push(drawn[None, :, None])
        self._codec.snapshot()
        done = time.perf_counter()
        self.state.rewind(1)
        return ran - began, chosen - ran, done - chosen

    def reads(self) -> tuple[float, float] | None:
        """Seconds of a plain read of the weights, and how many bytes a column at this context must read for
        each that was; None where the kernel does not tell."""
        weights, cache = self.model.lm.packed(), self.state.cache
        if not isinstance(weights, NativeWeights) or not isinstance(cache, NativeCache):
            return None
        seconds, size = weights.read_seconds()
        remembered = cache.memory.nbytes / cache.slots * (cache.position + 1)
        text = sum(keys.nbytes for keys in self.state.text.keys)
        return seconds, (size + remembered + text) / size


def touch(state: LmState) -> None:
    """Write the whole cache: pages that were never written are not read from memory."""
    for name in ("entries", "memory"):
        memory = getattr(state.cache, name, None)
        if isinstance(memory, Tensor):
            memory.fill_(0.0)


def put(state: LmState, columns: int) -> None:
    """Pretend that all columns but the last of so many have been run."""
    state.cache.restart(0)
    state.cache.advance(columns - 1)


@dataclass
class _Round:
    """The seconds of one round, the median of each contestant's steps."""

    lm: float
    step: float
    frame: float
    floor: float | None
    bf16: float
    fp32: float


@torch.inference_mode()
def race(
    runner: Runner,
    bf16: Reference,
    fp32: Reference,
    contexts: Sequence[float],
    rounds: int,
    progress: Progress,
) -> list[AtContext]:
    """Thread: main. Each context in so many rounds. contexts: seconds."""
    rate = runner.model.spec.frame_rate
    found = []
    for seconds in contexts:
        columns = round(seconds * rate)
        progress(f"{seconds:g} s of context: transformers' caches")
        for reference in (bf16, fp32):
            reference.at(columns)
        runner.at(columns)
        done: list[_Round] = []
        for number in range(rounds):
            progress(f"{seconds:g} s of context: round {number + 1} of {rounds}")
            done.append(_round(runner, bf16, fp32))
        found.append(_figures(seconds, columns, done))
    return found


def _round(runner: Runner, bf16: Reference, fp32: Reference) -> _Round:
    runner.frame()  # wakes the threads, and forgets what the others read
    parts = np.array([runner.frame() for _ in range(3)])
    lm, step, frame = (float(np.median(parts[:, : n + 1].sum(axis=1))) for n in range(3))
    read = runner.reads()
    taken = []
    for reference, repeats in ((bf16, 2), (fp32, 1)):
        reference.step()
        reference.back()
        some = []
        for _ in range(repeats):
            began = time.perf_counter()
            reference.step()
            some.append(time.perf_counter() - began)
            reference.back()
        taken.append(float(np.median(some)))
    return _Round(lm, step, frame, None if read is None else read[0] * read[1], *taken)


def _figures(seconds: float, columns: int, done: Sequence[_Round]) -> AtContext:
    floors = [one.floor for one in done if one.floor is not None]
    shares = [one.floor / one.lm for one in done if one.floor is not None]
    return AtContext(
        seconds,
        columns,
        lm=times([one.lm for one in done]),
        step=times([one.step for one in done]),
        frame=times([one.frame for one in done]),
        bf16=times([one.bf16 for one in done]),
        fp32=times([one.fp32 for one in done]),
        over_bf16=_median([one.bf16 / one.step for one in done]),
        over_fp32=_median([one.fp32 / one.step for one in done]),
        floor=round(1000 * float(np.median(floors)), 3) if floors else None,
        roofline=_median(shares) if shares else None,
        best_roofline=round(min(floors) / min(one.lm for one in done), 3) if floors else None,
    )


def _median(values: Sequence[float]) -> float:
    return round(float(np.median(values)), 3)
