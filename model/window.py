"""A window: one run of the language model over a stretch of a stream's frames, from its first column on.

Knows which of its columns hold what; nothing about drawing, guidance scales or codecs. Frames are counted
from the stream's start, columns from the window's: its column c holds what the pattern says, `origin` frames
later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from descant.model.code_log import CodeLog
from descant.model.lm.step import TextMemory
from descant.model.patterns import Pattern
from descant.model.rows import Rows
from descant.model.work import Work

PREFILL = 256  # columns run at once, at most


class Window:
    """origin: its first frame. n_frames: how many it covers, then its pattern drains; None: without end.

    since: the stream's horizon when it took over. key: what its prefix was made of. prefix: its stretches,
    [R, n, dim] each. special: the token of empty cells.
    """

    def __init__(
        self,
        pattern: Pattern,
        rows: Rows,
        special: int,
        origin: int,
        n_frames: int | None,
        since: int,
        key: tuple[object, ...],
        prefix: Iterator[torch.Tensor],
    ) -> None:
        self._pattern, self._special, self._prefix = pattern, special, prefix
        self._waits = True  # for the rest of its prefix
        self.rows, self.origin, self.n_frames, self.since, self.key = rows, origin, n_frames, since, key

    def cells(self, column: int) -> list[int]:
        """The stream's frame whose code stands in each of a column's K cells, -1 where there is none."""
        frames = self._pattern.frames_at(column, self.n_frames)
        return [frame + self.origin if frame >= 0 else -1 for frame in frames]

    def frame_of(self, column: int) -> int:
        """The stream's frame whose settings and controls a column is run under."""
        return self.origin + self._pattern.control_frame(column, self.n_frames)

    def first_unknown(self, log: CodeLog) -> int | None:
        """The first column with a code that the log lacks; None: all that the window covers are known."""
        columns = [
            self._pattern.column_of_cell(end - self.origin, codebook, self.n_frames)
            for codebook, end in enumerate(log.ends())
            if self.n_frames is None or end - self.origin < self.n_frames
        ]
        return min(columns) if columns else None

    def tokens(self, column: int, log: CodeLog) -> list[int]:
        """A column's K tokens, all known."""
        return [
            log.code(codebook, frame) if frame >= log.base else self._special
            for codebook, frame in enumerate(self.cells(column))
        ]

    def known(self, column: int, log: CodeLog) -> bool:
        """Whether all codes of a column are known."""
        return all(frame < log.end(codebook) for codebook, frame in enumerate(self.cells(column)))

    def extend_prefix(self) -> bool:
        """Remember the next stretch of the prefix; False if there is no more."""
        part = next(self._prefix, None) if self._waits else None
        self._waits = part is not None
        if part is not None:
            self.rows.extend_prefix(part)
        return self._waits

    def step(
        self,
        log: CodeLog,
        text: Callable[[int], TextMemory],
        controls: Callable[[int], torch.Tensor],
        guided: bool,
        spare: int = 0,
    ) -> Work[torch.Tensor]:
        """Run the next column: logits of its rows, see Rows.step. text, controls: as in run_to."""
        here = self.rows.position
        frame = self.frame_of(here)
        given = controls(frame).clone()  # of this frame first: it may be asked for just now
        memory = text(frame)

        def stretch(first: int, end: int) -> tuple[torch.Tensor, torch.Tensor]:
            return self._stretch(first, end, log, controls)

        tokens = torch.tensor(self.tokens(here, log))
        return (yield from self.rows.step(tokens, given, memory, stretch, guided, spare))

    def run_to(
        self,
        column: int,
        log: CodeLog,
        text: Callable[[int], TextMemory],
        controls: Callable[[int], torch.Tensor],
        everyone: bool = True,
    ) -> Work[None]:
        """Remember all columns before `column`, which are known; many at a time, with a wait after each lot.

        text, controls: what held at a frame; controls are [R, C]. everyone: see Rows.prefill.
        """
        while self.extend_prefix():
            yield None
        most = min(PREFILL, self.rows.at_once(everyone))
        while (first := self.rows.position) < column:
            memory = text(self.frame_of(first))
            end = first + 1
            while end < min(column, first + most) and text(self.frame_of(end)) is memory:
                end += 1
            self.rows.prefill(*self._stretch(first, end, log, controls), memory, everyone)
            yield None

    def _stretch(
        self, first: int, end: int, log: CodeLog, controls: Callable[[int], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [K, n] and controls [R, n, C] of known columns."""
        tokens = torch.tensor([self.tokens(c, log) for c in range(first, end)])
        given = torch.stack([controls(self.frame_of(c)).clone() for c in range(first, end)], dim=1)
        return tokens.T, given
