"""The best pitch tracker that is there: swift-f0, or the plain one; both give rows as `Trace` has them.

Never imported where sound is made: loading it takes a third of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import soxr

from descant.host.events import Wave
from descant.host.pitch import HIGHEST, LOWEST, RATE, PlainTracker, Trace


class Tracker(Protocol):
    """Takes [n] more at RATE; gives the rows that are certain."""

    def push(self, wave: Wave, last: bool = False) -> Trace: ...


class SwiftTracker:
    """swift-f0's stream. detector: a SwiftF0."""

    def __init__(self, detector: Any) -> None:
        self._stream = detector.stream(LOWEST, HIGHEST)

    def push(self, wave: Wave, last: bool = False) -> Trace:
        found = [self._stream.push(wave, RATE)] if len(wave) else []
        if last:
            found.append(self._stream.flush())
        trace = Trace.empty()
        for part in found:
            rows = (part.pitch_hz, part.confidence, part.loudness_db)
            trace = trace + Trace(*(np.asarray(row, np.float32) for row in rows))
        return trace


class Trackers:
    """name: of the tracker that is used, "swift-f0" or "autocorrelation"."""

    def __init__(self, swift: bool = True) -> None:
        self._detector: Any = None
        if swift:
            try:
                from swift_f0 import SwiftF0

                self._detector = SwiftF0(threads=1, spin=False)
            except Exception:  # missing, or its library does not load here: the plain one is always there
                self._detector = None
        self.name = "swift-f0" if self._detector is not None else "autocorrelation"

    def make(self) -> Tracker:
        """One for a new clip."""
        return PlainTracker() if self._detector is None else SwiftTracker(self._detector)


class ClipTracker:
    """A clip at any rate. push: as Tracker's, of [n] more at `rate`."""

    def __init__(self, tracker: Tracker, rate: int) -> None:
        self._tracker = tracker
        self._rates = soxr.ResampleStream(rate, RATE, 1, "float32") if rate != RATE else None

    def push(self, wave: Wave, last: bool = False) -> Trace:
        if self._rates is not None:
            wave = self._rates.resample_chunk(np.ascontiguousarray(wave), last=last)
        return self._tracker.push(wave, last)


def trace_of(wave: Wave, rate: int, trackers: Trackers | None = None) -> Trace:
    """The trace of a whole clip [n]."""
    clip = ClipTracker((trackers or Trackers()).make(), rate)
    trace = Trace.empty()
    for piece in _pieces(wave, rate * 20):
        trace = trace + clip.push(piece)
    return trace + clip.push(np.zeros(0, np.float32), last=True)


def _pieces(wave: Wave, n: int) -> Iterator[Wave]:
    for start in range(0, len(wave), n):
        yield wave[start : start + n]
