"""What can be heard in a stretch of music: spectra, pitch classes, loudness, attacks, from waves alone.

Pure numpy. Knows nothing about models, which must not be asked how well they did, nor about presets or takes.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

Array = NDArray[np.float64]
Samples = NDArray[np.float32]
FRAME_RATE = 50.0  # frames per second of every measure
PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FLOOR = -120.0  # dB, what silence is called
STEADY = 0.75  # dB a band from frame to frame: less is no attack


def spectrogram(wave: Samples, sample_rate: int, window: int = 4096) -> tuple[Array, Array]:
    """Magnitudes [F, bins] (Hann, centred, FRAME_RATE frames a second) and the bins' frequencies in Hz."""
    hop = sample_rate / FRAME_RATE
    n_frames = max(1, int(len(wave) / hop))
    padded = np.pad(wave.astype(np.float64), (window // 2, window // 2 + int(hop) + 1))
    shape = np.hanning(window)
    out = np.empty((n_frames, window // 2 + 1))
    for first in range(0, n_frames, 256):
        last = min(n_frames, first + 256)
        starts = np.round((np.arange(first, last) + 0.5) * hop).astype(int)
        rows = np.stack([padded[s : s + window] for s in starts])
        out[first:last] = np.abs(np.fft.rfft(rows * shape, axis=1))
    return out * (2.0 / shape.sum()), np.asarray(np.fft.rfftfreq(window, 1.0 / sample_rate), np.float64)


def bands(
    magnitudes: Array, frequencies: Array, n_bands: int = 96, low: float = 40.0, high: float = 15000.0
) -> Array:
    """Energies in dB in bands evenly spaced in pitch, [F, n_bands], floor -120 dB."""
    edges = np.geomspace(low, min(high, float(frequencies[-1])), n_bands + 1)
    power = np.concatenate([np.zeros((len(magnitudes), 1)), np.cumsum(magnitudes**2, axis=1)], axis=1)
    step = float(frequencies[1])
    at = np.clip(
        edges / step + 0.5, 0, power.shape[1] - 1
    )  # between bins: the low bands are narrower than one
    lower = np.floor(at).astype(int)
    part = at - lower
    upper = np.minimum(lower + 1, power.shape[1] - 1)
    cumulative = power[:, lower] * (1 - part) + power[:, upper] * part
    return np.asarray(10 * np.log10(np.maximum(np.diff(cumulative, axis=1), 1e-12)))


def chroma(magnitudes: Array, frequencies: Array, low: float = 100.0, high: float = 2200.0) -> Array:
    """Energy by pitch class, [F, 12], each row of length 1 (zeros when silent). C is 0.

    Only peaks of the spectrum count, each at its interpolated frequency, so that leakage and noise do not.
    """
    out = np.zeros((len(magnitudes), 12))
    inner = magnitudes[:, 1:-1]
    peak = (inner > magnitudes[:, :-2]) & (inner >= magnitudes[:, 2:])
    peak &= inner > 0.02 * magnitudes.max(axis=1, keepdims=True)
    peak &= inner > 1e-5
    frames, bins = np.nonzero(peak)
    bins = bins + 1
    left, middle, right = (np.log(magnitudes[frames, bins + d] + 1e-12) for d in (-1, 0, 1))
    offset = 0.5 * (left - right) / np.minimum(left - 2 * middle + right, -1e-9)
    frequency = (bins + np.clip(offset, -0.5, 0.5)) * float(frequencies[1])
    keep = (frequency > low) & (frequency < high)
    key = 69 + 12 * np.log2(frequency[keep] / 440.0)
    nearest = np.round(key)
    weight = magnitudes[frames[keep], bins[keep]] * np.exp(-(((key - nearest) / 0.3) ** 2))
    np.add.at(out, (frames[keep], nearest.astype(int) % 12), weight)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9))


def decibels(amplitude: float) -> float:
    """dBFS of an amplitude, 1.0 being 0 dB; FLOOR for less than a millionth."""
    return max(FLOOR, 20 * float(np.log10(max(amplitude, 1e-6))))


def rms(wave: Samples) -> float:
    """Root mean square of [n]; 0 for nothing."""
    return float(np.sqrt(np.mean(wave.astype(np.float64) ** 2))) if len(wave) else 0.0


def true_peak(wave: Samples, sample_rate: int) -> float:
    """The greatest amplitude between the samples of [n], too: of the wave at four times its rate."""
    if not len(wave):
        return 0.0
    between = soxr.resample(wave, sample_rate, 4 * sample_rate)
    return float(max(np.abs(wave).max(), np.abs(between).max()))


def levels(wave: Samples, sample_rate: int) -> Array:
    """dBFS (RMS) of each frame of [n], [F]: of its own hop, so that a gap of a hop is seen."""
    hop = sample_rate / FRAME_RATE
    edges = np.round(np.arange(int(len(wave) / hop) + 1) * hop).astype(int)
    squares = np.concatenate([[0.0], np.cumsum(wave.astype(np.float64) ** 2)])
    mean = np.diff(squares[edges]) / np.maximum(np.diff(edges), 1)
    return np.asarray(np.maximum(FLOOR, 10 * np.log10(np.maximum(mean, 1e-12))))


def centroid(magnitudes: Array, frequencies: Array) -> float:
    """Where the middle of the spectrum's energy lies, Hz: brightness. 0 for silence."""
    power = (magnitudes**2).sum(axis=0)
    return float((power * frequencies).sum() / max(float(power.sum()), 1e-12))


def flux(rows: Array) -> Array:
    """How much louder each frame of `bands` is than the one before, in dB a band, [F]; the first is 0."""
    return np.concatenate([[0.0], np.maximum(np.diff(rows, axis=0), 0).mean(axis=1)])


def attacks(rises: Array) -> NDArray[np.int64]:
    """The frames of a `flux` in which something begins: its peaks above the mean and a deviation, and above
    what a held sound moves by itself."""
    if len(rises) < 3:
        return np.zeros(0, np.int64)
    usual = max(STEADY, rises.mean() + rises.std())
    peak = (rises[1:-1] > rises[:-2]) & (rises[1:-1] >= rises[2:]) & (rises[1:-1] > usual)
    return np.flatnonzero(peak) + 1
