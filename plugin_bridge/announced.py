"""Where the host means sound to be: what its plans announce, so that an asked-for stop is no underrun.

Knows nothing about audio. Positions are samples of the session's timeline.
"""

from __future__ import annotations

from bisect import bisect_right

_BEFORE = -(2**63)
KEPT = 64
"""Turns from sound to silence and back that are kept, the latest along the timeline."""


class Announced:
    """Silence and sound along the timeline, as the plans say.

    A plan without words is silence from its sample on, and one with words is sound; either takes the place of
    what was announced there or later. (A melody that is announced ahead of a stop looks like any other music:
    that stop is forgotten.) Before the first plan there is sound.

    `planned` belongs to the thread that hears the plans; `silent` and `moved` may be called from another, and
    neither waits: what is kept is replaced as a whole.
    """

    def __init__(self) -> None:
        self._turns: tuple[tuple[int, bool], ...] = ((_BEFORE, False),)  # (from there on, is it silent)
        self._begun = False  # a plan has come
        self._fresh = True  # what lies before the first plan is from before any music

    def planned(self, from_sample: int, text: str) -> None:
        """Take a plan."""
        before = tuple(turn for turn in self._turns if turn[0] < from_sample)
        self._turns = (*before, (from_sample, not text))[-KEPT:]
        self._begun = True

    def silent(self, first: int, end: int) -> bool:
        """Whether silence is announced for any of the samples first..end, end included."""
        turns = self._turns
        now = bisect_right(turns, first, key=lambda turn: turn[0]) - 1
        return any(silent and at <= end for at, silent in turns[max(0, now) :])

    def still(self, first: int, end: int) -> bool:
        """Whether all of the samples first..end are meant to be silent: it is announced, or they lie before
        the very first plan."""
        turns = self._turns
        now = max(0, bisect_right(turns, first, key=lambda turn: turn[0]) - 1)
        return all(silent or (at == _BEFORE and self._fresh) for at, silent in turns[now:] if at <= end)

    def moved(self, playhead: int) -> None:
        """The playhead leaves `playhead` for elsewhere: what is announced there goes on at the new place."""
        self._fresh = self._fresh and not self._begun
        self._turns = ((_BEFORE, self.silent(playhead, playhead)),)
