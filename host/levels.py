"""Level meters: peaks that are held and fall, and clipping that is remembered, for each channel.

Knows nothing about where the sound comes from. Thread: whoever feeds it; others may read the arrays.
"""

from __future__ import annotations

import numpy as np

from descant.host.events import Wave

HOLD_SECONDS = 1.0
FALL_DB_A_SECOND = 20.0
CLIPPED = 0.999  # of full scale
SILENT = 10 ** (-70 / 20)  # below this nothing is connected, or nobody plays


class Levels:
    """rate: Hz. peak, held: [C], linear. clips: [C], samples at full scale since `forget`.

    quiet: samples since the last one above SILENT.
    """

    def __init__(self, channels: int, rate: int) -> None:
        self.peak = np.zeros(channels, np.float32)
        self.held = np.zeros(channels, np.float32)
        self.clips = np.zeros(channels, np.int64)
        self.quiet = 0
        self._rate = rate
        self._since = np.zeros(channels, np.int64)

    def feed(self, wave: Wave) -> None:
        """Take in [C, n]."""
        n = wave.shape[1]
        if n == 0:
            return
        np.maximum(wave.max(axis=1), -wave.min(axis=1), out=self.peak)
        loudest = float(self.peak.max())
        if loudest >= CLIPPED:
            self.clips += np.count_nonzero(np.abs(wave) >= CLIPPED, axis=1)
        self.quiet = 0 if loudest > SILENT else self.quiet + n
        self._since += n
        fall = 10 ** (-FALL_DB_A_SECOND * n / self._rate / 20)
        self.held[self._since > HOLD_SECONDS * self._rate] *= fall
        higher = self.peak >= self.held
        self.held[higher] = self.peak[higher]
        self._since[higher] = 0

    def forget(self) -> None:
        """Clipping was seen."""
        self.clips[:] = 0
