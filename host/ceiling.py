"""A ceiling for what goes to the speakers: generator and loops together may be louder than full scale.

Samples up to KNEE pass as they are, to the bit; beyond, they bend softly and stay below full scale. Without
memory, so that nothing pumps and nothing comes late.
"""

from __future__ import annotations

import numpy as np

from descant.host.events import Wave

KNEE = 0.8  # -1.9 dBFS


class Ceiling:
    """Room for blocks of up to `most` samples."""

    def __init__(self, channels: int, most: int) -> None:
        self._over: Wave = np.zeros((channels, most), np.float32)

    def hold(self, wave: Wave) -> None:
        """Thread: audio. Bend wave [C, n], n <= most, in place: beyond KNEE a tangens hyperbolicus, which
        meets the straight part with its slope.
        """
        over = self._over[:, : wave.shape[1]]
        np.absolute(wave, out=over)
        if wave.shape[1] == 0 or over.max() <= KNEE:
            return
        np.subtract(over, KNEE, out=over)
        np.maximum(over, 0.0, out=over)
        np.divide(over, 1 - KNEE, out=over)
        np.tanh(over, out=over)
        np.multiply(over, 1 - KNEE, out=over)
        np.clip(wave, -KNEE, KNEE, out=wave)
        np.copysign(over, wave, out=over)
        wave += over
