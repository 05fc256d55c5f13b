"""What is wanted of MusicGen-small's shape on this machine, and whether it is reached: a line a bar."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from descant.host.edge.bench_memory import Peak
from descant.host.edge.bench_race import AtContext, Times
from descant.host.edge.bench_sessions import Engaged
from descant.host.edge.bench_stages import Stages, Together, Window

RACE_AT, ROOM_AT = 5.0, 10.0  # seconds of context of the bars
ENGAGED = 4  # sessions of the embedded model


class MusicgenFigures(msgspec.Struct, frozen=True):
    """All that was measured. load, load_after: the machine's one-minute load when it began and ended."""

    size: str
    kernel: str
    threads: int
    hop_ms: float
    load: float
    load_after: float
    contexts: tuple[AtContext, ...]
    stages: Stages
    sessions: tuple[Together, ...]
    window: Window
    first_audio: Times
    embedded: tuple[Engaged, ...]
    memory: Peak


class Bar(msgspec.Struct, frozen=True):
    """what, in which unit: measured, wanted; more is better unless `least`. at_best: without disturbance, as
    far as that can be told, or None."""

    what: str
    unit: str
    measured: float | None
    wanted: float
    at_best: float | None = None
    least: bool = False

    @property
    def reached(self) -> bool:
        if self.measured is None:
            return False
        return self.measured <= self.wanted if self.least else self.measured >= self.wanted


def bars(figures: MusicgenFigures) -> list[Bar]:
    """Every bar in order; measured None where its measure was left out."""
    hop, window = figures.hop_ms, figures.window
    race, room = _at(figures.contexts, RACE_AT), _at(figures.contexts, ROOM_AT)
    four = next((one.factor for one in figures.embedded if one.sessions == ENGAGED), None)
    what = f"LM and codec, a window of {window.seconds:g} s"
    made = [Bar(what, "× real time", window.real_time, 1.0, window.at_best)]
    if room is not None:
        pace, best = hop / room.frame.p50, hop / room.frame.best
        made.append(Bar(f"LM and codec, {room.seconds:g} s of context", "× real time", pace, 1.3, best))
    if race is not None:
        at = f"{race.seconds:g} s of context"
        for name, ratio, theirs, wanted in (
            ("bf16", race.over_bf16, race.bf16, 3.0),
            ("fp32", race.over_fp32, race.fp32, 10.0),
        ):
            best = theirs.best / race.step.best
            made.append(Bar(f"over transformers {name}, {at}", "×", ratio, wanted, best))
        made.append(Bar(f"of the memory roofline, {at}", "", race.roofline, 0.6, race.best_roofline))
    first, peak = figures.first_audio, max(figures.memory.loading, figures.memory.playing) / 1e9
    made.append(Bar(f"{ENGAGED} embedded sessions, one core", "of real time", four, 1.0, least=True))
    made.append(Bar("peak memory", "GB", peak, 1.2, least=True))
    made.append(Bar("first audio, prompt encoded", "ms", first.p50, 350.0, first.best, least=True))
    return made


def _at(contexts: Sequence[AtContext], seconds: float) -> AtContext | None:
    return next((one for one in contexts if one.seconds == seconds), None)
