"""Flatten, wholly or partly: several columns a frame, each for one codebook or a few of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from descant.model.errors import ModelError
from descant.model.patterns.pattern import Pattern, check_ascending


@dataclass(frozen=True)
class FlattenPattern(Pattern):
    """Codebook k of frame f is written at time f + delays[k], in the time's step flattening[k].

    flattening: inner step of each codebook, ascending, from 0 on; codebooks of the same step share a column.
    (0, 1, 2, 3) is the whole "unrolled" order, (0, 1, 1, 1) codebook 0, then the rest together. A step that
    no codebook has is an empty column. delays: in frames, ascending, the same within a step.

    Times follow one another. At a time come the empty columns, then a column for each group of codebooks of
    one step whose delay is reached: of the earliest frame first, so with the delays (0, 3, 3, 3) frame 0's
    fine codes stand before codebook 0 of frame 3. (audiocraft codebooks_patterns.UnrolledPatternProvider.)
    """

    flattening: tuple[int, ...]
    delays: tuple[int, ...]

    def __post_init__(self) -> None:
        check_ascending("Delays", self.delays)
        check_ascending("Inner steps", self.flattening)
        if len(self.delays) != len(self.flattening):
            raise ModelError(
                f"{len(self.delays)} delays were given for {len(self.flattening)} inner steps.",
                "No pattern was made.",
                "Give one of each per codebook.",
            )
        if len(set(zip(self.flattening, self.delays))) != len(set(self.flattening)):
            raise ModelError(
                f"Delays {self.delays} were given for the inner steps {self.flattening}; "
                "codebooks of one step must have one delay.",
                "No pattern was made.",
                "Give them the same delay or steps of their own.",
            )

    @property
    def n_codebooks(self) -> int:
        return len(self.flattening)

    @property
    def endless(self) -> bool:
        return True

    @property
    def columns_per_frame(self) -> int:
        return self.flattening[-1] + 1

    @property
    def max_delay(self) -> int:
        """Frames by which the last codes come after a codebook without delay."""
        return self.delays[-1]

    def n_columns(self, n_frames: int) -> int:
        return self._start(n_frames + self.max_delay)

    def learned_columns(self, n_frames: int) -> int:
        return self.n_columns(n_frames) - (self.max_delay - self.delays[0])

    def _column(self, frame: int, codebook: int, n_frames: int | None) -> int:
        time = frame + self.delays[codebook]
        before = sum(1 for delay, _ in self._groups[: self._rank[codebook]] if delay <= time)
        return self._start(time) + self._empty + before

    def _frames(self, column: int, n_frames: int | None) -> Sequence[int]:
        nothing = [-1] * self.n_codebooks
        if column == 0:
            return nothing
        beyond = column - self._steady
        if beyond >= 0:  # every delay is reached: all times are alike
            time, slot = divmod(beyond, self.columns_per_frame)
            time += self.max_delay
            groups = self._groups
        else:
            time = bisect_right(range(self.max_delay + 1), column, key=self._start) - 1
            slot = column - self._start(time)
            groups = tuple(group for group in self._groups if group[0] <= time)
        if slot < self._empty:
            return nothing
        delay, members = groups[slot - self._empty]
        for codebook in members:
            nothing[codebook] = time - delay
        return nothing

    def _start(self, time: int) -> int:
        """The first column of a time."""
        return 1 + time * self._empty + sum(max(0, time - delay) for delay, _ in self._groups)

    @cached_property
    def _groups(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """(delay, codebooks) of each step that has any, in the order in which they are written."""
        groups = []
        for step in sorted(set(self.flattening)):
            members = tuple(k for k, own in enumerate(self.flattening) if own == step)
            groups.append((self.delays[members[0]], members))
        return tuple(sorted(groups, key=lambda group: -group[0]))

    @cached_property
    def _rank(self) -> tuple[int, ...]:
        """The place among the groups of each codebook's."""
        return tuple(
            next(rank for rank, (_, members) in enumerate(self._groups) if codebook in members)
            for codebook in range(self.n_codebooks)
        )

    @cached_property
    def _empty(self) -> int:
        """Empty columns of each time."""
        return self.columns_per_frame - len(self._groups)

    @cached_property
    def _steady(self) -> int:
        """The first column from which on all delays are reached."""
        return self._start(self.max_delay)


def flattened(
    n_codebooks: int, flattening: Sequence[int] | None = None, delays: Sequence[int] | None = None
) -> FlattenPattern:
    """The flattened pattern, by default a column a code (0..K-1) and no delays."""
    steps = tuple(range(n_codebooks) if flattening is None else flattening)
    pattern = FlattenPattern(steps, (0,) * len(steps) if delays is None else tuple(delays))
    if pattern.n_codebooks != n_codebooks:
        raise ModelError(
            f"{pattern.n_codebooks} inner steps were given for {n_codebooks} codebooks.",
            "No pattern was made.",
            "Give one per codebook.",
        )
    return pattern
