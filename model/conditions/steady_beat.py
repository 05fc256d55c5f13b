"""A beat for music that nobody conducts: the control "beat" of a song that goes on at one tempo.

Knows nothing about transports or hosts; those give a beat of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from descant.model.errors import ModelError

SLOWEST, FASTEST = 20.0, 400.0  # beats a minute


def steady_beat(bpm: float, frame_rate: float, beats_per_bar: int = 4) -> Callable[[int], tuple[float, ...]]:
    """frame -> (cos, sin of the beat's phase, cos, sin of the bar's), beat 0 of bar 0 at frame 0.

    bpm: 20 to 400. ModelError for any other.
    """
    valid = isinstance(bpm, (int, float)) and not isinstance(bpm, bool) and SLOWEST <= bpm <= FASTEST
    if not valid:
        raise ModelError(
            f"The tempo is {bpm!r}; allowed: {SLOWEST:g} to {FASTEST:g} beats a minute, or None.",
            "Nothing was generated.",
            "Choose a tempo within these bounds; 120 is usual.",
        )

    def phases(frame: int) -> tuple[float, ...]:
        beats = frame / frame_rate * bpm / 60.0
        beat, bar = 2 * math.pi * beats, 2 * math.pi * beats / beats_per_bar
        return math.cos(beat), math.sin(beat), math.cos(bar), math.sin(bar)

    return phases
