"""Delay and parallel: a column a frame, each codebook some columns late; what the released models use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from descant.model.errors import ModelError
from descant.model.patterns.pattern import Pattern, check_ascending


@dataclass(frozen=True)
class DelayPattern(Pattern):
    """Column s holds, of codebook k, frame s - 1 - delays[k]. delays: columns, ascending, from 0 on.

    flatten_first: so many frames come first, a code a column; the rest is laid out after them as if it began
    there. empty_initial: columns without codes before everything. (arXiv 2306.05284, section 2.2; audiocraft
    codebooks_patterns.DelayedPatternProvider.)
    """

    delays: tuple[int, ...]
    flatten_first: int = 0
    empty_initial: int = 0

    def __post_init__(self) -> None:
        check_ascending("Delays", self.delays)
        for name, value in (("flatten_first", self.flatten_first), ("empty_initial", self.empty_initial)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ModelError(
                    f"{name} is {value!r}; allowed: whole numbers from 0 on.",
                    "No pattern was made.",
                    "Leave it out for 0, as the released models have it.",
                )

    @property
    def n_codebooks(self) -> int:
        return len(self.delays)

    @property
    def endless(self) -> bool:
        return True

    @property
    def columns_per_frame(self) -> int:
        return 1

    @property
    def most_columns_per_frame(self) -> int:
        # from the last flat frame to the first of the rest: that one is complete with its last delay
        return max(self.n_codebooks, 1 + self.max_delay) if self.flatten_first else 1

    @property
    def max_delay(self) -> int:
        """Columns by which a frame's last code comes after a codebook without delay."""
        return self.delays[-1]

    def n_columns(self, n_frames: int) -> int:
        flat = min(n_frames, self.flatten_first)
        rest = max(0, n_frames + self.max_delay - self.flatten_first)
        return 1 + self.empty_initial + flat * self.n_codebooks + rest

    def learned_columns(self, n_frames: int) -> int:
        # A piece shorter than flatten_first has nothing to drain; the reference cuts off codes of it.
        flat = min(n_frames, self.flatten_first)
        rest = max(0, n_frames + self.delays[0] - self.flatten_first)
        return 1 + self.empty_initial + flat * self.n_codebooks + rest

    def _column(self, frame: int, codebook: int, n_frames: int | None) -> int:
        if frame < self.flatten_first:
            return 1 + self.empty_initial + frame * self.n_codebooks + codebook
        return self._shift + frame + self.delays[codebook]

    def _frames(self, column: int, n_frames: int | None) -> Sequence[int]:
        frame = column - self._shift
        if frame >= self.flatten_first:
            first = self.flatten_first
            return [frame - delay if frame - delay >= first else -1 for delay in self.delays]
        place = column - 1 - self.empty_initial
        if place < 0:
            return [-1] * self.n_codebooks
        frame, alone = divmod(place, self.n_codebooks)
        return [frame if codebook == alone else -1 for codebook in range(self.n_codebooks)]

    @property
    def _shift(self) -> int:
        """Column, less the frame's number, of an undelayed code after the flat frames."""
        return 1 + self.empty_initial + self.flatten_first * (self.n_codebooks - 1)


def parallel(n_codebooks: int) -> DelayPattern:
    """All codes of a frame in one column: column s holds frame s - 1."""
    return DelayPattern((0,) * n_codebooks)


def delayed(n_codebooks: int, delays: Sequence[int] | None = None) -> DelayPattern:
    """The delay pattern, by default one column more for each codebook: 0..K-1."""
    pattern = DelayPattern(tuple(range(n_codebooks) if delays is None else delays))
    if pattern.n_codebooks != n_codebooks:
        raise ModelError(
            f"{pattern.n_codebooks} delays were given for {n_codebooks} codebooks.",
            "No pattern was made.",
            "Give one delay per codebook.",
        )
    return pattern
