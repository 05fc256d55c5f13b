"""Chord names as pitch classes, and progressions: which chord holds in which bar.

Knows nothing about presets, samples or models; a chord is a function of the bar's number alone.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from descant.host.errors import PresetError

ROOTS: dict[str, int] = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS: dict[str, int] = {"": 0, "#": 1, "b": -1}
QUALITIES: dict[str, tuple[int, ...]] = {  # semitones above the root
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "dim": (0, 3, 6),
    "sus4": (0, 5, 7),
    "5": (0, 7),
}
CHORDS_ALLOWED = (
    "allowed: a root A..G, # or b if wanted, and a quality: nothing (major), "
    + ", ".join(quality for quality in QUALITIES if quality)
    + "; for example C, F#m7, Bb"
)
MAX_CHORDS = 64
MAX_BARS_PER_CHORD = 8
_NAME = re.compile(
    f"([{''.join(ROOTS)}])({'|'.join(filter(None, ACCIDENTALS))}|)"
    f"({'|'.join(sorted(QUALITIES, key=len, reverse=True))})"
)


def pitch_classes(name: str) -> tuple[int, ...]:
    """The pitch classes of a chord name, ascending, 0 is C. Errors: PresetError naming what is allowed."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise PresetError(f"no chord is named {name[:40]!r}", "the chords stay as they were", CHORDS_ALLOWED)
    root, accidental, quality = found.groups()
    lowest = ROOTS[root] + ACCIDENTALS[accidental]
    return tuple(sorted((lowest + step) % 12 for step in QUALITIES[quality]))


@dataclass(frozen=True)
class Progression:
    """Chords in turn, from bar 0 on and round again, before it too.

    chords: at least one, each its pitch classes. bars_per_chord: how long each holds, from 1.
    """

    chords: tuple[tuple[int, ...], ...]
    bars_per_chord: int = 1

    @classmethod
    def named(cls, names: tuple[str, ...], bars_per_chord: int) -> Progression | None:
        """From chord names; None from none. Errors: PresetError for a name that is no chord."""
        return cls(tuple(map(pitch_classes, names)), bars_per_chord) if names else None

    @property
    def longest(self) -> float:
        """How many bars one chord goes on at the longest, the last into the first one; inf for a drone."""
        if len(set(self.chords)) == 1:
            return math.inf
        return self.bars_per_chord * max(len(tuple(same)) for _, same in groupby(self.chords * 2))

    def at(self, bar: Fraction) -> tuple[int, ...]:
        """The chord at a bar number with its fraction, negative before the start of the song."""
        return self.chords[math.floor(bar) // self.bars_per_chord % len(self.chords)]
