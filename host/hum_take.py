"""A hummed take: where it lies on the bars, what of it sounds, and how a bar of it is mended.

Knows nothing about devices, threads or how pitch is found. Positions are samples of the timeline.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from descant.host.events import Wave
from descant.host.pitch import Note
from descant.host.transport import Timeline

SOUND_DB = -45.0  # dBFS of 10 ms: less is silence
BELOW_DB = 35.0  # so far below the loudest it is silence, too
MARGIN_SECONDS = 0.03  # around what sounds
GAP_SECONDS = 2.0  # of silence are no part of a phrase
JOIN_SECONDS = 0.005  # of crossfade where a bar was recorded again
LEVEL = 0.3  # of a line made from notes
MAX_BARS = 16


@dataclass(frozen=True, eq=False)
class HumTake:
    """wave: [n] float32, whole bars from a bar line on, silence where nothing was heard. at: that line, as
    the performer heard it. bar: samples in a bar. rate: Hz. kept: whether its length is as it was asked for,
    or whatever bars hold sound.
    """

    wave: Wave
    at: int
    bar: Fraction
    rate: int
    kept: bool = True

    @property
    def bars(self) -> int:
        return max(1, round(len(self.wave) / self.bar))

    @property
    def span(self) -> tuple[int, int]:
        """First and end sample of what sounds; (0, 0) where nothing does."""
        return sound_span(self.wave, self.rate)

    def handed_in(self, notes: Sequence[Note] | None) -> Wave:
        """What is followed, [n], from a bar line on: the voice, or a plain line of notes (seconds from the
        take's start). Silent bars at its start and, unless its length was asked for, at its end are left out.
        """
        first, end = self.span
        wave = self.wave if notes is None else line_of(notes, len(self.wave), self.rate)
        start = 0 if self.kept else round(math.floor(first / self.bar) * self.bar)
        stop = len(self.wave) if self.kept else round(math.ceil(end / self.bar) * self.bar)
        return wave[start : max(stop, start + 1)]

    def from_its_line(self, notes: Sequence[Note]) -> list[Note]:
        """Notes of the take, counted from where what is handed in begins."""
        if self.kept:
            return list(notes)
        skipped = math.floor(self.span[0] / self.bar) * float(self.bar) / self.rate
        return [replace(note, start=note.start - skipped) for note in notes]

    def again(self, index: int, wave: Wave) -> HumTake:
        """The take with another sound [bar] in one of its bars, counted from 0, joined without a click."""
        start, end = round(index * self.bar), min(round((index + 1) * self.bar), len(self.wave))
        new, n = self.wave.copy(), end - start
        piece = np.zeros(n, np.float32)
        piece[: min(n, len(wave))] = wave[:n]
        piece[len(wave) :] = wave[-1] if len(wave) else 0.0  # a bar may be a sample longer than another
        join = min(round(JOIN_SECONDS * self.rate), n // 2)
        share = np.ones(n, np.float32)
        if join:
            ramp = (np.arange(join, dtype=np.float32) + 1) / (join + 1)
            if start > 0:
                share[:join] = ramp
            if end < len(new):
                share[n - join :] = ramp[::-1]
        new[start:end] = share * piece + (1 - share) * self.wave[start:end]
        return HumTake(new, self.at, self.bar, self.rate, self.kept)


def window(start: int, end: int, latency: int) -> tuple[int, int]:
    """Which samples of the input hold what was hummed to the music of start..end."""
    return start + latency, end + latency


def mono(heard: Wave) -> Wave:
    """[n] of [C, n]: the mean, or the loudest channel alone where another is 6 dB quieter."""
    power = (heard.astype(np.float64) ** 2).mean(axis=1)
    kept = heard[power >= power.max() / 4]
    found: Wave = kept.mean(axis=0, dtype=np.float64).astype(np.float32)
    return found


def sound_span(wave: Wave, rate: int) -> tuple[int, int]:
    """First and end sample of what sounds in [n], with a little around it; (0, 0) where nothing does."""
    loud = _loud(wave, rate)
    if not loud.size:
        return 0, 0
    hop, margin = _hop(rate), round(MARGIN_SECONDS * rate)
    return max(0, int(loud[0]) * hop - margin), min(len(wave), (int(loud[-1]) + 1) * hop + margin)


def last_phrase(wave: Wave, rate: int) -> tuple[int, int]:
    """First and end sample of what was hummed last in [n], back to a long silence; (0, 0): nothing."""
    loud = _loud(wave, rate)
    if not loud.size:
        return 0, 0
    hop, margin = _hop(rate), round(MARGIN_SECONDS * rate)
    gaps = np.flatnonzero(np.diff(loud) > GAP_SECONDS * rate / hop)
    first = int(loud[gaps[-1] + 1]) if gaps.size else int(loud[0])
    return max(0, first * hop - margin), min(len(wave), (int(loud[-1]) + 1) * hop + margin)


def on_bars(wave: Wave, at: int, timeline: Timeline, rate: int) -> HumTake:
    """A take of [n], whose first sample lies at `at`, on whole bars around it; its last MAX_BARS at most."""
    grid = timeline.at(at)
    bar = grid.bar_beats * grid.samples_per_beat
    line = timeline.exact_line(at, "bar")
    while line > at:
        line -= bar
    bars = max(1, math.ceil((at + len(wave) - line) / bar))
    if bars > MAX_BARS:
        line += (bars - MAX_BARS) * bar
        wave, at, bars = wave[round(line) - at :], round(line), MAX_BARS
    out = np.zeros(round(bars * bar), np.float32)
    place = max(0, at - round(line))
    out[place : place + len(wave)] = wave[: len(out) - place]
    return HumTake(out, round(line), bar, rate, kept=False)


def line_of(notes: Sequence[Note], n: int, rate: int) -> Wave:
    """[n]: the notes as plain tones of a few harmonics, each with soft edges, as loud as they were sung."""
    out = np.zeros(n, np.float32)
    edge = max(1, round(0.008 * rate))
    for note in notes:
        first, end = round(note.start * rate), min(n, round((note.start + note.seconds) * rate))
        if end - first < 2:
            continue
        time = np.arange(end - first) / rate
        hz = 440 * 2 ** ((note.key - 69) / 12)
        tone = sum(np.sin(2 * np.pi * hz * h * time) / h**1.5 for h in range(1, 6) if hz * h < 0.45 * rate)
        fade = np.minimum(1.0, np.minimum(np.arange(end - first), np.arange(end - first)[::-1]) / edge)
        out[first:end] = LEVEL * (0.3 + 0.7 * note.velocity / 127) * fade * tone
    return out


def _hop(rate: int) -> int:
    return max(1, rate // 100)


def _loud(wave: Wave, rate: int) -> NDArray[np.int64]:
    """The stretches of 10 ms that sound, ascending."""
    hop = _hop(rate)
    n = -(-len(wave) // hop)
    padded = np.zeros(n * hop, np.float64)
    padded[: len(wave)] = wave
    power = (padded.reshape(n, hop) ** 2).mean(axis=1) if n else np.zeros(0)
    if not n or not power.max() > 0:
        return np.zeros(0, np.int64)
    threshold = max(SOUND_DB, 10 * math.log10(float(power.max())) - BELOW_DB)
    return np.flatnonzero(power > 10 ** (threshold / 10))
