"""A DAW in Python: plays a performance into a running host through a BridgeClient and keeps what comes back.

Block by block, as a plugin does: what happens within the block is sent, what has arrived is taken in, the
block is read at its address. The clock says when a block is due: the wall's in real time, the host's progress
in simulated time. Knows nothing about models; the host may be anybody's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from descant.host.edge.cues import Performance, cues, describe
from descant.host.edge.listening import EpochStart
from descant.host.errors import HostError
from descant.plugin_bridge import wire

Wave = npt.NDArray[np.float32]


class Bridge(Protocol):
    """What is played through: a ListeningClient on a running host, or a LocalBridge in simulated time."""

    sample_rate: int
    block_size: int
    channels: int
    plans: deque[wire.Plan]
    meters: deque[wire.Meter]
    faults: deque[wire.Fault]
    epochs: deque[EpochStart]

    @property
    def playhead(self) -> int: ...
    @property
    def underruns(self) -> int: ...
    @property
    def lost(self) -> bool: ...
    def tell(self, message: wire.Message) -> bool: ...
    def pump(self, timeout_ms: int = 0) -> int: ...
    def read(self, n_samples: int) -> Wave: ...


class Clock(Protocol):
    """When a block may be read."""

    def reach(self, bridge: Bridge, sample: int) -> None:
        """Return when audio up to `sample` is due; take in messages while waiting."""
        ...


class WallClock:
    """Real time: sample p is due p / sample_rate seconds after the first block was asked for."""

    def __init__(self) -> None:
        self._start: float | None = None

    def reach(self, bridge: Bridge, sample: int) -> None:
        if self._start is None:
            self._start = time.monotonic()
        due = self._start + sample / bridge.sample_rate
        while (left := due - time.monotonic()) > 0:
            bridge.pump(max(1, int(1000 * left)))


class SimulatedClock:
    """No wall: every block is due at once. For a LocalBridge, which makes what is wanted whenever it is
    pumped."""

    def reach(self, bridge: Bridge, sample: int) -> None:
        bridge.pump(0)


@dataclass(frozen=True)
class Sent:
    """One event of the performance: its place on the timeline and, in words, what it was."""

    at_sample: int
    what: str


@dataclass
class Recording:
    """What was heard, and what was said about it.

    wave: [C, T] float32 at sample_rate Hz, from sample 0 of the performance. commits: where a control took
    effect. underruns: gaps in what was heard. silent_from: the first sample of the silence that a host left
    which was gone at the end; None where there was none.
    """

    wave: Wave
    sample_rate: int
    sent: list[Sent] = field(default_factory=list)
    commits: list[EpochStart] = field(default_factory=list)
    plans: list[wire.Plan] = field(default_factory=list)
    meters: list[wire.Meter] = field(default_factory=list)
    faults: list[wire.Fault] = field(default_factory=list)
    underruns: int = 0
    silent_from: int | None = None
    wall_seconds: float = 0.0


class Performer:
    """Plays one performance.

    Thread: the one that made the bridge. bridge: connected, at sample 0. heard: is given every block [C, n],
    an audio device's `write` for example. progress: is given seconds played and seconds in all.
    """

    def __init__(
        self,
        bridge: Bridge,
        performance: Performance,
        clock: Clock | None = None,
        heard: Callable[[Wave], object] | None = None,
        progress: Callable[[float, float], None] | None = None,
    ) -> None:
        self._bridge = bridge
        self._performance = performance
        self._clock = clock or WallClock()
        self._heard = heard
        self._progress = progress

    def play(self) -> Recording:
        """Play it to its end. A host that is lost on the way leaves a gap and a fault in the recording, and
        silence where it does not come back; nothing waits for it."""
        bridge, rate, block = self._bridge, self._bridge.sample_rate, self._bridge.block_size
        waiting = cues(self._performance, rate)
        total = round(self._performance.length * rate)
        recording = Recording(np.zeros((bridge.channels, total), np.float32), rate)
        began = time.monotonic()
        next_cue = 0
        for start in range(0, total, block):
            end = min(start + block, total)
            while next_cue < len(waiting) and waiting[next_cue].at_sample < end:
                message = waiting[next_cue]
                bridge.tell(message)
                next_cue += 1
                if what := describe(message):
                    recording.sent.append(Sent(message.at_sample, what))
            bridge.pump(0)
            self._clock.reach(bridge, end)
            recording.wave[:, start:end] = wave = bridge.read(end - start)
            self._collect(recording)
            if self._heard is not None:
                self._heard(wave)
            if self._progress is not None and start // block % 32 == 0:
                self._progress(end / rate, total / rate)
        recording.wall_seconds = time.monotonic() - began
        recording.underruns = bridge.underruns
        end = sounding_end(recording.wave)
        if bridge.lost and end < total:
            recording.silent_from = end
        return recording

    def _collect(self, recording: Recording) -> None:
        bridge = self._bridge
        while bridge.plans:
            recording.plans.append(bridge.plans.popleft())
        while bridge.meters:
            recording.meters.append(bridge.meters.popleft())
        while bridge.faults:
            recording.faults.append(bridge.faults.popleft())
        while bridge.epochs:
            recording.commits.append(bridge.epochs.popleft())


def sounding_end(wave: Wave) -> int:
    """The samples of [C, T] up to the last one that is not silence."""
    sounding = np.flatnonzero(wave.any(axis=0))
    return int(sounding[-1]) + 1 if sounding.size else 0


def host_gone(seconds: float, kept: str) -> HostError:
    """The three lines for a take whose host was gone. seconds: of the take that hold what the host had made.
    kept: a sentence on where that is."""
    return HostError(
        "The host is gone: it stopped answering and did not come back. "
        f"The take is silent from {seconds:.1f} s on.",
        kept,
        "Play it again; if a host you started yourself was used, start that first.",
    )
