"""Figures of the music under one pad: level, attacks against its tempo, key and chords, motion, brightness.

Pure numpy on a wave; the preset says what was asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

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
    levels,
    rms,
    spectrogram,
    true_peak,
)
from descant.host.loudness import loudness
from descant.host.motion import still, strikes
from descant.host.preset import Preset
from descant.host.progression import ACCIDENTALS, ROOTS

SCALES: dict[str, tuple[int, ...]] = {  # semitones above the tonic
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
SILENT = -50.0  # dBFS: a frame below it is a gap
N_BANDS = 48  # of a spectrum, 40 Hz .. 15 kHz
DEPTH = 60.0  # dB below its loudest band at which a spectrum is cut off
_KEY = re.compile(rf"\bin ([{''.join(ROOTS)}])(#|b| sharp| flat|) ({'|'.join(SCALES)})\b", re.IGNORECASE)
_SPOKEN = {" sharp": "#", " flat": "b"}


@dataclass(frozen=True)
class PadFigures:
    """What was heard of one pad, played by itself from bar 0 on.

    level: dBFS (RMS). loudness: LUFS, what an ear makes of that. peak: dBTP, between the samples too. gap:
    the longest silence, s. onsets: attacks a quarter note. strikes: what rises in the whole spectrum at once,
    as drums and plucks do and held notes do not, a quarter note. still: the longest one note or chord, bars.
    on_beat: how much louder attacks are on the beat than off it, -1..1. in_key: share of the pitched energy
    in the key that the words name, 0..1, 0.58 by chance; nan where they name none. chords: chroma cosine with
    the progression; others: the same, moved by 1..11 semitones, their mean; nan without chords. clear: share
    of the energy in each half second's three strongest pitch classes. brightness: Hz. spectrum: [N_BANDS]
    mean dB, its mean taken off, so that loudness does not count.
    """

    level: float
    loudness: float
    peak: float
    gap: float
    onsets: float
    strikes: float
    still: float
    on_beat: float
    in_key: float
    chords: float
    others: float
    clear: float
    brightness: float
    spectrum: Array


def pad_figures(wave: Samples, rate: int, preset: Preset, slot: int) -> PadFigures:
    """Measure [n] samples of a pad at `rate` Hz, its first one at bar 0; at least a second of them."""
    short, frequencies = spectrogram(wave, rate, 2048)
    rows = bands(short, frequencies, N_BANDS)
    rows = np.maximum(rows, rows.max() - DEPTH)  # what lies below is noise that nobody hears
    rises = flux(rows)
    pitches = chroma(*spectrogram(wave, rate, 8192))
    beats = len(wave) / rate * preset.tempo / 60
    with_chords, with_others = _with_chords(pitches, preset, slot)
    return PadFigures(
        level=decibels(rms(wave)),
        loudness=loudness(wave, rate),
        peak=decibels(true_peak(wave, rate)),
        gap=_longest(levels(wave, rate) < SILENT) / FRAME_RATE,
        onsets=len(attacks(rises)) / beats,
        strikes=strikes(rows) / beats,
        still=still(pitches) / len(pitches) * beats / quarters_of(preset),
        on_beat=_on_beat(rises, preset.tempo),
        in_key=_in_key(pitches, key_named(preset.prompts[slot].text)),
        chords=with_chords,
        others=with_others,
        clear=_clear(pitches),
        brightness=centroid(short, frequencies),
        spectrum=_shape(rows),
    )


def key_named(text: str) -> tuple[int, ...] | None:
    """The seven pitch classes of the key that words name ("in F sharp minor"), ascending; None for none."""
    found = _KEY.search(text)
    if found is None:
        return None
    root, sign, scale = found.groups()
    tonic = ROOTS[root.upper()] + ACCIDENTALS[_SPOKEN.get(sign.lower(), sign.lower())]
    return tuple(sorted((tonic + step) % 12 for step in SCALES[scale.lower()]))


def quarters_of(preset: Preset) -> float:
    """Quarter notes a bar."""
    return preset.numerator * 4 / preset.denominator


def apart(one: PadFigures, other: PadFigures) -> float:
    """How differently two pads sound: mean difference of their spectra, dB a band."""
    return float(np.abs(one.spectrum - other.spectrum).mean())


def _shape(rows: Array) -> Array:
    """The mean spectrum without its level."""
    mean = rows.mean(axis=0)
    return np.asarray(mean - mean.mean())


def _longest(quiet: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    """The longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _on_beat(rises: Array, tempo: float) -> float:
    """Attacks within 30 ms of the quarter notes against all others, (on - off) / (on + off)."""
    beat = (np.arange(len(rises)) + 0.5) / FRAME_RATE * tempo / 60
    away = np.abs(beat - np.round(beat)) * 60 / tempo
    near = away <= 0.03
    if near.all() or not near.any():
        return float("nan")
    on, off = float(rises[near].mean()), float(rises[~near].mean())
    return (on - off) / max(on + off, 1e-9)


def _in_key(pitches: Array, key: tuple[int, ...] | None) -> float:
    energy = (pitches**2).sum(axis=0)
    if key is None or not energy.sum():
        return float("nan")
    return float(energy[list(key)].sum() / energy.sum())


def _with_chords(pitches: Array, preset: Preset, slot: int) -> tuple[float, float]:
    progression = preset.progression_of(slot)
    heard = np.flatnonzero(pitches.sum(axis=1) > 0)
    if progression is None or not len(heard):
        return float("nan"), float("nan")
    bars = heard / FRAME_RATE * preset.tempo / 60 / quarters_of(preset)
    cosines = np.zeros(12)
    for frame, bar in zip(heard, bars, strict=True):
        chord = np.array(progression.at(Fraction(float(bar))))
        for shift in range(12):
            cosines[shift] += pitches[frame, (chord + shift) % 12].sum() / np.sqrt(len(chord))
    cosines /= len(heard)
    return float(cosines[0]), float(cosines[1:].mean())


def _clear(pitches: Array) -> float:
    half = round(FRAME_RATE / 2)
    shares = []
    for start in range(0, len(pitches), half):
        energy = np.sort((pitches[start : start + half] ** 2).sum(axis=0))
        if energy.sum():
            shares.append(energy[-3:].sum() / energy.sum())
    return float(np.mean(shares)) if shares else float("nan")
