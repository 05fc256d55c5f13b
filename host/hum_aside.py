"""What is heard beside the music while one hums: the click, and a take that is listened to.

It is recorded by nobody. Positions are samples of the timeline.
"""

from __future__ import annotations

import numpy as np

from descant.host.events import Wave
from descant.host.transport import Timeline

CLICK_SECONDS, CLICK_LEVEL = 0.03, 0.35
CLICK_HZ = (1500.0, 2250.0)  # a beat, the first one of a bar


class HumAside:
    """rate: Hz."""

    def __init__(self, rate: int) -> None:
        self._clicks = tuple(_click(rate, hz) for hz in CLICK_HZ)
        self._playing: tuple[int, Wave] | None = None  # where a take is listened to, and what

    @property
    def playing(self) -> bool:
        """Whether a take is listened to."""
        return self._playing is not None

    def play(self, at: int, wave: Wave) -> None:
        """Listen to [n] from a sample on."""
        self._playing = at, wave

    def stop(self) -> None:
        self._playing = None

    def turn(self, now: int) -> None:
        """now: the sample that is asked for now."""
        if self._playing is not None and now > self._playing[0] + len(self._playing[1]):
            self._playing = None

    def heard(self, at: int, n: int, timeline: Timeline, clicking: tuple[int, int] | None) -> Wave | None:
        """[n] from a sample on; None: nothing. clicking: the stretch whose beats click, None for none."""
        out: Wave | None = None
        if clicking is not None and at < clicking[1]:
            out = np.zeros(n, np.float32)
            for place, first in _beats(timeline, max(at - len(self._clicks[0]), clicking[0]), at + n):
                if place < clicking[1]:
                    _add(out, at, self._clicks[first], place)
        if self._playing is not None:
            out = np.zeros(n, np.float32) if out is None else out
            _add(out, at, self._playing[1], self._playing[0])
        return out


def _click(rate: int, hz: float) -> Wave:
    """[n] a short tone that dies away."""
    time = np.arange(round(CLICK_SECONDS * rate)) / rate
    wave: Wave = (CLICK_LEVEL * np.exp(-time / 0.006) * np.sin(2 * np.pi * hz * time)).astype(np.float32)
    return wave


def _beats(timeline: Timeline, first: int, end: int) -> list[tuple[int, bool]]:
    """The beats of first..end as (sample, whether a bar begins there)."""
    found: list[tuple[int, bool]] = []
    at = first
    while (line := timeline.line(at, "beat")) < end and len(found) < 64:
        found.append((line, timeline.line(line, "bar") == line))
        at = line + 1
    return found


def _add(out: Wave, at: int, wave: Wave, place: int) -> None:
    """Add what of a wave at `place` lies in out, which begins at `at`."""
    first, end = max(at, place), min(at + len(out), place + len(wave))
    if end > first:
        out[first - at : end - at] += wave[first - place : end - place]
