"""How loud a stretch of music is to an ear: ITU-R BS.1770, of one channel, from its spectrogram.

Pure numpy. A low drone is softer than its RMS says, and a band that pauses is as loud as what it plays.
"""

from __future__ import annotations

import numpy as np

from descant.host.heard import FLOOR, FRAME_RATE, Array, Samples, spectrogram

SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
FILTER_RATE = 48000  # Hz, of the two filters above, as the standard prints them
OFFSET = -0.691  # LUFS
BLOCK, STEP = round(0.4 * FRAME_RATE), round(0.1 * FRAME_RATE)  # frames
GATE, BELOW = -70.0, -10.0  # LUFS that a block must have; LU below the mean of those, which it must have, too


def loudness(wave: Samples, sample_rate: int) -> float:
    """LUFS of [n], integrated over all of it; FLOOR for what is silent."""
    magnitudes, frequencies = spectrogram(wave, sample_rate, 2048)
    power = (magnitudes**2 @ weighting(frequencies)) / 3  # of Hann windows: (mean w)² / (2 mean w²)
    starts = range(0, max(1, len(power) - BLOCK + 1), STEP)
    blocks = np.array([power[start : start + BLOCK].mean() for start in starts])
    heard = blocks[_lufs(blocks) > GATE]
    if not len(heard):
        return FLOOR
    return float(_lufs(heard[_lufs(heard) > _lufs(heard.mean()) + BELOW].mean()))


def weighting(frequencies: Array) -> Array:
    """The standard's weight of a power at each frequency in Hz: lows count less, highs a little more."""
    turn = np.exp(-2j * np.pi * np.minimum(frequencies, FILTER_RATE / 2) / FILTER_RATE)
    gain = np.ones_like(turn)
    for above, below in (SHELF, HIGH_PASS):
        gain *= np.polynomial.polynomial.polyval(turn, above) / np.polynomial.polynomial.polyval(turn, below)
    return np.asarray(np.abs(gain) ** 2)


def _lufs(power: Array | np.floating) -> Array:
    return np.asarray(OFFSET + 10 * np.log10(np.maximum(power, 1e-12)))
