"""Tempo from outside: taps and MIDI clock in; and the timeline as MIDI clock out.

Times are handed in, in seconds of any steady clock. Knows nothing about ports.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from itertools import pairwise
from statistics import median

from descant.host.midi_words import Midi
from descant.host.transport import TEMPO_RANGE, Timeline

PULSES = 24  # a beat
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
