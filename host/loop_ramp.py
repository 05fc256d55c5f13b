"""Gains that move without a step: what starts, stops, mutes and turns a loop's sound.

Knows nothing about loops.
"""

from __future__ import annotations

import numpy as np

from descant.host.events import Wave


def raised(n: int) -> Wave:
    """[n + 1] from 0 to 1, a raised cosine: a fade without a step in value or slope."""
    gains: Wave = (0.5 - 0.5 * np.cos(np.arange(n + 1) * (np.pi / n))).astype(np.float32)
    return gains


class Ramp:
    """A gain that goes from one value to the next along a raised cosine of n samples.

    What it is told on the way it does once it has arrived: a fade that turned round halfway would be a corner
    in the sound, which is heard as a click.
    """

    def __init__(self, n: int, gain: float = 0.0) -> None:
        self._gains = raised(n)
        self._n = n
        self._work: Wave = np.zeros(n, np.float32)
        self.rest(gain)

    @property
    def silent(self) -> bool:
        """At 0, and staying there."""
        return self._to == self._next == 0.0 and self._at == self._n

    @property
    def left(self) -> int:
        """Samples until it rests."""
        return self._n - self._at + (self._n if self._next != self._to else 0)

    def to(self, gain: float) -> None:
        self._next = float(gain)

    def rest(self, gain: float) -> None:
        """At a gain at once, and staying there: where nobody hears it."""
        self._from = self._to = self._next = float(gain)
        self._at = self._n

    def apply(self, wave: Wave) -> None:
        """Thread: audio. Multiply [C, n] by the next n gains."""
        done, n = 0, wave.shape[1]
        while done < n:
            if self._at == self._n:
                if self._next == self._to:
                    break
                self._from, self._to, self._at = self._to, self._next, 0
            length = min(n - done, self._n - self._at)
            gains = self._work[:length]
            np.multiply(self._gains[self._at + 1 :][:length], self._to - self._from, out=gains)
            gains += self._from
            wave[:, done : done + length] *= gains
            self._at += length
            done += length
        if self._to == 0.0:
            wave[:, done:] = 0.0
        elif self._to != 1.0:
            wave[:, done:] *= self._to
