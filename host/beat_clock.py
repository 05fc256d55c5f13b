"""Tempo from outside: taps and MIDI clock in; and the timeline as MIDI clock out.

Times are handed in, in seconds of any steady clock. Knows nothing about ports.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import Literal

from descant.host.midi_words import Midi
from descant.host.transport import TEMPO_RANGE, Timeline

PULSES = 24  # a beat
SIXTEENTH = PULSES // 4  # what places in a song are told in
POSITIONS = 1 << 14  # as many places there are; a song that is longer counts from 0 again
FORGOTTEN = 2.0  # seconds after which a tap begins anew, and a clock has stopped


class TapTempo:
    """The tempo of a few taps."""

    def __init__(self) -> None:
        self._taps: deque[float] = deque(maxlen=9)

    def tap(self, seconds: float) -> float | None:
        """Quarter notes a minute, from the third tap on."""
        if self._taps and not 0 < seconds - self._taps[-1] < FORGOTTEN:
            self._taps.clear()
        self._taps.append(seconds)
        if len(self._taps) < 3:
            return None
        taps = list(self._taps)
        tempo = 60 / median(later - earlier for earlier, later in pairwise(taps))
        return min(max(tempo, TEMPO_RANGE[0]), TEMPO_RANGE[1])


class ClockIn:
    """A MIDI clock that is followed. playing: between start or continue and stop. tempo: None until it is
    known.

    beat: where the song is, in quarter notes, at the last pulse.
    """

    def __init__(self) -> None:
        self.playing = False
        self.tempo: float | None = None
        self.pulses = 0
        self._times: deque[float] = deque(maxlen=2 * PULSES + 1)
        self._first = False

    @property
    def beat(self) -> Fraction:
        return Fraction(self.pulses, PULSES)

    def take(self, midi: Midi, seconds: float) -> bool:
        """Take a message; whether tempo, place or playing may have changed."""
        match midi.kind:
            case "clock":
                if self._times and seconds - self._times[-1] > FORGOTTEN:
                    self._times.clear()
                self._times.append(seconds)
                if self.playing:
                    self.pulses += not self._first
                    self._first = False
                if len(self._times) > PULSES // 2:
                    n = len(self._times) - 1
                    tempo = 60 * n / (PULSES * (self._times[-1] - self._times[0]))
                    self.tempo = min(max(tempo, TEMPO_RANGE[0]), TEMPO_RANGE[1])
            case "start" | "continue":
                self.pulses = 0 if midi.kind == "start" else self.pulses
                self.playing = self._first = True  # the next pulse is the first of the song, by the standard
            case "stop":
                self.playing = False
            case "position":
                self.pulses = midi.value * PULSES // 4
            case _:
                return False
        return True


class ClockOut:
    """The song as MIDI clock: ticks without end, and where it starts, stops and goes on.

    A start is on a bar line, where the song of those who listen begins; a stop is at the next tick; going
    on is on a sixteenth, with its place. playing: between start or continue and stop.
    """

    def __init__(self) -> None:
        self.playing = False
        self._wanted = "start"
        self._origin = 0  # the tick, counted from beat 0, at which the listeners' song began

    def want(self, what: Literal["start", "stop", "continue"]) -> None:
        """As soon as may be."""
        self._wanted = what

    def between(self, timeline: Timeline, start: int, end: int) -> list[tuple[int, Midi]]:
        """What is sent in start..end, each with its sample; ask for stretch after stretch."""
        found: list[tuple[int, Midi]] = []
        for at in pulses(timeline, start, end):
            tick = round(timeline.beat_at(at) * PULSES)
            found += ((at, midi) for midi in self._turned(timeline, at, tick))
            found.append((at, Midi("clock")))
        return found

    def _turned(self, timeline: Timeline, at: int, tick: int) -> list[Midi]:
        place = tick - self._origin
        match self._wanted:
            case "stop":
                said = [Midi("stop")] if self.playing else []
                self.playing, self._wanted = False, ""
                return said
            case "start" if timeline.line(at, "bar") == at:
                said = [Midi("stop")] if self.playing else []
                self.playing, self._wanted, self._origin = True, "", tick
                return [*said, Midi("start")]
            case "continue" if place % SIXTEENTH == 0:
                if self.playing:
                    said = []
                else:
                    said = [Midi("position", value=place // SIXTEENTH % POSITIONS), Midi("continue")]
                self.playing, self._wanted = True, ""
                return said
        return []


def pulses(timeline: Timeline, start: int, end: int) -> list[int]:
    """The samples in start..end at which a MIDI clock ticks: 24 a beat, each at the nearest sample."""
    found: list[int] = []
    at = start
    while at < end:
        grid = timeline.at(at)
        beat = grid.beat_at(at - Fraction(1, 2))
        number = -(-beat * PULSES // 1)
        exact = at - Fraction(1, 2) + (Fraction(number, PULSES) - beat) * grid.samples_per_beat
        tick = (exact + Fraction(1, 2)) // 1
        if tick >= end:
            break
        found.append(int(tick))
        at = int(tick) + 1
    return found
