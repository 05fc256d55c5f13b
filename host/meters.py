"""How a session does, in numbers a user can read: lead, speed, underruns, control delay.

Knows nothing about clocks: seconds of work are handed in, everything else is counted in samples.
"""

from __future__ import annotations

from collections import deque

from descant.host.events import MeterOut

REMEMBERED = 256  # control delays that count


class Meters:
    """rate: Hz of the client. underruns: as the client last reported. eased: the overload ladder's."""

    def __init__(self, rate: int) -> None:
        self.underruns = 0
        self.eased = 0
        self._rate = rate
        self._delays: deque[int] = deque(maxlen=REMEMBERED)
        self._busy = 0.0
        self._frame_seconds = 0.0

    def delayed(self, n_samples: int) -> None:
        """An unquantised event changed the music this many samples after its own position."""
        self._delays.append(max(0, n_samples))

    def worked(self, busy_seconds: float, frame_seconds: float) -> None:
        """A slice of work: how long it took and how much audio the model made in it."""
        self._busy += busy_seconds
        self._frame_seconds += frame_seconds

    def percentile(self, share: float) -> int:
        """The control delay that a share (0..1) of the remembered events stay within, in samples."""
        if not self._delays:
            return 0
        ordered = sorted(self._delays)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def read(self, at_sample: int, lead_ms: float, sent_seconds: float) -> MeterOut:
        """The numbers since the last reading. sent_seconds: audio sent since then."""
        p50, p95 = self.percentile(0.5), self.percentile(0.95)
        factor = self._busy / self._frame_seconds if self._frame_seconds else 0.0
        load = self._busy / sent_seconds if sent_seconds > 0 else 0.0
        self._busy = self._frame_seconds = 0.0
        ms = 1000 / self._rate
        return MeterOut(
            at_sample, lead_ms, factor, self.underruns, p50 * ms, p95 * ms, load, p50, p95, self.eased
        )
