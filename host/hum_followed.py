"""The stretch of music that is compared with a hum: from where it is followed on, gathered as it is played.

How they are compared, follow.py says. Positions are samples of the timeline.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from descant.host.events import Wave
from descant.host.hum_take import HumTake
from descant.host.pitch import Note

FOLLOWED_BARS = 8  # compared at most


class HumFollowed:
    """notes: of the hum that was handed in, counted from where the music follows it; none: nothing was."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self._stretch: tuple[int, int] | None = None
        self._music: list[Wave] = []

    def handed_in(self, notes: Sequence[Note]) -> None:
        """Another hum; what was gathered for the one before is compared no more."""
        self.notes, self._stretch = list(notes), None

    def begins(self, at: int, take: HumTake) -> None:
        """The music follows the take from a sample on."""
        length = min(len(take.wave), round(FOLLOWED_BARS * take.bar))
        self._stretch, self._music = (at, at + length), []

    def made(self, at: int, wave: Wave) -> Wave | None:
        """What is played [C, n] from a sample on. Result: the stretch [m] when it is whole, else None."""
        if self._stretch is None:
            return None
        first, end = self._stretch
        if at + wave.shape[1] > first and at < end:
            self._music.append(wave[:, max(0, first - at) : end - at].mean(axis=0))
        if at < end:
            return None
        music = np.concatenate(self._music) if self._music else np.zeros(0, np.float32)
        self._stretch, self._music = None, []
        return music if len(music) else None
