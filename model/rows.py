"""The rows that guidance compares: conditioned, (melody alone,) null; one batch, or one after the other.

Native kernels keep the rows beyond the first in a stream of their own, which may lag behind: they are run
only when guidance asks for them, several columns in the time of one. Knows nothing about codes' order,
sampling or codecs: columns of one stream in, logits of its rows out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from descant.model.lm.music_lm import MusicLm
from descant.model.lm.step import LmState, TextMemory
from descant.model.work import Ask, Work

MAX_REACH = 8192  # columns that lagging rows are run again at most
JOINED = 8  # columns of lagging rows that are run beside the one that asks for them

# (first, end) -> tokens [K, n], controls [R, n, C] of columns first .. end - 1
Stretch = Callable[[int, int], tuple[Tensor, Tensor]]


class Rows:
    """A run of columns through the language model, the same tokens in each row.

    n_rows: R. capacity: positions remembered, a prefix included. two_step: every row has a cache of its own
    and is run by itself (audiocraft's two_step_cfg): the same logits, half the memory traffic at a time.
    """

    def __init__(self, lm: MusicLm, n_rows: int, capacity: int, two_step: bool = False) -> None:
        self._lm, self.n_rows = lm, n_rows
        self.run = 0  # positions run, those of the prefix and those run again included, of the first row
        self.lags = lm.batches and n_rows > 1
        self.first = 0  # the oldest column remembered
        batches = [1] * n_rows if two_step else [1, n_rows - 1] if self.lags else [n_rows]
        self._states: list[LmState] = [lm.new_state(batch, capacity) for batch in batches]
        spec = lm.spec
        self._spare = capacity if spec.context is None else capacity - spec.context + 1
        # How far back a column's logits depend on others, and as many as a rewind may undo.
        self._reach = None if spec.context is None else min(MAX_REACH, spec.n_layers * (spec.context - 1) + 1)
        self._sound = 0  # the lagging rows' logits are exact from this column on

    @property
    def position(self) -> int:
        """The next column to run."""
        return self._states[0].position

    @property
    def lag(self) -> int:
        """Columns that the rows beyond the first are behind it."""
        return self.position - self._states[-1].position

    def at_once(self, everyone: bool = True) -> int:
        """Columns that `prefill` runs in little more time than one; or all that there are."""
        return self._lm.at_once(self.n_rows if everyone or not self.lags else 1)

    @property
    def states(self) -> tuple[LmState, ...]:
        """What is remembered: one state, or one a row, or the first row's and the others'."""
        return tuple(self._states)

    def extend_prefix(self, part: Tensor) -> None:
        """Remember a stretch [R, n, dim] of what stands before the columns; none has been run yet."""
        self.run += part.shape[1]
        for state, mine in self._parts(part):
            assert mine is not None
            self._lm.extend_prefix(state, mine)

    def restart(self, position: int) -> None:
        """Forget everything; the next column is at `position` (models without a prefix)."""
        self.first = self._sound = position
        for state in self._states:
            state.restart(position)

    def rewind(self, columns: int) -> None:
        """Go back by that many columns."""
        target = self.position - columns
        self._states[0].rewind(columns)
        for state in self._states[1:] if self.lags else ():
            ahead = state.position - target
            if ahead > 0 and target < self._sound:
                self._begin_others(target)
                return
            state.rewind(max(0, ahead))
        for state in () if self.lags else self._states[1:]:
            state.rewind(columns)

    def step(
        self,
        tokens: Tensor,
        controls: Tensor,
        text: TextMemory,
        stretch: Stretch | None = None,
        guided: bool = True,
        spare: int = 0,
    ) -> Work[Tensor]:
        """One column: tokens [K], controls [R, C] -> logits [R, K, cardinality].

        stretch: of past columns, for rows that lag behind. guided: else these are left behind, their logits
        with them: [1, K, cardinality]; `spare` columns of theirs are run all the same, if they lag so far.
        """
        here = self.position
        if self.lags and guided and self.lag:
            assert stretch is not None
            yield from self._catch_up(here + 1, text, stretch)
        columns = []
        for index, (state, part) in enumerate(self._parts(controls)):
            assert part is not None
            state.text = text if len(self._states) == 1 else _row(text, index)
            if index == 0 or not self.lags:
                columns.append((tokens.expand(state.batch, -1), part, state))
                continue
            end = here + 1 if guided else min(here, state.position + min(spare, self._spare))
            if end == here + 1 == state.position + 1:
                columns.append((tokens.expand(state.batch, -1), part, state))
            elif end > state.position:
                assert stretch is not None
                past, given = stretch(state.position, end)
                mine = given[index : index + state.batch]
                columns.append((past.expand(state.batch, -1, -1), mine, state))
        parts = yield Ask(tuple(columns))
        assert parts is not None
        self.run += 1
        if self.lags and not guided:
            return parts[0]
        return parts[0] if len(parts) == 1 else torch.cat(list(parts))

    def prefill(
        self, tokens: Tensor, controls: Tensor | None, text: TextMemory, everyone: bool = True
    ) -> None:
        """Several columns without logits: tokens [K, S], controls [R, S, C] or None.

        everyone: rows that may lag are run, too, unless they do already.
        """
        self.run += tokens.shape[1]
        if self.lags and everyone and self.lag == 0 and controls is not None:
            self._prefill_all(tokens, controls, text)
            return
        for index, (state, part) in enumerate(self._parts(controls)):
            if index and self.lags:
                break
            state.text = text if len(self._states) == 1 else _row(text, index)
            self._lm.prefill(tokens.expand(state.batch, -1, -1), part, state)

    def _prefill_all(self, tokens: Tensor, controls: Tensor, text: TextMemory) -> None:
        """As prefill, all rows in the same batch."""
        some = max(1, min(self._lm.at_once(self.n_rows), self._spare))
        parts = self._parts(controls)
        for index, (state, _) in enumerate(parts):
            state.text = _row(text, index)
        for first in range(0, tokens.shape[1], some):
            lot = tokens[:, first : first + some]
            self._lm.step_together(
                [
                    (lot.expand(state.batch, -1, -1), part[:, first : first + some], state)
                    for state, part in parts
                    if part is not None
                ],
                want_logits=False,
            )

    def _catch_up(self, end: int, text: TextMemory, stretch: Stretch) -> Work[None]:
        """Run the rows that lag, a lot at a time, until the rest up to `end` can be run beside a column."""
        if self._reach is not None and self.lag > self._reach + 2 * self._spare:
            self._begin_others(self.position)
        others = self._states[1:]
        batch = others[0].batch
        joined = max(1, min(JOINED // batch // len(others), self._spare))
        for index, state in enumerate(others, 1):
            state.text = _row(text, index)
            while end - state.position > joined:
                first = state.position
                tokens, controls = stretch(first, min(end - joined, first + self._lm.at_once(batch)))
                mine = controls[index : index + batch]
                self._lm.prefill(tokens.expand(batch, -1, -1), mine, state)
                yield None

    def _begin_others(self, target: int) -> None:
        """Let the lagging rows begin so far before a column that there and a rewind before all is exact."""
        assert self._reach is not None
        start = max(self.first, target - self._reach - self._spare)
        self._sound = self.first if start == self.first else start + self._reach
        for state in self._states[1:]:
            state.restart(start)

    def _parts(self, whole: Tensor | None) -> list[tuple[LmState, Tensor | None]]:
        """Each state with its rows of a tensor."""
        if whole is None or len(self._states) == 1:
            return [(state, whole) for state in self._states]
        found: list[tuple[LmState, Tensor | None]] = []
        at = 0
        for state in self._states:
            found.append((state, whole[at : at + state.batch]))
            at += state.batch
        return found


def _row(text: TextMemory, index: int) -> TextMemory:
    """One row's part; rows beyond the first are null."""
    if not text.keys or index >= text.keys[0].shape[0]:
        return TextMemory()
    one = slice(index, index + 1)
    hidden = None if text.hidden is None else text.hidden[one]
    return TextMemory(tuple(k[one] for k in text.keys), tuple(v[one] for v in text.values), hidden)
