"""Measures what can be heard in a take: level, brightness, change at the pads, following the hum.

Pure numpy on waves; knows nothing about models, which must not be asked how well they did.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from descant.host.heard import (
    FRAME_RATE,
    Array,
    Samples,
    attacks,
    bands,
    centroid,
    chroma,
    decibels,
    flux,
    rms,
    spectrogram,
)
from tools.hum_synth import HumNote, sounding
from tools.take import Take


@dataclass(frozen=True)
class SectionMeasure:
    """level: dBFS (RMS). brightness: spectral centroid, Hz. onsets: attacks per second.
    follows: chroma cosine with the hummed notes, nan where none steer. moved: spectral distance to the
    section before, as a multiple of the distance between this section's own halves (1: no more than
    it moves by itself)."""

    level: float
    brightness: float
    onsets: float
    follows: float
    moved: float


@dataclass(frozen=True)
class Following:
    """Chroma cosine of the steered music with the hum moved by each number of semitones 0..11, [12], over
    `frames` frames in which a note sounds; unsteered: with the same notes laid over the
    sections without hum (nan: none)."""

    by_shift: Array
    unsteered: float
    frames: int

    @property
    def right(self) -> float:
        return float(self.by_shift[0])

    @property
    def tritone(self) -> float:
        return float(self.by_shift[6])

    @property
    def others(self) -> float:
        """The mean over the eleven wrong transpositions."""
        return float(self.by_shift[1:].mean())


def agreement(rows: Array, pitch_classes: NDArray[np.int64]) -> Array:
    """Mean cosine between chroma rows [F, 12] and one-hot notes [F] (-1: none) moved up by 0..11 semitones,
    [12]."""
    n = min(len(rows), len(pitch_classes))
    heard = np.flatnonzero((pitch_classes[:n] >= 0) & (rows[:n].sum(axis=1) > 0))
    if not len(heard):
        return np.full(12, np.nan)
    return np.array([rows[heard, (pitch_classes[heard] + s) % 12].mean() for s in range(12)])


def follow(take: Take) -> Following:
    """How closely the steered part of a take follows the hum, and the rest does not."""
    totals, frames = np.zeros(12), 0
    for start, end in take.hum_spans:
        rows, notes = _laid(take, start, end)
        heard = int((notes >= 0).sum())
        values = agreement(rows, notes)
        if heard and np.isfinite(values).all():
            totals += heard * values
            frames += heard
    steered = {section.start for section in take.sections if section.following}
    other = []
    length = max((end - start for start, end in take.hum_spans), default=0)
    for section in take.sections:
        if section.start not in steered and length and section.end > section.start:
            value = agreement(*_laid(take, section.start, min(section.end, section.start + length)))[0]
            if np.isfinite(value):
                other.append(value)
    by_shift = totals / frames if frames else np.full(12, np.nan)
    return Following(by_shift, float(np.mean(other)) if other else float("nan"), frames)


def heard_notes(wave: Samples, sample_rate: int, shortest: float = 0.08) -> list[HumNote]:
    """The notes of a recording of one voice, [n]: pitch classes only, all in the octave of middle C.

    Frames 35 dB below the loudest are rests; stretches shorter than `shortest` seconds join what is around
    them.
    """
    magnitudes, frequencies = spectrogram(wave, sample_rate)
    rows = chroma(magnitudes, frequencies)
    loudness = 10 * np.log10(np.maximum((magnitudes**2).sum(axis=1), 1e-12))
    classes = np.where((loudness > loudness.max() - 35) & (rows.max(axis=1) > 0.5), rows.argmax(axis=1), -1)
    edges = np.flatnonzero(np.diff(classes)) + 1
    notes: list[HumNote] = []
    for first, last in zip([0, *edges], [*edges, len(classes)], strict=True):
        start, end = float(first / FRAME_RATE), float(last / FRAME_RATE)
        if classes[first] < 0 or end - start < shortest:
            continue
        key = 60 + int(classes[first])
        if notes and notes[-1].key == key and start - notes[-1].end < shortest:
            notes[-1] = HumNote(notes[-1].start, end, key)
        else:
            notes.append(HumNote(start, end, key))
    return notes


def measure_sections(take: Take) -> list[SectionMeasure]:
    """What can be heard of each section, in order."""
    out: list[SectionMeasure] = []
    before: Array | None = None
    for section in take.sections:
        wave = take.mono(section.start, section.end)
        magnitudes, frequencies = spectrogram(wave, take.sample_rate, 2048)
        level = decibels(rms(wave))
        rows = bands(magnitudes, frequencies, 48)
        onsets = len(attacks(flux(rows))) / max(1e-9, len(wave) / take.sample_rate)
        half = len(rows) // 2
        own = _distance(rows[:half], rows[half:])
        heard_both = before is not None and level > -60 and out[-1].level > -60
        moved = _distance(before, rows) / max(own, 0.1) if before is not None and heard_both else float("nan")
        spans = [s for s in take.hum_spans if section.start <= s[0] < section.end]
        follows = [agreement(*_laid(take, *span))[0] for span in spans]
        heard = [value for value in follows if np.isfinite(value)]
        out.append(
            SectionMeasure(
                level,
                centroid(magnitudes, frequencies),
                onsets,
                float(np.mean(heard)) if heard else float("nan"),
                moved,
            )
        )
        before = rows
    return out


def _laid(take: Take, start: int, end: int) -> tuple[Array, NDArray[np.int64]]:
    """The chroma of a stretch, and the hum's notes as if its clip began there."""
    rows = chroma(*spectrogram(take.mono(start, end), take.sample_rate))
    return rows, sounding(take.hum, len(rows), FRAME_RATE)


def _distance(a: Array, b: Array) -> float:
    """Mean difference in dB between the mean spectra of two stretches."""
    if not len(a) or not len(b):
        return 0.0
    return float(np.abs(np.maximum(a, -80).mean(axis=0) - np.maximum(b, -80).mean(axis=0)).mean())
