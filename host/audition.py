"""Pads of presets played one by one, offline, through the sessions that play live, and what was heard.

Knows nothing about files or pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from descant.host.engine import Engine
from descant.host.errors import HostError
from descant.host.events import AudioOut, FaultOut, Heartbeat, HostOutput, Mode, SessionHello, Trigger
from descant.host.heard import Samples
from descant.host.pad_figures import PadFigures, apart, pad_figures
from descant.host.preset import Preset
from descant.model import MusicModel

MAX_AT_ONCE = 16  # pads whose columns may share a batch
STEP_SECONDS = 0.5  # of audio made between two looks at the progress
MIN_SECONDS, MAX_SECONDS = 1.0, 120.0  # of one pad


@dataclass(frozen=True)
class Heard:
    """A pad, a seed, and what they gave. wave: [n], channels mixed, at `rate` Hz, from bar 0 on."""

    slot: int
    seed: int
    rate: int
    wave: Samples = field(repr=False)
    figures: PadFigures


@dataclass(frozen=True)
class Audition:
    """All that was heard of a preset: for each of its pads with words, every seed."""

    preset: Preset
    heard: tuple[Heard, ...]

    @property
    def slots(self) -> tuple[int, ...]:
        """The pads, in order."""
        return tuple(dict.fromkeys(one.slot for one in self.heard))

    def of(self, slot: int) -> tuple[Heard, ...]:
        """Every seed of a pad."""
        return tuple(one for one in self.heard if one.slot == slot)

    def spread(self, slot: int) -> float:
        """How differently the seeds of a pad sound, dB a band: the mean of their pairs; nan for one seed."""
        rows = self.of(slot)
        pairs = [apart(a.figures, b.figures) for i, a in enumerate(rows) for b in rows[:i]]
        return float(np.mean(pairs)) if pairs else float("nan")

    def loudness(self, slot: int) -> float:
        """How loud a pad is, LUFS: the mean of its seeds."""
        return float(np.mean([one.figures.loudness for one in self.of(slot)]))

    def louder(self, slot: int) -> float:
        """How much louder a pad is than the middle one of the preset's others, LU; nan for the only one."""
        others = [self.loudness(other) for other in self.slots if other != slot]
        return self.loudness(slot) - float(np.median(others)) if others else float("nan")

    def nearest(self, slot: int) -> tuple[int | None, float]:
        """The pad of this preset that sounds most like one, and how far it is from it, dB a band."""
        others = [(between(self.of(slot), self.of(other)), other) for other in self.slots if other != slot]
        distance, other = min(others, default=(float("nan"), None))
        return other, distance


def between(one: Sequence[Heard], other: Sequence[Heard]) -> float:
    """How differently two pads sound, dB a band: the mean over their seeds."""
    return float(np.mean([apart(a.figures, b.figures) for a in one for b in other]))


def distance(one: Audition, other: Audition) -> float:
    """How differently two presets sound, dB a band: each pad to the most similar one of the other preset, the
    mean over all pads of both."""
    table = np.array([[between(one.of(a), other.of(b)) for b in other.slots] for a in one.slots])
    return float(np.concatenate([table.min(axis=0), table.min(axis=1)]).mean())


def seconds_of(preset: Preset, bars: int) -> float:
    """How long so many bars last. Errors: HostError for what is too short or too long to be heard."""
    seconds = bars * preset.numerator * 4 / preset.denominator * 60 / preset.tempo
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise HostError(
            f"{bars} bars of {preset.name} last {seconds:g} s; allowed: {MIN_SECONDS:g}..{MAX_SECONDS:g} s",
            "nothing was played",
            "ask for another number of bars",
        )
    return seconds


def audition(
    model: MusicModel,
    presets: Mapping[str, Preset],
    name: str,
    seeds: Sequence[int],
    bars: int,
    slots: Sequence[int] | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Audition:
    """Play pads of a preset from bar 0 on, each by itself, and measure them.

    slots: which (those with words, in order, for None). progress: told the share that is done, 0..1.
    Errors: HostError for a length that cannot be heard, or whatever a pad met.
    """
    preset = presets[name]
    seconds = seconds_of(preset, bars)
    wanted = [slot for slot, row in enumerate(preset.prompts) if not row.stop] if slots is None else slots
    tasks = [(slot, seed) for slot in wanted for seed in seeds]
    heard: list[Heard] = []
    for start in range(0, len(tasks), MAX_AT_ONCE):
        some = tasks[start : start + MAX_AT_ONCE]

        def partly(share: float, start: int = start, n: int = len(some)) -> None:
            progress((start + share * n) / len(tasks))

        waves = _played(model, presets, name, some, seconds, partly)
        rate = model.spec.sample_rate
        heard += [
            Heard(slot, seed, rate, wave, pad_figures(wave, rate, preset, slot))
            for (slot, seed), wave in zip(some, waves, strict=True)
        ]
    return Audition(preset, tuple(heard))


def _played(
    model: MusicModel,
    presets: Mapping[str, Preset],
    name: str,
    tasks: Sequence[tuple[int, int]],
    seconds: float,
    progress: Callable[[float], None],
) -> list[Samples]:
    """Each task's [n], all in step, so that models which run several at once may."""
    rate = model.spec.sample_rate
    total, step = round(seconds * rate), round(STEP_SECONDS * rate)
    engine = Engine(model, presets)
    waves = [np.zeros(total, np.float32) for _ in tasks]

    def take(number: int, outputs: Sequence[HostOutput]) -> None:
        for output in outputs:
            if isinstance(output, AudioOut) and output.at_sample < total:
                end = min(total, output.at_sample + output.wave.shape[1])
                mono = output.wave.mean(axis=0, dtype=np.float32)
                waves[number][output.at_sample : end] = mono[: end - output.at_sample]
            elif isinstance(output, FaultOut) and output.severity != "info":
                raise HostError(output.what, "the other presets can be heard", output.do)

    for number, (slot, seed) in enumerate(tasks):
        hello = SessionHello(rate, channels=model.spec.channels, client="audition", preset=name, seed=seed)
        engine.open(number, hello)
        take(number, engine.handle(number, Mode(0, "offline")))
        take(number, engine.handle(number, Trigger(0, slot)))
    done = 0
    while done < total:
        end = min(total, done + step)
        for number in range(len(tasks)):
            take(number, engine.handle(number, Heartbeat(done, done, end - done)))
        while engine.wants_work():
            for number, output in engine.work():
                take(number, [output])
        done = end
        progress(done / total)
    return waves
