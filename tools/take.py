"""What one performance was: what was played in, what came out, and when; the report and the picture read only
this.

Knows nothing about hosts, sockets or files. All positions are samples of the take's own timeline and rate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tools.hum_synth import HumNote

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Played:
    """One thing the performer did. kind: pad, cc or hum. label: what to call it. value: 0..1 (velocity, CC
    value)."""

    at_sample: int
    kind: Literal["pad", "cc", "hum"]
    label: str
    value: float = 1.0


@dataclass(frozen=True)
class Section:
    """A stretch under one prompt: from `start` up to `end`. following: whether the hummed melody steers
    it."""

    start: int
    end: int
    name: str
    prompt: str
    following: bool


@dataclass(frozen=True)
class Commit:
    """A rewind: from `at_sample` on, audio already made was replaced by that of a new epoch."""

    at_sample: int
    epoch: int


@dataclass(frozen=True)
class MeterReading:
    """What the host said of itself when the playhead was at at_sample."""

    at_sample: int
    lead_ms: float
    real_time_factor: float


@dataclass(frozen=True)
class Take:
    """One performance.

    wave: [C, T] float32 at sample_rate Hz; wave[:, 0] lies at sample `start` of the timeline. bars: the
    samples of the bar lines, bar number first_bar first. hum: the notes that were hummed, in seconds from
    their clip's start; hum_spans: where on the timeline the clip steers the music, each (start, end), the
    clip starting at its start. control_delay_ms: (p50, p95) from a control change to the first sample it
    changed. silent_from: the sample from which there is only the silence of a host that was gone at the end;
    None where there is none.
    """

    sample_rate: int
    wave: Wave
    start: int
    bars: tuple[int, ...]
    first_bar: int
    sections: tuple[Section, ...]
    played: tuple[Played, ...]
    commits: tuple[Commit, ...]
    meters: tuple[MeterReading, ...]
    hum: tuple[HumNote, ...]
    hum_spans: tuple[tuple[int, int], ...]
    control_delay_ms: tuple[float, float]
    underruns: int
    commit_ms: float
    model: str
    weights_hash: str
    seed: int
    faults: tuple[str, ...] = field(default=())
    silent_from: int | None = None

    @property
    def seconds(self) -> float:
        return self.wave.shape[1] / self.sample_rate

    def mono(self, start: int | None = None, end: int | None = None) -> Wave:
        """The mean of the channels between two samples of the timeline, [n]."""
        first = 0 if start is None else max(0, start - self.start)
        last = self.wave.shape[1] if end is None else max(0, end - self.start)
        return np.asarray(self.wave[:, first:last].mean(axis=0), np.float32)

    def time(self, at_sample: float) -> float:
        """Seconds from the take's first sample."""
        return (at_sample - self.start) / self.sample_rate
