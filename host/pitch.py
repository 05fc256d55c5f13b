"""Pitch over time: a trace with confidence, repaired where it is an octave off, and the notes that are in it.

Pure numpy. The tracker here is a plain one (normalised autocorrelation) for machines without a better one; a
trace says nothing of who made it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from descant.host.events import Wave
from descant.host.keys import snapped

RATE = 16000  # Hz at which pitch is tracked
HOP = 256  # samples of it from row to row
FRAME_RATE = RATE / HOP
WINDOW = 1024  # samples that the plain tracker looks at: row i is the middle of i * HOP - WINDOW / 2 ..
LOWEST, HIGHEST = 60.0, 1200.0  # Hz of a voice
VOICED = 0.5  # confidence from which a row has a pitch
QUIET_DB = -60.0  # a row that is quieter has none
BLIP = 8  # rows: what is shorter and an octave off is a mistake
NEW_NOTE = 0.6  # semitones off the note so far ..
FIRM = 4  # .. for so many rows, and it is another note
BREATH = 3  # rows without pitch end a note
SHORTEST = 5  # rows of a note
DIP_DB, DIP_ROWS = 8.0, 10  # a note that falls so far and rises again within so many rows was sung twice
_KEY_MAXIMUM = 0.9  # of the highest peak: the first one as high as this is the period

Rows = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Trace:
    """Rows at FRAME_RATE, row i at i / FRAME_RATE seconds. hz, confidence (0..1), level (dBFS): [F]."""

    hz: Rows
    confidence: Rows
    level: Rows

    @classmethod
    def empty(cls) -> Trace:
        nothing = np.zeros(0, np.float32)
        return cls(nothing, nothing, nothing)

    def __len__(self) -> int:
        return len(self.hz)

    def __add__(self, later: Trace) -> Trace:
        pairs = ((self.hz, later.hz), (self.confidence, later.confidence), (self.level, later.level))
        return Trace(*(np.concatenate(pair) for pair in pairs))

    def keys(self) -> Rows:
        """MIDI keys with fractions, [F]; nan where there is no pitch."""
        voiced = (self.confidence >= VOICED) & (self.hz > 0) & (self.level > QUIET_DB)
        with np.errstate(divide="ignore", invalid="ignore"):
            keys = 69 + 12 * np.log2(self.hz / 440)
        return np.where(voiced, keys, np.nan).astype(np.float32)


@dataclass(frozen=True)
class Note:
    """start, seconds: from the clip's start. key: MIDI, 60 is middle C. velocity: 1..127."""

    start: float
    seconds: float
    key: int
    velocity: int = 100


def track(wave: Wave) -> Trace:
    """The trace of [n] at RATE, n // HOP rows (one at least)."""
    n = max(1, len(wave) // HOP)
    padded = np.pad(np.asarray(wave, np.float32), (WINDOW // 2, WINDOW // 2 + HOP))
    parts = [_rows(padded, first, min(first + 256, n)) for first in range(0, n, 256)]
    return Trace(*(np.concatenate(part) for part in zip(*parts)))


class PlainTracker:
    """`track` in pieces: the rows of the pieces are those of the whole."""

    def __init__(self) -> None:
        self._wave: Wave = np.zeros(0, np.float32)
        self._given = 0

    def push(self, wave: Wave, last: bool = False) -> Trace:
        """The rows that are certain now, of [n] more at RATE. last: nothing more comes."""
        self._wave = np.concatenate((self._wave, wave))
        n = len(self._wave) // HOP
        ready = max(1, n) if last else max(self._given, n - WINDOW // 2 // HOP)
        if ready <= self._given:
            return Trace.empty()
        context = WINDOW // 2 // HOP  # rows before, whose samples the first new one needs
        first = max(0, self._given - context)
        part = track(self._wave[first * HOP : None if last else ready * HOP + WINDOW // 2])
        cut = slice(self._given - first, ready - first)
        self._given = ready
        return Trace(part.hz[cut], part.confidence[cut], part.level[cut])


def guarded(keys: Rows) -> Rows:
    """MIDI keys [F] in which short stretches that lie octaves off their neighbours are moved to them. The
    pitch class of a row never changes."""
    out = keys.copy()
    for _ in range(4):  # what was moved may be the neighbour of what was not
        before = out.copy()
        _guard(out)
        if np.array_equal(before, out, equal_nan=True):
            break
    return out


def _guard(keys: Rows) -> None:
    runs = _runs(keys)
    for index, (first, end) in enumerate(runs):
        if end - first >= BLIP:
            continue
        nearest = [
            keys[run[1] - 1 if run[1] <= first else run[0]]
            for run in (runs[max(0, index - 1)], runs[min(len(runs) - 1, index + 1)])
            if run != (first, end) and min(abs(run[1] - first), abs(run[0] - end)) <= BREATH
            and run[1] - run[0] >= end - first
        ]  # fmt: skip
        middle = float(np.median(keys[first:end]))
        for other in nearest:
            octaves = round((float(other) - middle) / 12)
            if octaves and abs(float(other) - middle - 12 * octaves) < 2.5:
                keys[first:end] += 12 * octaves
                break


def notes_of(trace: Trace, classes: tuple[int, ...] | None = None, guard: bool = True) -> list[Note]:
    """The notes of one voice, in order. classes: the pitch classes that notes are moved to; None: all."""
    keys = trace.keys()
    if guard:
        keys = guarded(keys)
    notes: list[Note] = []
    for first, end in _struck(_segments(keys), trace.level):
        if end - first < SHORTEST:
            continue
        pitch = float(np.nanmedian(keys[first:end]))
        key = snapped(pitch, classes)
        loud = float(np.percentile(trace.level[first:end], 80))
        velocity = int(np.clip(round(100 + 1.5 * (loud + 18)), 20, 127))
        start, seconds = first / FRAME_RATE, (end - first) / FRAME_RATE
        notes.append(Note(start, seconds, key, velocity))
    return notes


def sung(notes: list[Note], n_rows: int, frame_rate: float) -> NDArray[np.float32]:
    """[n_rows, 12]: 1 for the pitch class that sounds in the middle of a row; zeros in rests."""
    out = np.zeros((n_rows, 12), np.float32)
    for note in notes:
        first, end = round(note.start * frame_rate), round((note.start + note.seconds) * frame_rate)
        out[max(0, first) : max(first + 1, end)] = 0.0
        out[max(0, first) : max(first + 1, end), note.key % 12] = 1.0
    return out


def _runs(keys: Rows) -> list[tuple[int, int]]:
    """Stretches of rows with pitch in which it never leaps."""
    runs: list[tuple[int, int]] = []
    for row, key in enumerate(keys):
        if np.isnan(key):
            continue
        if runs and runs[-1][1] == row and abs(key - keys[row - 1]) < 6:
            runs[-1] = (runs[-1][0], row + 1)
        else:
            runs.append((row, row + 1))
    return runs


def _segments(keys: Rows) -> list[tuple[int, int]]:
    """Stretches of rows that are one note each."""
    found: list[tuple[int, int]] = []
    first = last = -1  # of the note so far: its first row, and the last that belongs to it
    away = -1  # the first of the rows that leave it
    for row in range(len(keys) + 1):
        key = float(keys[row]) if row < len(keys) else float("nan")
        if np.isnan(key):
            if first >= 0 and (row == len(keys) or row - max(last, away if away >= 0 else last) > BREATH):
                found.append((first, last + 1))
                first = away = -1
            continue
        if first < 0:
            first = last = row
            away = -1
            continue
        centre = float(np.nanmedian(keys[max(first, last - 12) : last + 1]))
        if abs(key - centre) <= NEW_NOTE:
            last, away = row, -1
        elif away < 0:
            away = row
        elif row - away + 1 >= FIRM:
            found.append((first, last + 1))
            first, last, away = away, row, -1
    return found


def _struck(segments: list[tuple[int, int]], level: Rows) -> list[tuple[int, int]]:
    """Notes of one pitch cut where the voice begins them anew."""
    found: list[tuple[int, int]] = []
    for first, end in segments:
        start = first
        for row in range(first + SHORTEST, end - SHORTEST):
            near = level[max(first, row - DIP_ROWS) : min(end, row + DIP_ROWS + 1)]
            sides = level[max(first, row - DIP_ROWS) : row].max(), level[row + 1 : row + DIP_ROWS + 1].max()
            if level[row] == near.min() and min(sides) - level[row] >= DIP_DB and row - start >= SHORTEST:
                found.append((start, row))
                start = row + 1
        found.append((start, end))
    return found


def _rows(padded: Wave, first: int, end: int) -> tuple[Rows, Rows, Rows]:
    starts = np.arange(first, end)[:, None] * HOP + np.arange(WINDOW)[None]
    frames = padded[starts].astype(np.float64)
    level = 10 * np.log10(np.maximum((frames**2).mean(axis=1), 1e-12))
    spectrum = np.fft.rfft(frames, 2 * WINDOW, axis=1)
    longest = int(RATE / LOWEST) + 2
    match = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, : longest + 1]
    squares = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    lags = np.arange(longest + 1)
    energy = squares[:, WINDOW - lags] + squares[:, -1:] - squares[:, lags]
    near = np.where(energy > 1e-9, 2 * match / np.maximum(energy, 1e-12), 0.0)
    shortest = int(RATE / HIGHEST)
    near[:, :shortest] = -1.0
    peaks = np.zeros_like(near, dtype=bool)
    peaks[:, 1:-1] = (near[:, 1:-1] > near[:, :-2]) & (near[:, 1:-1] >= near[:, 2:]) & (near[:, 1:-1] > 0)
    height = np.where(peaks, near, 0.0)
    best = height.max(axis=1)
    at = np.argmax(height >= np.maximum(_KEY_MAXIMUM * best, 1e-9)[:, None], axis=1)
    at = np.clip(at, 1, longest - 1)
    row = np.arange(len(at))
    left, middle, right = near[row, at - 1], near[row, at], near[row, at + 1]
    bend = left - 2 * middle + right
    offset = np.where(np.abs(bend) > 1e-9, 0.5 * (left - right) / np.where(bend == 0, 1, bend), 0.0)
    hz = np.where(best > 0, RATE / (at + np.clip(offset, -0.5, 0.5)), 0.0)
    confidence = np.clip((best - 0.5) * 1.6, 0.0, 1.0)  # 0.81 of what repeats is a voice
    confidence[level < QUIET_DB] = 0.0
    return hz.astype(np.float32), confidence.astype(np.float32), level.astype(np.float32)
