"""A sung, hummed or played line to frame-rate pitch classes: the melody control.

Knows nothing about files or models. For clips, whole or while they come: each frame looks at a window around
its centre. A frame's pitch is the one whose harmonics hold the most of its spectrum; octave errors vanish in
the pitch class.
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
_BATCH = 64  # frames analysed at once: always as many, so that all are rounded alike
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
    listener = LineListener(rate, frame_rate)
    listener.push(mono)
    return listener.finish()


class LineListener:
    """Hears a clip while it comes: `finish` gives what `melody_frames` says of the whole, to the bit.

    rate: Hz, 4000..384000. frame_rate: frames per second wanted. Frames are analysed _BATCH at a time,
    however the clip is cut; what is judged by the whole clip (what is loud in it, what stands beside a frame)
    waits for its end.
    """

    def __init__(self, rate: float, frame_rate: float) -> None:
        self._rate, self._frame_rate = rate, frame_rate
        self._step = max(1, int(rate // _ENOUGH_RATE))  # samples to one that is looked at
        self._half = _TAPS * self._step if self._step > 1 else 0
        near = rate / self._step
        self._length = 2 * round(_WINDOW_SECONDS * near / 2)
        # at least twice the window: bins fine enough for a low voice
        self._n_fft = 1 << (2 * self._length - 1).bit_length()
        self._window = torch.hann_window(self._length)
        self._candidates, self._weights = _comb(self._n_fft, near)
        hertz = torch.arange(self._n_fft // 2 + 1) * (near / self._n_fft)
        self._band = (hertz >= _BAND[0]) & (hertz <= min(_BAND[1], near / 2))
        self._lobe = 2 * round(1.5 * self._n_fft / self._length) + 1  # bins of the window's main lobe
        self._heard = 0  # samples of the clip
        self._first = -(self._length * self._step + self._half)  # of what waits; before 0 there is silence
        self._waiting = torch.zeros(-self._first)
        self._keys: list[Tensor] = []
        self._clarity: list[Tensor] = []
        self._level: list[Tensor] = []

    def push(self, piece: Tensor) -> None:
        """The clip's next samples, [n] float32, about -1..1."""
        self._heard += piece.numel()
        self._waiting = torch.cat([self._waiting, piece])
        while self._heard >= self._stretch()[1]:
            self._analyse()

    def finish(self) -> Tensor:
        """The clip is over: [F, 12] one-hot, zeros where no pitch is. Nothing can be pushed after it."""
        n_frames = math.ceil(self._heard * self._frame_rate / self._rate - 1e-9)
        while len(self._keys) * _BATCH < n_frames:
            short = self._stretch()[1] - self._first - self._waiting.numel()
            self._waiting = torch.nn.functional.pad(self._waiting, (0, short))
            self._analyse()
        if n_frames == 0:
            return torch.zeros(0, 12)
        keys, level, clarity = (
            torch.cat(found)[:n_frames] for found in (self._keys, self._level, self._clarity)
        )
        heard = (level > _GATE * level.quantile(0.95)) & (clarity > _CLARITY)
        key = _LOWEST + keys / _STEPS
        return _steady(key.round().long() % 12, heard)

    def _starts(self) -> Tensor:
        """Where the windows of the next frames begin, counted in samples that are looked at: [_BATCH]."""
        index = torch.arange(_BATCH, dtype=torch.float64) + len(self._keys) * _BATCH
        middles = ((index + 0.5) * (self._rate / self._step / self._frame_rate)).round().long()
        return middles - self._length // 2

    def _stretch(self) -> tuple[int, int]:
        """The samples that the next frames need: from the first to before the second."""
        starts = self._starts()
        first, last = int(starts[0]), int(starts[-1]) + self._length - 1
        return first * self._step - self._half, last * self._step + self._half + 1

    def _analyse(self) -> None:
        """Look at the next frames, and let go of what no later one needs."""
        starts, (first, end) = self._starts(), self._stretch()
        stretch = self._waiting[first - self._first : end - self._first].clone()
        if self._step > 1:
            stretch = torch.nn.functional.conv1d(
                stretch[None, None], _sinc(self._step, self._half)[None, None], stride=self._step
            )[0, 0]
        pieces = stretch[(starts - starts[0])[:, None] + torch.arange(self._length)] * self._window
        power = torch.fft.rfft(pieces, n=self._n_fft).abs().square() * self._band
        total = power.sum(dim=-1)
        summed = torch.nn.functional.avg_pool1d(power[None], self._lobe, 1, self._lobe // 2)[0]
        near = summed * self._lobe  # harmonics' energy
        salience = near.sqrt()[:, self._candidates].mul(self._weights).sum(dim=-1)  # [frames, candidates]
        best = salience.argmax(dim=-1)
        held = near.gather(1, self._candidates[best]).mul(self._weights[best] > 0).sum(dim=-1)
        self._keys.append(best)
        self._level.append(total.sqrt())
        self._clarity.append(held / total.clamp(min=1e-12))
        done = self._stretch()[0] - self._first
        self._waiting, self._first = self._waiting[done:], self._first + done


def _sinc(step: int, half: int) -> Tensor:
    """The filter before every step-th sample is taken: [2 * half + 1], its sum 1."""
    kernel = torch.sinc(torch.arange(-half, half + 1) * (0.9 / step))
    kernel *= torch.hann_window(2 * half + 1, periodic=False)
    return kernel / kernel.sum()


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
