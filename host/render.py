"""Music from a list of events, offline: the same sessions as live, under a clock that only counts samples.

Knows nothing about files or MIDI; the command line turns those into events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
from torch import Tensor

from descant.host.engine import Engine
from descant.host.errors import HostError
from descant.host.events import (
    AudioOut,
    FaultOut,
    Heartbeat,
    HostEvent,
    HostOutput,
    MeterOut,
    Mode,
    PlanOut,
    SessionHello,
    Wave,
)
from descant.host.preset import Preset
from descant.host.takelog import LogEntry
from descant.host.voice import Begin
from descant.model import MusicModel

SESSION = 1
STEP_SECONDS = 0.25  # of audio made between two looks at the events


@dataclass
class Rendered:
    """wave: [C, n] float32 at the client's rate. The rest in the order it came. log: plays the same again.

    first: the sample of the timeline that the wave begins with.
    """

    wave: Wave
    plans: list[PlanOut] = field(default_factory=list)
    faults: list[FaultOut] = field(default_factory=list)
    meters: list[MeterOut] = field(default_factory=list)
    log: list[LogEntry] = field(default_factory=list)
    first: int = 0

    def take(self, outputs: Iterable[HostOutput]) -> None:
        """Place audio where it belongs and keep the rest."""
        for output in outputs:
            match output:
                case AudioOut():
                    at = output.at_sample - self.first
                    start, end = max(0, at), min(at + output.wave.shape[1], self.wave.shape[1])
                    if start < end:
                        self.wave[:, start:end] = output.wave[:, start - at : end - at]
                case PlanOut():
                    self.plans.append(output)
                case FaultOut():
                    self.faults.append(output)
                case MeterOut():
                    self.meters.append(output)


def render(
    model: MusicModel,
    presets: Mapping[str, Preset],
    events: Iterable[HostEvent],
    seconds: float,
    hello: SessionHello,
    progress: Callable[[float], None] | None = None,
    begin_with: Tensor | None = None,
    two_step: bool = False,
) -> Rendered:
    """So many seconds of a performance.

    events: in order of at_sample; each acts at its own position, to the frame. seconds: 0 < seconds <= 14400.
    hello: rate, channels, preset and seed. progress: told the share that is done, 0..1. begin_with: codes of
    music that the first stream sounds first, and goes on from; see MusicModel.prompt_codes. two_step: rows of
    guidance run one after the other, see model's Form.
    Errors: HostError for a length or hello that cannot be served. Bad events are in the result's `faults`.
    """
    if not 0 < seconds <= 4 * 3600:
        raise HostError(
            f"cannot render {seconds:g} seconds", "nothing was rendered", "ask for up to four hours"
        )
    engine = Engine(model, presets)
    engine.open(SESSION, hello)
    playback = engine.session(SESSION).playback
    playback.begin_with = None if begin_with is None else Begin(begin_with, sounds=True)
    playback.two_step = two_step
    total = round(seconds * hello.sample_rate)
    out = Rendered(np.zeros((hello.channels, total), np.float32))
    out.take(engine.handle(SESSION, Mode(0, "offline")))
    waiting = sorted(events, key=lambda event: event.at_sample)
    step = max(1, round(STEP_SECONDS * hello.sample_rate))
    index = done = 0
    while done < total:
        # Everything up to the next event is made before it is told: offline, an event acts at its own sample.
        while index < len(waiting) and waiting[index].at_sample <= done:
            out.take(engine.handle(SESSION, waiting[index]))
            index += 1
        end = min(total, done + step)
        if index < len(waiting):
            end = min(end, waiting[index].at_sample)
        _work_until(engine, out, done, end)
        done = end
        if progress is not None:
            progress(done / total)
    out.log = engine.session(SESSION).log.entries
    return out


def replay(
    model: MusicModel,
    presets: Mapping[str, Preset],
    log: Iterable[LogEntry],
    seconds: float,
    hello: SessionHello,
    first: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Rendered:
    """A performance again, from the log of its session: the same samples, however it was paced then.

    first: the sample of its timeline from which on seconds are wanted; what came before is made, too.
    progress: told the share that is done, 0..1.
    """
    engine = Engine(model, presets)
    engine.open(SESSION, hello)
    session = engine.session(SESSION)
    wanted = round(seconds * hello.sample_rate)
    total = first + wanted
    out = Rendered(np.zeros((hello.channels, wanted), np.float32), first=first)
    engine.handle(SESSION, Mode(0, "offline"))
    step = max(1, round(STEP_SECONDS * hello.sample_rate))
    done = 0
    entries = list(log)
    sooner = accumulate((entry.changeable for entry in reversed(entries)), min)
    for entry, settled in zip(entries, reversed(list(sooner)), strict=True):  # what no later entry changes
        while done < min(settled, total):
            end = min(done + step, settled, total)
            _work_until(engine, out, done, end)
            done = end
            if progress is not None:
                progress(done / total)
        try:
            out.take(session.replay(entry))
        except HostError:
            continue  # it was refused then, too
    while done < total:
        end = min(done + step, total)
        _work_until(engine, out, done, end)
        done = end
        if progress is not None:
            progress(done / total)
    return out


def _work_until(engine: Engine, out: Rendered, playhead: int, end: int) -> None:
    out.take(engine.handle(SESSION, Heartbeat(playhead, playhead, end - playhead)))
    while engine.wants_work():
        out.take(output for _, output in engine.work())
