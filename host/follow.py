"""How closely music follows a hum: the cosine of their pitch classes, and what chance would give.

Pure numpy, from waves and notes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from descant.host.events import Wave
from descant.host.heard import FRAME_RATE, chroma, spectrogram
from descant.host.pitch import Note, sung

LATEST_SECONDS = 0.3  # by which what follows may come later


@dataclass(frozen=True)
class Follow:
    """score: mean cosine, 0..1, over the rows in which the hum sounds. chance: the same with the hum moved by
    1 to 11 semitones, their mean. late: seconds by which the music follows best.
    """

    score: float
    chance: float
    late: float


def follow(music: Wave, rate: int, notes: Sequence[Note]) -> Follow | None:
    """music: [n] at rate, which began when the notes did. None where nothing was hummed or played."""
    magnitudes, frequencies = spectrogram(music, rate)
    made = chroma(magnitudes, frequencies)
    wanted = sung(list(notes), len(made), FRAME_RATE).astype(np.float64)
    if not wanted.any() or not made.any():
        return None
    best: Follow | None = None
    for late in range(round(LATEST_SECONDS * FRAME_RATE) + 1):
        rows = wanted[: len(made) - late]
        heard = made[late:]
        sounding = rows.any(axis=1)
        if not sounding.any():
            continue
        cosines = [
            float((heard[sounding] * np.roll(rows[sounding], semitones, axis=1)).sum(axis=1).mean())
            for semitones in range(12)
        ]
        if best is None or cosines[0] > best.score:
            best = Follow(cosines[0], float(np.mean(cosines[1:])), late / FRAME_RATE)
    return best
