"""Beats and bars: the only place where a sample position becomes a beat, a bar or the next musical line.

Exact fractions throughout, always counted from an anchor, so nothing drifts over hours. A beat is a quarter
note; bars are as long as the metre says and start at bar 0, beat 0. Knows nothing about prompts, models or
audio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from descant.host.errors import TransportError
from descant.host.events import TransportEvent

TEMPO_RANGE = (1.0, 999.0)  # quarter notes a minute
BEAT_LIMIT = 1e7  # quarter notes either side of the start of the song: five weeks at 180 a minute
JITTER_SECONDS = Fraction(1, 1000)  # a client whose beat wanders by less is nudged, not followed as a jump


@dataclass(frozen=True)
class Grid:
    """One stretch of steady tempo and metre, known by one anchor: at sample `at_sample` the song is at
    `beat`.

    rate: samples a second. tempo: quarter notes a minute. origin, origin_bar: a beat where a bar starts, and
    its number. loop: (start, end) in beats, end > start, or None.
    """

    rate: int
    at_sample: int
    beat: Fraction
    tempo: Fraction
    numerator: int = 4
    denominator: int = 4
    origin: Fraction = Fraction(0)
    origin_bar: int = 0
    loop: tuple[Fraction, Fraction] | None = None

    @property
    def bar_beats(self) -> Fraction:
        """Quarter notes in a bar."""
        return Fraction(4 * self.numerator, self.denominator)

    @property
    def samples_per_beat(self) -> Fraction:
        return 60 * self.rate / self.tempo

    def beat_at(self, sample: int | Fraction) -> Fraction:
        """Song position at a sample, in beats, inside the loop if one is running."""
        return self._folded(self._unfolded(sample))

    def bar_at(self, sample: int | Fraction) -> Fraction:
        """Bar number with its fraction: 2.5 is the middle of the third bar."""
        return self.origin_bar + (self.beat_at(sample) - self.origin) / self.bar_beats

    def phases(self, sample: int | Fraction) -> tuple[float, float]:
        """(beat phase, bar phase) at a sample, each 0 <= p < 1; beats are counted from the start of the
        bar.
        """
        in_bar = (self.beat_at(sample) - self.origin) % self.bar_beats
        return float(in_bar % 1), float(in_bar / self.bar_beats)

    def next_beat(self, sample: int) -> int:
        """The sample nearest to the first beat whose sample is >= `sample`."""
        return self._next(sample, 0)

    def next_bar(self, sample: int, every: int = 1) -> int:
        """The sample nearest to the first bar line, of those whose number divides by `every`, not before
        `sample`.
        """
        return self._next(sample, every)

    def _unfolded(self, sample: int | Fraction) -> Fraction:
        return self.beat + (sample - self.at_sample) * self.tempo / (60 * self.rate)

    def _folded(self, beat: Fraction) -> Fraction:
        if self.loop is None or self.beat >= self.loop[1] or beat < self.loop[1]:
            return beat
        start, end = self.loop
        return start + (beat - start) % (end - start)

    def next_exact(self, sample: int, every: int) -> Fraction:
        """Where the line of `next_beat` (every 0) or `next_bar` lies exactly, in samples."""
        # The line at beat b sits at the nearest sample, floor(x + 1/2); it is >= sample just when b >=
        # beat(sample - 1/2).
        earliest = self._unfolded(sample - Fraction(1, 2))
        here = self._folded(earliest)
        line = self._line_from(here, every)
        if self.loop is not None and here < self.loop[1] <= line and self.beat < self.loop[1]:
            start, end = self.loop
            earliest, here = earliest + (end - here), start
            line = self._line_from(start, every)
            if line >= end:  # no line inside the loop: its start is the line
                line = start
        beat = earliest + (line - here)
        return self.at_sample + (beat - self.beat) * self.samples_per_beat

    def _next(self, sample: int, every: int) -> int:
        return math.floor(self.next_exact(sample, every) + Fraction(1, 2))

    def _line_from(self, beat: Fraction, every: int) -> Fraction:
        """The first line at or after a beat: a beat of the bar (every 0) or the start of a bar divisible by
        `every`.
        """
        bars = (beat - self.origin) / self.bar_beats
        if every == 0:
            bar = math.floor(bars)
            start = self.origin + bar * self.bar_beats
            return min(start + math.ceil(beat - start), start + self.bar_beats)
        number = self.origin_bar + math.ceil(bars)
        number += -number % every
        return self.origin + (number - self.origin_bar) * self.bar_beats


@dataclass(frozen=True)
class Timeline:
    """A client's musical time as stretches in order; before the first one its grid is extended backwards.

    heard: the client has sent a playing transport at least once. Without one (or while it is stopped) time
    runs on by itself, so that music can start and stay in time.
    """

    grids: tuple[Grid, ...]
    heard: bool = False
    playing: bool = False

    @classmethod
    def internal(cls, rate: int, tempo: float, numerator: int = 4, denominator: int = 4) -> Timeline:
        """Our own clock: bar 0 at sample 0. rate in Hz, tempo in quarter notes a minute."""
        return cls((Grid(rate, 0, Fraction(0), _tempo(tempo), *_metre(numerator, denominator)),))

    def at(self, sample: int | Fraction) -> Grid:
        """The stretch that holds at a sample."""
        for grid in reversed(self.grids):
            if grid.at_sample <= sample:
                return grid
        return self.grids[0]

    def restarted(self, at_sample: int) -> Timeline:
        """Our own clock with bar 0 at `at_sample`; unchanged once a client's transport has been heard."""
        if self.heard:
            return self
        grid = replace(
            self.at(at_sample), at_sample=at_sample, beat=Fraction(0), origin=Fraction(0), origin_bar=0
        )
        return replace(self, grids=(grid,))

    def beat_at(self, sample: int | Fraction) -> Fraction:
        """Song position in beats."""
        return self.at(sample).beat_at(sample)

    def bar_at(self, sample: int | Fraction) -> Fraction:
        """Bar number with its fraction."""
        return self.at(sample).bar_at(sample)

    def phases(self, sample: int | Fraction) -> tuple[float, float]:
        """(beat phase, bar phase), each 0 <= p < 1."""
        return self.at(sample).phases(sample)

    def line(self, sample: int, quantise: str) -> int:
        """The first line at or after a sample. quantise: "off" (the sample itself), "beat", "bar" or "n
        bars".
        """
        return math.floor(self.exact_line(sample, quantise) + Fraction(1, 2))

    def exact_line(self, sample: int, quantise: str) -> Fraction:
        """The same line where it lies exactly: less than half a sample from `line`."""
        if quantise == "off":
            return Fraction(sample)
        every = 0 if quantise == "beat" else 1 if quantise == "bar" else int(quantise.split()[0])
        first = self.grids.index(self.at(sample))
        for index in range(first, len(self.grids)):
            start = max(sample, self.grids[index].at_sample) if index > first else sample
            line = self.grids[index].next_exact(start, every)
            last = index + 1 == len(self.grids)
            if last or math.floor(line + Fraction(1, 2)) < self.grids[index + 1].at_sample:
                return line
        raise AssertionError("the last stretch has no end")

    def followed(self, event: TransportEvent) -> tuple[Timeline, bool]:
        """Time as the client's transport tells it from event.at_sample on, and whether it jumped.

        The same timeline comes back when the event only confirms it (to half a sample). A stopped transport
        sets tempo and metre, but the beat runs on. Errors: TransportError naming the value and what is
        allowed.
        """
        tempo = _tempo(event.tempo)
        numerator, denominator = _metre(event.numerator, event.denominator)
        loop = _loop(event) if event.playing else None
        old = self.at(event.at_sample)
        expected = old.beat_at(event.at_sample)
        beat = _beat(event.beat) if event.playing else expected
        off = abs(beat - expected) * old.samples_per_beat  # samples
        same_metre = (old.numerator, old.denominator) == (numerator, denominator)
        steady = old.tempo == tempo and same_metre and old.loop == loop
        heard, playing = self.heard or event.playing, event.playing
        later = (
            event.at_sample < self.grids[-1].at_sample
        )  # what was known of the time after it no longer holds
        if steady and not later and off <= Fraction(1, 2):
            return (
                self
                if (heard, playing) == (self.heard, self.playing)
                else replace(self, heard=heard, playing=playing)
            ), False
        origin, origin_bar = (old.origin, old.origin_bar) if same_metre else _new_origin(old, beat)
        grid = Grid(old.rate, event.at_sample, beat, tempo, numerator, denominator, origin, origin_bar, loop)
        kept = tuple(grid for grid in self.grids if grid.at_sample < event.at_sample)
        jumped = (
            off > JITTER_SECONDS * old.rate or old.tempo != tempo or not same_metre or self.playing != playing
        )
        return replace(self, grids=(*kept, grid), heard=heard, playing=playing), jumped

    def pruned(self, before: int, keep: int = 0) -> Timeline:
        """Without the stretches that ended before a sample, save the last `keep` of them: a client may go
        back.
        """
        kept = max(0, self.grids.index(self.at(before)) - keep)
        return self if kept == 0 else replace(self, grids=self.grids[kept:])


def _new_origin(old: Grid, beat: Fraction) -> tuple[Fraction, int]:
    """Where bars are counted from when the metre changes at a beat: the old bar line just there, or the one
    before.

    A jump to before the old origin counts from the start of the song.
    """
    if beat < old.origin:
        return Fraction(0), 0
    bars = math.floor((beat + Fraction(1, 16) - old.origin) / old.bar_beats)
    return old.origin + bars * old.bar_beats, old.origin_bar + bars


def _tempo(tempo: float) -> Fraction:
    low, high = TEMPO_RANGE
    if not math.isfinite(tempo) or not low <= tempo <= high:
        raise _refused(f"tempo {tempo:g}", f"send a tempo of {low:g}..{high:g} quarter notes a minute")
    return Fraction(tempo)


def _beat(beat: float) -> Fraction:
    if not math.isfinite(beat) or abs(beat) > BEAT_LIMIT:
        raise _refused(
            f"beat position {beat:g}",
            f"send a finite position within {BEAT_LIMIT:g} quarter notes of the start",
        )
    return Fraction(beat)


def _metre(numerator: int, denominator: int) -> tuple[int, int]:
    if not 1 <= numerator <= 64 or denominator not in (1, 2, 4, 8, 16, 32, 64):
        raise _refused(f"metre {numerator}/{denominator}", "send 1..64 over 1, 2, 4, 8, 16, 32 or 64")
    return numerator, denominator


def _loop(event: TransportEvent) -> tuple[Fraction, Fraction] | None:
    if not event.looping:
        return None
    start, end = _beat(event.loop_start), _beat(event.loop_end)
    if end - start < Fraction(1, 64):
        raise _refused(
            f"loop {event.loop_start:g}..{event.loop_end:g}", "send a loop whose end is past its start"
        )
    return start, end


def _refused(what: str, do: str) -> TransportError:
    return TransportError(f"{what} cannot be followed", "time goes on as it was", do)
