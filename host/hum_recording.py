"""One recording of a hum in time: counted in from where, to which bars of the music, how far it has come.

Knows nothing about devices or sound. Positions are samples of the timeline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from descant.host import hum_take
from descant.host.transport import Timeline


@dataclass
class HumRecording:
    """start, end: the music that is hummed to. counted: it is counted in from there. redone: the bar of a
    take, from 0, that is recorded again, None where all of a take is. told: beats before the start that were
    told last. taken: the input before it has been taken.
    """

    start: int = 0
    end: int = 0
    counted: int = 0
    redone: int | None = None
    told: int = 0
    taken: int = 0

    @classmethod
    def armed(
        cls, at: int, timeline: Timeline, bars: int, count_in: int, latency: int, redone: int | None = None
    ) -> HumRecording:
        """bars from the first bar line on that lies count_in bars after `at`. latency: samples by which the
        input comes later.
        """
        grid = timeline.at(at)
        bar = grid.bar_beats * grid.samples_per_beat
        start = timeline.line(at + round(count_in * bar), "bar")
        end = start + round(bars * bar)
        return cls(start, end, at, redone, taken=hum_take.window(start, end, latency)[0])

    @property
    def clicking(self) -> tuple[int, int]:
        """Where the click is heard."""
        return self.counted, self.end

    def window(self, latency: int) -> tuple[int, int]:
        """Which samples of the input hold it."""
        return hum_take.window(self.start, self.end, latency)

    def beats_left(self, now: int, timeline: Timeline) -> int:
        """Beats before the start, begun ones too."""
        return max(0, math.ceil((self.start - now) / timeline.at(now).samples_per_beat))

    def new_beat(self, now: int, timeline: Timeline) -> int:
        """As `beats_left`, when they are fewer than were told; 0: nothing is to be told."""
        left = self.beats_left(now, timeline)
        if left == self.told:
            return 0
        self.told = left
        return left

    def bar(self, now: int, timeline: Timeline) -> int:
        """The bar that is hummed, from 1."""
        grid = timeline.at(now)
        return 1 + int((now - self.start) / (grid.bar_beats * grid.samples_per_beat))

    def piece(self, until: int, latency: int, least: float) -> tuple[int, int] | None:
        """What of the input is taken next, to be traced while one hums: (first sample, how many). None: it
        has to be more, or a bar is recorded again, which is traced with its take. until: what has come.
        """
        n, whole = until - self.taken, until >= self.window(latency)[1]
        if self.redone is not None or n <= 0 or (n < least and not whole):
            return None
        first, self.taken = self.taken, until
        return first, n
