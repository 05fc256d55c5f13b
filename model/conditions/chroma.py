"""A sung, hummed or played line to frame-rate pitch classes: the melody control.

Knows nothing about files or models. For clips, not streams: each frame looks at a window around its centre.
A frame's pitch is the one whose harmonics hold the most of its spectrum; octave errors vanish in the pitch
class.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from descant.model.errors import ModelError

MAX_SECONDS = 600.0
SILENCE = 1e-3  # peak amplitude, -60 dB of full scale: below it a clip is silent
_WINDOW_SECONDS = 0.128
_LOWEST, _HIGHEST = 40, 93  # MIDI keys tried: 82 Hz to 1760 Hz
_STEPS = 4  # candidates a semitone
_HARMONICS = 10
_BAND = (60.0, 6000.0)  # Hz, where energy counts
_GATE = 0.1  # of the clip's loud level: quieter frames are rests
_CLARITY = 0.5  # share of a frame's energy that its pitch's harmonics must hold
_BATCH = 2048  # frames analysed at once
_ENOUGH_RATE = 16000.0  # Hz: a faster clip is brought near it first, for nothing above _BAND counts
_TAPS = 16  # of the filter before that, a side and per step of decimation


def check_wave(wave: object, sample_rate: object) -> tuple[Tensor, float]:
    """A clip as mono [T] float32 and its rate in Hz. Raises ModelError if it is empty, NaN, silent or too
    long.

    wave: [T] or [C, T] tensor, array or sequence, about -1..1 (clipped is fine). sample_rate: 4000..384000
    Hz.
    """
    still, do = "The melody in use is unchanged.", "Give a clip of a sung or played line of up to 10 minutes."
    valid = isinstance(sample_rate, (int, float)) and 4000 <= sample_rate <= 384000
    if not valid or isinstance(sample_rate, bool):
        raise ModelError(
            f"The melody's sample rate is {sample_rate!r}; allowed: 4000 to 384000 Hz.",
            still,
            "Give the rate at which the clip was recorded.",
        )
    try:
        mono = torch.as_tensor(wave).detach().to(torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"The melody is no audio: {error}.", still, do) from error
    if mono.dim() == 2:
        mono = mono.mean(dim=0) if mono.shape[0] else mono.flatten()
    rate = float(sample_rate)  # type: ignore[arg-type]
    if mono.dim() != 1 or mono.numel() == 0:
        raise ModelError(
            f"The melody has shape {tuple(mono.shape)}; allowed: [T] or [C, T], T > 0.", still, do
        )
    if mono.numel() > MAX_SECONDS * rate:
        raise ModelError(
            f"The melody lasts {mono.numel() / rate:.0f} s; allowed: up to {MAX_SECONDS:.0f} s.", still, do
        )
    if not bool(torch.isfinite(mono).all()):
        raise ModelError("The melody holds values that are not numbers (NaN or infinite).", still, do)
    if float(mono.abs().max()) < SILENCE:
        raise ModelError("The melody is silent (its peak is below -60 dB of full scale).", still, do)
    return mono, rate


def melody_frames(wave: Any, sample_rate: float, frame_rate: float) -> Tensor:
    """The pitch class heard in each frame: [F, 12] float32, one-hot (C = 0), zeros where none is.

    wave, sample_rate: see check_wave. frame_rate: frames per second wanted; F = ceil(seconds * frame_rate).
    Raises ModelError for a clip that cannot be used; one without a clear pitch gives zeros.
    """
    mono, rate = check_wave(wave, sample_rate)
    n_frames = math.ceil(mono.numel() * frame_rate / rate - 1e-9)
    mono, rate = _decimated(mono - mono.mean(), rate)
    window_length = 2 * round(_WINDOW_SECONDS * rate / 2)
    n_fft = (
        1 << (2 * window_length - 1).bit_length()
    )  # at least twice the window: bins fine enough for a low voice
    window = torch.hann_window(window_length)
    candidates, weights = _comb(n_fft, rate)
    hertz = torch.arange(n_fft // 2 + 1) * (rate / n_fft)
    band = (hertz >= _BAND[0]) & (hertz <= min(_BAND[1], rate / 2))
    lobe = 2 * round(1.5 * n_fft / window_length) + 1  # bins of the window's main lobe
    padded = torch.nn.functional.pad(mono, (window_length, window_length))
    keys, clarity, level = [], [], []
    for first in range(0, n_frames, _BATCH):
        index = torch.arange(first, min(first + _BATCH, n_frames), dtype=torch.float64)
        starts = ((index + 0.5) * (rate / frame_rate)).round().long() + window_length - window_length // 2
        pieces = padded[starts[:, None] + torch.arange(window_length)] * window
        power = torch.fft.rfft(pieces, n=n_fft).abs().square() * band
        total = power.sum(dim=-1)
        near = torch.nn.functional.avg_pool1d(power[None], lobe, 1, lobe // 2)[0] * lobe  # harmonics' energy
        salience = near.sqrt()[:, candidates].mul(weights).sum(dim=-1)  # [frames, candidates]
        best = salience.argmax(dim=-1)
        held = near.gather(1, candidates[best]).mul(weights[best] > 0).sum(dim=-1)
        keys.append(best)
        level.append(total.sqrt())
        clarity.append(held / total.clamp(min=1e-12))
    loud = torch.cat(level)
    heard = (loud > _GATE * loud.quantile(0.95)) & (torch.cat(clarity) > _CLARITY)
    key = _LOWEST + torch.cat(keys) / _STEPS
    return _steady(key.round().long() % 12, heard)


def _decimated(mono: Tensor, rate: float) -> tuple[Tensor, float]:
    """Every n-th sample of [T] behind a windowed sinc, n as _ENOUGH_RATE allows, and the rate left."""
    step = int(rate // _ENOUGH_RATE)
    if step < 2:
        return mono, rate
    half = _TAPS * step
    offset = torch.arange(-half, half + 1)
    kernel = torch.sinc(offset * (0.9 / step)) * torch.hann_window(2 * half + 1, periodic=False)
    padded = torch.nn.functional.pad(mono, (half, half))
    kept = torch.nn.functional.conv1d(padded[None, None], (kernel / kernel.sum())[None, None], stride=step)
    return kept[0, 0], rate / step


def _comb(n_fft: int, rate: float) -> tuple[Tensor, Tensor]:
    """Bins [candidates, harmonics] of each candidate pitch, and weights that fall with the number."""
    key = torch.arange((_HIGHEST - _LOWEST) * _STEPS + 1) / _STEPS + _LOWEST
    hertz = 440.0 * 2.0 ** ((key - 69.0) / 12.0)
    number = torch.arange(1, _HARMONICS + 1)
    bins = (hertz[:, None] * number * (n_fft / rate)).round().long()
    inside = bins <= n_fft // 2
    weight = (0.7 ** (number - 1)) * inside
    return bins.clamp(max=n_fft // 2), weight


def _steady(pitch_class: Tensor, heard: Tensor) -> Tensor:
    """One-hot of the commonest class among each frame and two neighbours a side: lone slips vanish."""
    hot = torch.nn.functional.one_hot(pitch_class, 12).float() * heard[:, None]
    votes = torch.nn.functional.avg_pool1d(hot.T[None], 5, stride=1, padding=2)[0].T + 0.01 * hot
    winner = torch.nn.functional.one_hot(votes.argmax(dim=-1), 12).float()
    return winner * heard[:, None]
