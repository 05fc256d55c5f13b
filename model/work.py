"""Work that waits: what a stream wants of the language model, asked for instead of done on the spot.

A step of a stream is a generator of Python's. It yields an Ask for each column that it wants run, to be sent
the logits; it yields None where it may be kept waiting. Whoever drives it decides when that is done and in
whose company: `done` at once and alone, an engine for many streams in one batch. A step may be dropped at any
wait: the stream is then as if the step had not been begun, but for columns it need not run again.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from torch import Tensor

from descant.model.lm.step import LmState

if TYPE_CHECKING:
    from descant.model.lm.music_lm import MusicLm

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Ask:
    """A column to be run: (tokens, controls, state) of each state of a stream, as MusicLm.step_together."""

    columns: tuple[tuple[Tensor, Tensor, LmState], ...]

    @property
    def rows(self) -> int:
        """How many rows of a batch it takes."""
        return sum(tokens.numel() // tokens.shape[1] for tokens, _, _ in self.columns)


Answer = Sequence[Tensor] | None  # logits [B, K, cardinality] of each of the states; None after a mere wait
Work = Generator[Ask | None, Answer, T]


def done(lm: MusicLm, work: Work[T]) -> T:
    """The result of the work, all that it asks for run at once."""
    answer: Answer = None
    try:
        while True:
            ask = work.send(answer)
            answer = None if ask is None else answers(lm, [ask])[0]
    except StopIteration as stop:
        result: T = stop.value
        return result


def answers(lm: MusicLm, asks: Sequence[Ask]) -> list[list[Tensor]]:
    """What several streams asked for, in one batch where the kernel has one; to the bit as each alone."""
    found = lm.step_together([column for ask in asks for column in ask.columns])
    logits = [tensor for tensor in found if tensor is not None]
    sizes = [len(ask.columns) for ask in asks]
    return [logits[sum(sizes[:i]) : sum(sizes[: i + 1])] for i in range(len(asks))]
