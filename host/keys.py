"""Musical keys: which one pitch classes are in, how it is called, and the nearest note of it.

Knows nothing about sound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)  # semitones above the tonic
HOLDS = 2.0  # how much more it counts that a key has the notes than how well they fit in it
# How well each degree fits, by listeners (Krumhansl and Kessler 1982), from the tonic up in semitones.
_FIT_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_FIT_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@dataclass(frozen=True)
class Key:
    """tonic: 0..11, C is 0."""

    tonic: int
    minor: bool = False

    @property
    def name(self) -> str:
        """As in "C" or "F#m"."""
        return NAMES[self.tonic] + ("m" if self.minor else "")

    @property
    def classes(self) -> tuple[int, ...]:
        """Its seven pitch classes, ascending."""
        return tuple(sorted((self.tonic + step) % 12 for step in (MINOR if self.minor else MAJOR)))


ALL = tuple(Key(tonic, minor) for minor in (False, True) for tonic in range(12))


def key_of(weights: NDArray[np.float64]) -> Key | None:
    """The key that fits how much there is of each pitch class, [12] >= 0; None where nothing sticks out."""
    if not weights.sum() > 0 or weights.std() < 1e-9 * weights.max():
        return None
    total = float(weights.sum())
    fits = [_fit(weights, key) + HOLDS * float(weights[list(key.classes)].sum()) / total for key in ALL]
    return ALL[int(np.argmax(fits))]


def key_in(classes: Iterable[int], weights: NDArray[np.float64]) -> Key | None:
    """The key with exactly these pitch classes: of a major one and its relative minor, the one that fits
    better. None where no key has them."""
    wanted = tuple(sorted(set(classes)))
    found = [key for key in ALL if key.classes == wanted]
    return max(found, key=lambda key: _fit(weights, key), default=None)


def snapped(pitch: float, classes: tuple[int, ...] | None) -> int:
    """The nearest MIDI key 0..127 of these pitch classes (None: of all), the lower one of two."""
    if not classes:
        return min(127, max(0, math.ceil(pitch - 0.5)))
    candidates = [key for key in range(128) if key % 12 in classes]
    return min(candidates, key=lambda key: (abs(key - pitch), key))


def _fit(weights: NDArray[np.float64], key: Key) -> float:
    profile = np.roll(_FIT_MINOR if key.minor else _FIT_MAJOR, key.tonic)
    spread = weights.std() * profile.std()
    return float(((weights - weights.mean()) * (profile - profile.mean())).mean() / spread) if spread else 0.0
