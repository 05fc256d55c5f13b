"""Reading a hum: its trace as it grows, and its notes, mended and moved to a key as the performer wants.

Knows nothing about devices, threads or how pitch is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from descant.host.keys import Key, key_in, key_of
from descant.host.pitch import Note, Trace, notes_of

Snap = Literal["key", "heard", "off"]
SNAPS: tuple[Snap, ...] = ("key", "heard", "off")


class HumReading:
    """classes: the pitch classes of the key that is played in now, None where there is none.

    trace: the pitch, growing while it is recorded. notes: what was read in it last. key: the one they were
    sung in, None where none sticks out. snap: notes are moved to the key that is played in, to the one that
    was heard, or not at all. guard: whether octaves that slip are mended.
    """

    def __init__(self, classes: Callable[[], tuple[int, ...] | None] = lambda: None) -> None:
        self.trace = Trace.empty()
        self.notes: list[Note] = []
        self.key: Key | None = None
        self.snap: Snap = "key"
        self.guard = True
        self._classes = classes

    @property
    def line(self) -> list[Note] | None:
        """The notes, where they stand for the voice; None: the voice itself does."""
        return self.notes if self.snap != "off" and self.notes else None

    @property
    def moved_to(self) -> Key | None:
        """The key that notes are moved to now; None: they are as they were sung."""
        return self._moved_to(_weights(self.notes))

    def next_snap(self) -> None:
        self.snap = SNAPS[(SNAPS.index(self.snap) + 1) % len(SNAPS)]

    def read(self) -> Key | None:
        """Read the notes of the trace, by snap and guard as they are now. Result: the key they were moved to,
        None: they are as they were sung.
        """
        free = notes_of(self.trace, None, self.guard)
        weights = _weights(free)
        self.key = key_of(weights)
        key = self._moved_to(weights)
        self.notes = free if key is None else notes_of(self.trace, key.classes, self.guard)
        return key

    def restart(self) -> None:
        """Another hum comes; the notes of the one before stay until it is read."""
        self.trace = Trace.empty()

    def forget(self) -> None:
        """There is no hum any more."""
        self.trace, self.notes = Trace.empty(), []

    def _moved_to(self, weights: NDArray[np.float64]) -> Key | None:
        if self.snap == "off":
            return None
        if self.snap == "key" and (classes := self._classes()) is not None:
            return key_in(classes, weights) or self.key
        return self.key


def _weights(notes: Sequence[Note]) -> NDArray[np.float64]:
    """[12] seconds of each pitch class."""
    weights = np.zeros(12)
    for note in notes:
        weights[note.key % 12] += note.seconds
    return weights
