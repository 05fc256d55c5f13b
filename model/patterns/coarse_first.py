"""Coarse first and grouped: some codebooks wholly before the others, so the length must be known before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from descant.model.errors import ModelError
from descant.model.patterns.pattern import Pattern, check_ascending


@dataclass(frozen=True)
class CoarseFirstPattern(Pattern):
    """All frames of codebook 0, a column each, then the other codebooks together ("VALL-E style").

    delays: of each codebook, the first 0, the others in columns from where the fine codes begin, ascending.
    Fine codes see all coarse ones, so a piece must have the length that the model was trained on, and no
    frame is whole before all coarse codes stand. One codebook alone is a column a frame, and endless.
    (audiocraft codebooks_patterns.CoarseFirstPattern, which leaves out the first delay.)
    """

    delays: tuple[int, ...]

    def __post_init__(self) -> None:
        check_ascending("Delays", self.delays)
        if self.delays[0] != 0:
            raise ModelError(
                f"Delays {self.delays} were given; coarse first, codebook 0 has none.",
                "No pattern was made.",
                "Begin with 0; the others are the fine codebooks' own delays.",
            )

    @property
    def n_codebooks(self) -> int:
        return len(self.delays)

    @property
    def endless(self) -> bool:
        return self.n_codebooks == 1

    @property
    def columns_per_frame(self) -> int:
        return 1 if self.endless else 2

    @property
    def max_delay(self) -> int:
        """Columns by which a frame's last code comes after a fine codebook without delay."""
        return self.delays[-1]

    def n_columns(self, n_frames: int) -> int:
        return 1 + n_frames * self.columns_per_frame + self.max_delay

    def learned_columns(self, n_frames: int) -> int:
        drain = 0 if self.endless else self.max_delay - self.delays[1]
        return self.n_columns(n_frames) - drain

    def _column(self, frame: int, codebook: int, n_frames: int | None) -> int:
        if codebook == 0 or n_frames is None:
            return 1 + frame
        return 1 + n_frames + frame + self.delays[codebook]

    def _frames(self, column: int, n_frames: int | None) -> Sequence[int]:
        if n_frames is None or column <= n_frames:
            return [column - 1, *[-1] * (self.n_codebooks - 1)]
        return [-1, *[column - 1 - n_frames - delay for delay in self.delays[1:]]]


@dataclass(frozen=True)
class GroupedPattern(Pattern):
    """Groups of codebooks one after the other, each flattened: a column a code ("MusicLM style").

    codebooks: K. group_by: codebooks of a group; it divides K. The first group of all frames comes before
    the second of any, so this is endless only with a single group, where it is FlattenPattern's whole order.
    (audiocraft codebooks_patterns.MusicLMPattern.)
    """

    codebooks: int
    group_by: int = 2

    def __post_init__(self) -> None:
        if self.codebooks < 1 or self.group_by < 1 or self.codebooks % self.group_by:
            raise ModelError(
                f"Groups of {self.group_by} were asked for of {self.codebooks} codebooks; "
                "allowed: sizes that divide the codebooks.",
                "No pattern was made.",
                "Choose another size of group.",
            )

    @property
    def n_codebooks(self) -> int:
        return self.codebooks

    @property
    def endless(self) -> bool:
        return self.group_by == self.n_codebooks

    @property
    def columns_per_frame(self) -> int:
        return self.n_codebooks

    def n_columns(self, n_frames: int) -> int:
        return 1 + n_frames * self.n_codebooks

    def learned_columns(self, n_frames: int) -> int:
        return self.n_columns(n_frames)

    def _column(self, frame: int, codebook: int, n_frames: int | None) -> int:
        group, inner = divmod(codebook, self.group_by)
        return 1 + (group * (n_frames or 0) + frame) * self.group_by + inner

    def _frames(self, column: int, n_frames: int | None) -> Sequence[int]:
        row, inner = divmod(column - 1, self.group_by)
        group, frame = (0, row) if n_frames is None or n_frames == 0 else divmod(row, n_frames)
        alone = group * self.group_by + inner
        return [frame if codebook == alone else -1 for codebook in range(self.n_codebooks)]
