"""The rows that guidance compares: conditioned, (melody alone,) null; one batch, or one after the other.

Knows nothing about codes' order, sampling or codecs: columns of one stream in, logits of all its rows out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from descant.model.lm.music_lm import MusicLm
from descant.model.lm.step import LmState, TextMemory
from descant.model.work import Ask, Work


class Rows:
    """A run of columns through the language model, the same tokens in each row.

    n_rows: R. capacity: positions remembered, a prefix included. two_step: every row has a cache of its own
    and is run by itself (audiocraft's two_step_cfg): the same logits, half the memory traffic at a time.
    """

    def __init__(self, lm: MusicLm, n_rows: int, capacity: int, two_step: bool = False) -> None:
        self._lm, self.n_rows = lm, n_rows
        self.run = 0  # positions run, those of the prefix and those run again included
        batches = [1] * n_rows if two_step else [n_rows]
        self._states: list[LmState] = [lm.new_state(batch, capacity) for batch in batches]

    @property
    def position(self) -> int:
        """The next column to run."""
        return self._states[0].position

    @property
    def at_once(self) -> int:
        """Columns that `prefill` runs in little more time than one; or all that there are."""
        return self._lm.at_once(self.n_rows)

    @property
    def states(self) -> tuple[LmState, ...]:
        """What is remembered: one state, or one a row."""
        return tuple(self._states)

    def extend_prefix(self, part: Tensor) -> None:
        """Remember a stretch [R, n, dim] of what stands before the columns; none has been run yet."""
        self.run += part.shape[1]
        for state, mine in self._parts(part):
            assert mine is not None
            self._lm.extend_prefix(state, mine)

    def restart(self, position: int) -> None:
        """Forget everything; the next column is at `position` (models without a prefix)."""
        for state in self._states:
            state.restart(position)

    def rewind(self, columns: int) -> None:
        """Go back by that many columns."""
        for state in self._states:
            state.rewind(columns)

    def step(self, tokens: Tensor, controls: Tensor, text: TextMemory) -> Work[Tensor]:
        """One column: tokens [K], controls [R, C] -> logits [R, K, cardinality]."""
        columns = []
        for index, (state, part) in enumerate(self._parts(controls)):
            assert part is not None
            state.text = text if len(self._states) == 1 else _row(text, index)
            columns.append((tokens.expand(state.batch, -1), part, state))
        parts = yield Ask(tuple(columns))
        assert parts is not None
        self.run += 1
        return parts[0] if len(parts) == 1 else torch.cat(list(parts))

    def prefill(self, tokens: Tensor, controls: Tensor | None, text: TextMemory) -> None:
        """Several columns without logits: tokens [K, S], controls [R, S, C] or None."""
        self.run += tokens.shape[1]
        for index, (state, part) in enumerate(self._parts(controls)):
            state.text = text if len(self._states) == 1 else _row(text, index)
            self._lm.prefill(tokens.expand(state.batch, -1, -1), part, state)

    def _parts(self, whole: Tensor | None) -> list[tuple[LmState, Tensor | None]]:
        """Each state with its rows of a tensor."""
        if whole is None or len(self._states) == 1:
            return [(state, whole) for state in self._states]
        return [(state, whole[index : index + 1]) for index, state in enumerate(self._states)]


def _row(text: TextMemory, index: int) -> TextMemory:
    """One row's part; rows beyond the first are null."""
    if not text.keys or index >= text.keys[0].shape[0]:
        return TextMemory()
    one = slice(index, index + 1)
    hidden = None if text.hidden is None else text.hidden[one]
    return TextMemory(tuple(k[one] for k in text.keys), tuple(v[one] for v in text.values), hidden)
