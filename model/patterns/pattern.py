"""Pattern: what every order of codes in columns can answer, for whole tensors and for a stream's next column.

Column 0 holds no code. A pattern is two functions that undo each other, from a cell to its column and from a
column to its cells; the rest follows. Knows nothing about the network or the loop. B batch, K codebooks,
F frames, S columns.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from descant.model.errors import ModelError


class Pattern(ABC):
    """An order in which the codes of frames are written into columns of K tokens.

    n_frames is everywhere the length of the piece. An endless pattern puts a code into the same column
    however long the piece is: None stands for a piece without end there, and only there is None allowed.
    """

    # What a pattern says of itself

    @property
    @abstractmethod
    def n_codebooks(self) -> int:
        """K."""

    @property
    @abstractmethod
    def endless(self) -> bool:
        """Whether the place of a code does not depend on the length of the piece, so that it can stream."""

    @property
    @abstractmethod
    def columns_per_frame(self) -> int:
        """Columns by which a frame comes later than the one before it; in an endless pattern, once in step;
        else the columns that a frame more makes in all."""

    @property
    def most_columns_per_frame(self) -> int:
        """As columns_per_frame, but the most that it ever is."""
        return self.columns_per_frame

    @abstractmethod
    def n_columns(self, n_frames: int) -> int:
        """S: columns of a piece, column 0 counted."""

    @abstractmethod
    def learned_columns(self, n_frames: int) -> int:
        """Columns used in training on n_frames frames: the first n_columns less the frames that the layout
        runs past the end. What comes after them, the drain, a model never sees in training."""

    @abstractmethod
    def _column(self, frame: int, codebook: int, n_frames: int | None) -> int:
        """The column of a cell that exists."""

    @abstractmethod
    def _frames(self, column: int, n_frames: int | None) -> Sequence[int]:
        """K frame numbers of a column >= 0; any outside the piece where there is no code."""

    # One column or cell at a time, for the hot loop: plain integers, exact at any distance

    def frames_at(self, column: int, n_frames: int | None = None) -> tuple[int, ...]:
        """The frame whose code stands in each of a column's K cells, -1 where the special token does.

        column: 0 or more; beyond the last one all cells are special.
        """
        end = self._end(n_frames)
        if column < 0:
            raise ModelError(
                f"Column {column} was asked for; allowed: 0 and more.",
                "Nothing was changed.",
                "Column 0 is the first, without codes.",
            )
        return tuple([frame if 0 <= frame < end else -1 for frame in self._frames(column, n_frames)])

    def control_frame(self, column: int, n_frames: int | None = None) -> int:
        """The frame whose controls and settings a column is run under: the latest of those it predicts.

        A column before an empty one keeps those of what it holds itself.
        """
        latest = max(self.frames_at(column + 1, n_frames))
        if latest < 0 and column:
            latest = max(self.frames_at(column, n_frames))
        return max(0, latest)

    def column_of_cell(self, frame: int, codebook: int, n_frames: int | None = None) -> int:
        """The column in which a code stands."""
        self._check_frame(frame, n_frames)
        if not 0 <= codebook < self.n_codebooks:
            raise ModelError(
                f"Codebook {codebook} was asked for; allowed: 0 to {self.n_codebooks - 1}.",
                "Nothing was changed.",
                "Ask for one the pattern has.",
            )
        return self._column(frame, codebook, n_frames)

    def first_column_with(self, frame: int, n_frames: int | None = None) -> int:
        """The first column that holds any code of a frame: where generation goes on after a prompt of
        `frame` frames."""
        self._check_frame(frame, n_frames)
        return min(self._column(frame, codebook, n_frames) for codebook in range(self.n_codebooks))

    def complete_column(self, frame: int, n_frames: int | None = None) -> int:
        """The column with which all K codes of a frame stand."""
        self._check_frame(frame, n_frames)
        return max(self._column(frame, codebook, n_frames) for codebook in range(self.n_codebooks))

    def complete_frames(self, n_columns: int, n_frames: int | None = None) -> int:
        """Frames whose K codes all stand in the first n_columns columns, column 0 counted.

        n_frames: length of the piece. None: without end if the pattern is endless, else the columns are taken
        for a whole piece, and a ModelError says if there is none of so many.
        """
        if n_frames is None and not self.endless:
            n_frames = self._frames_of_whole(n_columns)
        at_most = min(self._end(n_frames), max(0, n_columns))
        return bisect_left(range(at_most), n_columns, key=lambda frame: self.complete_column(frame, n_frames))

    # Whole pieces

    def layout(self, n_frames: int) -> Tensor:
        """[K, S] int64: the frame, 0..n_frames-1, whose code stands in each cell, or -1 where none does.

        Every frame stands once in each row.
        """
        places = self.column_of(n_frames)
        table = torch.full((self.n_codebooks, self.n_columns(n_frames)), -1)
        return table.scatter_(1, places, torch.arange(n_frames).expand_as(places))

    def column_of(self, n_frames: int) -> Tensor:
        """[K, F] int64: the column in which each code of each frame stands, of frames 0..n_frames-1."""
        self._end(n_frames)
        return _column_table(self, n_frames).clone()

    def holds(self, n_frames: int) -> Tensor:
        """[K, S] bool: cells that hold a code; the others hold the special token."""
        return self.layout(n_frames) >= 0

    def learned(self, n_frames: int) -> Tensor:
        """[K, F] bool: codes that stand in learned columns, those that carry loss.

        Codes are learned from the columns before theirs: the network is given all learned columns but the
        last, and what it says at column s is compared with column s + 1.
        """
        return self.column_of(n_frames) < self.learned_columns(n_frames)

    def to_columns(self, codes: Tensor, special: int) -> Tensor:
        """codes [B, K, F] -> columns [B, K, S] with `special` where the pattern has no code."""
        self._check_rows(codes)
        layout = self.layout(codes.shape[-1]).to(codes.device)
        if codes.shape[-1] == 0:
            return codes.new_full((codes.shape[0], *layout.shape), special)
        cells = codes.gather(2, layout.clamp(min=0).expand(codes.shape[0], -1, -1))
        return cells.masked_fill(layout < 0, special)

    def to_codes(self, columns: Tensor, n_frames: int | None = None, length: int | None = None) -> Tensor:
        """columns [B, K, S] -> codes [B, K, F]: the first n_frames frames; default all that are complete.

        columns: the first S of a piece. length: frames of that piece, which only patterns that are not
        endless need; default: the columns are the whole of it.
        """
        self._check_rows(columns)
        if length is None and not self.endless:
            length = self._frames_of_whole(columns.shape[-1])
        complete = self.complete_frames(columns.shape[-1], length)
        wanted = complete if n_frames is None else n_frames
        if not 0 <= wanted <= complete:
            raise ModelError(
                f"{wanted} frames were asked for of {columns.shape[-1]} columns; 0..{complete} are complete.",
                "The columns are unchanged.",
                "Ask for fewer frames or give more columns.",
            )
        places = self.column_of(wanted if self.endless else length or 0)[:, :wanted]
        return columns.gather(2, places.to(columns.device).expand(columns.shape[0], -1, -1))

    # Checks

    def _end(self, n_frames: int | None) -> int:
        """Frames of the piece, or more than any."""
        if n_frames is None:
            if self.endless:
                return sys.maxsize
            raise ModelError(
                f"{type(self).__name__} was given no length of the piece; allowed: frames, 0 or more.",
                "Nothing was changed.",
                "Say how many frames there will be; only endless patterns can go without.",
            )
        if n_frames < 0:
            raise ModelError(
                f"A length of {n_frames} frames was given; allowed: 0 and more.",
                "Nothing was changed.",
                "Give the length of the piece in frames.",
            )
        return n_frames

    def _check_frame(self, frame: int, n_frames: int | None) -> None:
        if not 0 <= frame < self._end(n_frames):
            allowed = "0 and more" if n_frames is None else f"0..{n_frames - 1} of {n_frames}"
            raise ModelError(
                f"Frame {frame} was asked for; allowed: {allowed}.",
                "Nothing was changed.",
                "Ask for a frame of the piece.",
            )

    def _frames_of_whole(self, n_columns: int) -> int:
        """The length of the piece that has so many columns."""
        n_frames = bisect_left(range(max(0, n_columns)), n_columns, key=self.n_columns)
        if self.n_columns(n_frames) != n_columns:
            raise ModelError(
                f"{n_columns} columns are no whole piece in {type(self).__name__}; "
                f"{n_frames} frames have {self.n_columns(n_frames)}.",
                "Nothing was changed.",
                "Say how many frames the piece has.",
            )
        return n_frames

    def _check_rows(self, tokens: Tensor) -> None:
        if tokens.dim() != 3 or tokens.shape[1] != self.n_codebooks:
            raise ModelError(
                f"Tokens of shape {list(tokens.shape)} were given; [B, {self.n_codebooks}, n] is allowed.",
                "Nothing was changed.",
                f"Give {self.n_codebooks} codebooks.",
            )


@lru_cache(maxsize=16)
def _column_table(pattern: Pattern, n_frames: int) -> Tensor:
    """[K, F] int64, kept: training asks for the same length again and again."""
    rows = [
        [pattern._column(frame, codebook, n_frames) for frame in range(n_frames)]
        for codebook in range(pattern.n_codebooks)
    ]
    return torch.tensor(rows, dtype=torch.int64).view(pattern.n_codebooks, n_frames)


def check_ascending(name: str, values: Sequence[int]) -> None:
    """Raise ModelError unless there is at least one value, all integers from 0 on, none below the one
    before."""
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
    if not values or not whole or values[0] < 0 or list(values) != sorted(values):
        raise ModelError(
            f"{name} {values} were given; one per codebook, none negative, ascending, are allowed.",
            "No pattern was made.",
            f"Sort the {name.lower()}.",
        )
