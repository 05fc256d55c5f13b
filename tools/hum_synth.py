"""A seeded synthetic hum with known notes: what a microphone would hear, where there is none.

Source and filter: harmonics of a wavering voice pitch (glides, scoops, vibrato, drift) and breath noise, both
shaped by two formants. The notes that were asked for are the ground truth. Knows nothing about models.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]
Curve = NDArray[np.float64]

MAX_TRUTH_BYTES = 1_000_000


@dataclass(frozen=True)
class HumNote:
    """One hummed note. start, end: seconds from the clip's start. key: MIDI key, 60 is middle C."""

    start: float
    end: float
    key: int


class _Truth(msgspec.Struct, forbid_unknown_fields=True):
    """What `write_notes` writes."""

    seconds: float
    tempo: float
    notes: list[HumNote]


@dataclass(frozen=True)
class Voice:
    """How the hummer sounds.

    formants: (centre Hz, bandwidth Hz, gain) of each. tilt: harmonic h has amplitude h ** -tilt before them.
    vibrato_hz, vibrato_cents: rate and peak deviation once a note has settled. glide_seconds: time constant
    of the slide into a note. scoop_cents: how flat a phrase starts. drift_cents: standard deviation of the
    slow detuning. breath, room: noise with the voice and noise always there, relative to the tone, 0..1.
    """

    formants: tuple[tuple[float, float, float], ...] = ((320.0, 260.0, 1.0), (1150.0, 220.0, 0.30))
    tilt: float = 1.1
    vibrato_hz: float = 5.4
    vibrato_cents: float = 22.0
    glide_seconds: float = 0.014
    scoop_cents: float = 70.0
    drift_cents: float = 7.0
    breath: float = 0.035
    room: float = 0.0008


def hum(
    notes: Sequence[HumNote],
    seconds: float,
    sample_rate: int = 32000,
    seed: int = 0,
    voice: Voice | None = None,
    peak: float = 0.6,
) -> Wave:
    """The hummed clip, [T] float32 within -peak..peak, T = round(seconds * sample_rate), sample_rate in Hz.

    The same arguments give the same samples. notes must be in time order, must not overlap and must end by
    `seconds`; ValueError names the first that does not.
    """
    voice = voice or Voice()
    _check(notes, seconds)
    rng = np.random.default_rng(seed)
    n = round(seconds * sample_rate)
    if not notes:
        return np.zeros(n, np.float32)
    pitch = _pitch(notes, n, sample_rate, voice, rng)
    loudness = _loudness(notes, n, sample_rate, rng)
    tone = _tone(pitch, sample_rate, voice)
    breath = _breath(n, sample_rate, voice, rng)
    wave = loudness * tone + (voice.breath * np.sqrt(loudness) + voice.room) * breath
    return np.asarray(wave * (peak / max(1e-9, float(np.abs(wave).max()))), np.float32)


def random_melody(
    seed: int, seconds: float, tempo: float = 110.0, tonic: int = 60, minor: bool = False
) -> list[HumNote]:
    """A singable, mostly stepwise melody with rests in the key of tonic. tempo: quarter notes per minute."""
    rng = np.random.default_rng(seed)
    scale = (0, 2, 3, 5, 7, 8, 10) if minor else (0, 2, 4, 5, 7, 9, 11)
    beat = 60.0 / tempo
    degree, at, notes = 0, 0.0, list[HumNote]()
    while at < seconds - 0.25 * beat:
        length = beat * float(rng.choice([0.5, 1.0, 1.0, 1.5, 2.0]))
        end = min(at + length, seconds)
        if rng.random() > 0.08 or not notes:
            key = tonic + 12 * (degree // 7) + scale[degree % 7]
            notes.append(HumNote(at, max(at + 0.1, end - 0.04), key))
        degree = int(np.clip(degree + rng.choice([-3, -2, -1, -1, 1, 1, 2, 3]), -3, 8))
        at += length
    return notes


def sounding(notes: Sequence[HumNote], n_frames: int, frame_rate: float) -> NDArray[np.int64]:
    """The pitch class (C = 0) at the middle of each frame, -1 where none sounds: [n_frames]."""
    out = np.full(n_frames, -1, np.int64)
    middle = (np.arange(n_frames) + 0.5) / frame_rate
    for note in notes:
        out[(middle >= note.start) & (middle < note.end)] = note.key % 12
    return out


def write_notes(path: Path, notes: Sequence[HumNote], seconds: float, tempo: float) -> None:
    """The ground truth beside a clip, as JSON: {"seconds", "tempo", "notes": [{"start", "end", "key"}]}."""
    record = {"seconds": seconds, "tempo": tempo, "notes": [asdict(note) for note in notes]}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_notes(path: Path, seconds: float) -> list[HumNote]:
    """The notes of a file written by `write_notes` beside a clip of so many seconds.

    Raises ValueError for any other file, and for the ground truth of another clip.
    """
    if not path.is_file() or path.stat().st_size > MAX_TRUTH_BYTES:
        raise ValueError("it is no file of notes")
    try:
        record = msgspec.json.decode(path.read_bytes(), type=_Truth)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"it holds no notes ({error})") from error
    if abs(record.seconds - seconds) > 0.1:
        raise ValueError(f"its notes are of a clip of {record.seconds:.1f} s, not {seconds:.1f} s")
    _check(record.notes, record.seconds)
    return record.notes


def _check(notes: Sequence[HumNote], seconds: float) -> None:
    before = 0.0
    for note in notes:
        if not before <= note.start < note.end <= seconds + 1e-9 or not 24 <= note.key <= 96:
            raise ValueError(
                f"{note} is not allowed here: notes must follow each other from {before:.3f} s, "
                f"end by {seconds:.3f} s and have a key in 24..96"
            )
        before = note.end


def _smooth(values: Curve, seconds: float, sample_rate: int) -> Curve:
    """A causal one-pole smoother with that time constant, run in blocks so that numpy does the work."""
    keep = float(np.exp(-1.0 / max(1.0, seconds * sample_rate)))
    block = 256
    powers = keep ** np.arange(1, block + 1)
    kernel = np.tril(keep ** np.maximum(0, np.subtract.outer(np.arange(block), np.arange(block)))) * (
        1 - keep
    )
    out = np.empty_like(values)
    last = float(values[0])
    for i in range(0, len(values), block):
        part = values[i : i + block]
        out[i : i + block] = kernel[: len(part), : len(part)] @ part + powers[: len(part)] * last
        last = float(out[min(i + block, len(values)) - 1])
    return out


def _pitch(
    notes: Sequence[HumNote], n: int, sample_rate: int, voice: Voice, rng: np.random.Generator
) -> Curve:
    """Fundamental in Hz at every sample; between notes the last pitch is held, for there it is not heard."""
    time = np.arange(n) / sample_rate
    cents = np.full(n, 100.0 * notes[0].key)
    vibrato_depth = np.zeros(n)
    scoop = np.zeros(n)
    before = -1.0
    for note in notes:
        first = round(note.start * sample_rate)
        cents[first:] = 100.0 * note.key + float(rng.normal(0.0, 3.0))
        since = time[first:] - note.start
        vibrato_depth[first:] = np.clip((since - 0.22) / 0.3, 0.0, 1.0)
        if note.start - before > 0.12:  # a new breath: from below
            scoop[first:] = -voice.scoop_cents * float(rng.uniform(0.5, 1.2)) * np.exp(-since / 0.045)
        before = note.end
    glided = _smooth(_smooth(cents, voice.glide_seconds, sample_rate), voice.glide_seconds, sample_rate)
    drift = _smooth(rng.normal(0.0, 1.0, n), 0.12, sample_rate)
    drift *= voice.drift_cents / max(1e-9, float(drift.std()))
    rate = voice.vibrato_hz * (1.0 + 0.04 * np.sin(2 * np.pi * 0.31 * time + float(rng.uniform(0, 6.28))))
    vibrato = voice.vibrato_cents * vibrato_depth * np.sin(2 * np.pi * np.cumsum(rate) / sample_rate)
    return np.asarray(440.0 * 2.0 ** ((glided + scoop + drift + vibrato - 6900.0) / 1200.0))


def _loudness(notes: Sequence[HumNote], n: int, sample_rate: int, rng: np.random.Generator) -> Curve:
    """Amplitude 0..1: a soft "m" opens each note, a slow swell follows, a release ends it."""
    out = np.zeros(n)
    for note in notes:
        a, b = round(note.start * sample_rate), min(n, round(note.end * sample_rate))
        time = np.arange(b - a) / sample_rate
        length = max(0.05, note.end - note.start)
        opening = 0.5 - 0.5 * np.cos(np.pi * np.clip(time / min(0.055, length / 3), 0.0, 1.0))
        closing = 0.5 - 0.5 * np.cos(np.pi * np.clip((length - time) / min(0.080, length / 3), 0.0, 1.0))
        swell = 0.85 + 0.15 * np.sin(np.pi * time / length)
        out[a:b] = opening * closing * swell * float(10 ** (rng.normal(0.0, 1.0) / 20))
    return np.asarray(_smooth(out, 0.004, sample_rate))


def _gain(frequency: NDArray[np.floating[Any]], voice: Voice) -> Curve:
    """Amplitude of the vocal tract at frequencies in Hz."""
    out = np.full(frequency.shape, 0.012)
    for centre, width, gain in voice.formants:
        out += gain / np.sqrt(1.0 + ((frequency - centre) / (width / 2)) ** 2)
    return out


def _tone(pitch: Curve, sample_rate: int, voice: Voice) -> Curve:
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    top = min(0.45 * sample_rate, 5500.0)
    out = np.zeros(len(pitch))
    for h in range(1, int(top / float(pitch.min())) + 1):
        frequency = h * pitch
        amplitude = h**-voice.tilt * _gain(frequency, voice) * np.clip((top - frequency) / 300.0, 0.0, 1.0)
        out += amplitude * np.sin(h * phase + 0.7 * h * h)
    return np.asarray(out / max(1e-9, float(np.abs(out).max())))


def _breath(n: int, sample_rate: int, voice: Voice, rng: np.random.Generator) -> Curve:
    spectrum = np.fft.rfft(rng.normal(0.0, 1.0, n))
    frequency = np.fft.rfftfreq(n, 1.0 / sample_rate)
    shaped = np.fft.irfft(spectrum * (_gain(frequency, voice) + 0.05) / (1.0 + (frequency / 5000.0) ** 2), n)
    return np.asarray(shaped / max(1e-9, float(np.abs(shaped).max())))
