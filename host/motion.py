"""Whether music moves: what is struck, in all of its spectrum at once, and how long its notes stay the same.

Pure numpy, on the spectra that `heard` makes.
"""

from __future__ import annotations

import numpy as np

from descant.host.heard import Array

RISE = 3.0  # dB a frame: a band that rises so begins something
WIDE = 0.5  # of all bands: what begins in so many at once is a drum or a pluck, and no held note
ALIKE = 0.9  # chroma cosine with what was heard so far: less is another note or chord
SMOOTH = 5  # frames of chroma in one, so that an attack's noise is no other chord


def strikes(rows: Array) -> int:
    """How many times something is struck in [F, bands] of dB."""
    wide = (np.diff(rows, axis=0) > RISE).mean(axis=1) > WIDE
    return int(np.count_nonzero(np.diff(wide.astype(int), prepend=0) > 0))


def still(pitches: Array) -> int:
    """The longest stretch of [F, 12] chroma that is one note or chord, in frames; silence is none."""
    longest = length = 0
    before = np.zeros(12)
    for row in _smooth(pitches):
        size = float(np.linalg.norm(before))
        if not row.any() or (size and float(before @ row) < ALIKE * size):
            length, before = 0, np.zeros(12)
        length += bool(row.any())
        before = before + row
        longest = max(longest, length)
    return longest


def _smooth(pitches: Array) -> Array:
    """The mean of SMOOTH frames about each, of length 1 again."""
    padded = np.pad(pitches, ((SMOOTH // 2, SMOOTH // 2), (0, 0)))
    sums = np.lib.stride_tricks.sliding_window_view(padded, SMOOTH, axis=0).sum(axis=-1)
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9))
