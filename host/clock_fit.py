"""Two clocks: at what time of one a sample of the other is heard, fitted through callbacks that come late
at random.

A delay-locked loop of the second order: it follows where the callbacks lie and how fast they come, and
takes out their jitter. Time comes in; nothing here asks for it.
"""

from __future__ import annotations

import math

SETTLING = 40  # updates at wide bandwidth, so that it locks quickly
FAR_SECONDS = 0.1  # beyond this the stream was interrupted: it is fitted anew


class ClockFit:
    """rate: Hz, as the device says. bandwidth: Hz at which it follows once settled."""

    def __init__(self, rate: int, bandwidth: float = 0.5) -> None:
        self.rate = float(rate)  # samples a second of the other clock, as measured
        self.updates = 0
        self._nominal = float(rate)
        self._bandwidth = bandwidth
        self._position = 0
        self._seconds = 0.0

    def update(self, position: int, seconds: float) -> None:
        """The sample `position` began at `seconds`, or a little before."""
        if self.updates == 0 or abs(seconds - self.seconds_of(position)) > FAR_SECONDS:
            self.rate, self.updates = self._nominal, 1
            self._position, self._seconds = position, seconds
            return
        block = (position - self._position) / self.rate
        if block <= 0:
            return
        self.updates += 1
        wide = 8.0 if self.updates < SETTLING else self._bandwidth
        omega = 2 * math.pi * wide * block
        expected = self._seconds + block
        error = seconds - expected
        self._seconds = expected + min(1.0, math.sqrt(2) * omega) * error
        self._position = position
        if self.updates >= SETTLING:
            stretched = block + omega * omega * error
            self.rate = min(max(self.rate * block / stretched, 0.99 * self._nominal), 1.01 * self._nominal)

    @property
    def settled(self) -> bool:
        return self.updates >= SETTLING

    def shift(self, n_samples: int) -> None:
        """Positions are counted differently from now on: what was p is p + n_samples."""
        self._position += n_samples

    def seconds_of(self, position: float) -> float:
        """When a sample is, or was, begun."""
        return self._seconds + (position - self._position) / self.rate

    def position_at(self, seconds: float) -> float:
        """Which sample is begun at a time."""
        return self._position + (seconds - self._seconds) * self.rate
