"""How long a sound takes from the output back to the input: a probe to play, and finding it in what came.

Knows nothing about devices. What it finds is `Looper.latency`.
"""

from __future__ import annotations

import numpy as np

from descant.host.events import Wave

PROBE_SECONDS = 0.25
LEVEL = 0.25
CERTAIN = 8.0  # how far the best place must stand out above what correlates by chance


def probe(rate: int) -> Wave:
    """[n] a sweep from 200 Hz to 0.4 of the rate, faded at both ends: loud enough for a cable or a room."""
    n = round(PROBE_SECONDS * rate)
    seconds = np.arange(n) / rate
    low, high = 200.0, 0.4 * rate
    growth = np.log(high / low)
    phase = 2 * np.pi * low * PROBE_SECONDS / growth * (np.exp(seconds / PROBE_SECONDS * growth) - 1)
    fade = np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1]) / (0.01 * rate))
    wave: Wave = (LEVEL * fade * np.sin(phase)).astype(np.float32)
    return wave


def round_trip(sent: Wave, heard: Wave) -> int | None:
    """Samples by which `sent` [n] lies later in `heard` [m], m >= n; None where that is not certain."""
    size = 1 << (len(heard) + len(sent) - 1).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sent, size))
    match = np.abs(np.fft.irfft(spectrum, size)[: len(heard) - len(sent) + 1])
    best = int(np.argmax(match))
    chance = float(np.sqrt(np.mean(np.square(match))))
    if chance == 0 or match[best] < CERTAIN * chance:
        return None
    return best
