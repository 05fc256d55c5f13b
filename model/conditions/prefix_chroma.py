"""The melody as MusicGen's melody models are given it: the loudest pitch class of each eighth of a second.

They hear a clip as a row of one-hot vectors that stands before the token columns: 30 s are 235 of them.
Unlike chroma.py's, these frames are the reference's own, slips included (audiocraft modules/chroma.py and
conditioners.py, and Hugging Face's MusicgenMelodyFeatureExtractor). Knows nothing about models and files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from descant.model.conditions.chroma import check_wave
from descant.model.conditions.sinc import resampled
from descant.model.errors import ModelError

_A0 = 27.5  # Hz, octave 0 of the filter bank
_CENTRE, _WIDTH = 5.0, 2.0  # octaves above it: where the bank weighs most, and how far around
_TINY = 1e-6  # what a quiet frame's chroma is at least divided by
_BATCH = 256  # spectra at once
_KEPT_STEMS = (3, 2)  # of drums, bass, other, vocals: the two that may carry a melody


@dataclass(frozen=True)
class PrefixChroma:
    """Immutable numbers of one chromagram; the defaults are those of all released melody models.

    n_chroma: pitch classes, 12 from C on (fewer than 12 begin at A, as the reference has it). n_fft: samples
    of a spectrum, even. hop: samples from one to the next. sample_rate: Hz.
    """

    n_chroma: int = 12
    n_fft: int = 16384
    hop: int = 4096
    sample_rate: int = 32000

    def __post_init__(self) -> None:
        for name, low, high in (
            ("n_chroma", 1, 256),
            ("n_fft", 16, 1 << 20),
            ("hop", 1, 1 << 20),
            ("sample_rate", 4000, 384000),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise _bad_number(name, value, f"whole numbers from {low} to {high}")
        if self.n_fft % 2:
            raise _bad_number("n_fft", self.n_fft, "even numbers")

    def frames(self, wave: Any, rate: float) -> Tensor:
        """The loudest pitch class around each hop: [F, n_chroma] one-hot float32, F = 1 + samples // hop.

        wave: [T] or [C, T], -1..1, at `rate` Hz; see check_wave for what is refused. A clip shorter than
        n_fft samples is padded to that with silence, evenly on both sides. A silent frame counts as bin 0.
        Hugging Face hears 30 s of a longer clip, audiocraft all of it: cut it first for the former.
        """
        return torch.cat(list(self._loudest(self.mono(wave, rate), _BATCH)))

    def mono(self, wave: Any, rate: float) -> Tensor:
        """A checked clip as [T] float32 at sample_rate: `frames` and `window` take it without more ado."""
        return resampled(*check_wave(wave, rate), self.sample_rate)

    def fit(self, frames: Tensor, length: int) -> Tensor:
        """[F, n_chroma] -> [length, n_chroma]: cut, or repeated from the start as often as needed."""
        if frames.dim() != 2 or frames.shape[0] < 1 or frames.shape[1] != self.n_chroma:
            raise ModelError(
                f"Melody frames of shape {tuple(frames.shape)} were given; allowed: [F, {self.n_chroma}].",
                "The melody in use is unchanged.",
                "Give the result of `frames`.",
            )
        return frames[torch.arange(_checked_length(length)) % frames.shape[0]]

    def null(self, length: int) -> Tensor:
        """What stands for no melody: [length, n_chroma], bin 0 everywhere, as the reference hears silence."""
        silence = torch.zeros(_checked_length(length), self.n_chroma)
        silence[:, 0] = 1.0
        return silence

    def window(
        self, wave: Any, rate: float, start_seconds: float, seconds: float = 30.0, length: int | None = None
    ) -> Tensor:
        """What a window that begins `start_seconds` into the music is given: [length, n_chroma].

        The clip is repeated sample after sample, without end and also before its start, and a full window of
        `seconds` is cut from it (as audiocraft's generation beyond 30 s does for every window). length:
        default all frames of that.
        """
        frames = torch.cat(list(self.window_stretches(wave, rate, start_seconds, seconds, _BATCH)))
        return frames if length is None else self.fit(frames, length)

    def window_stretches(
        self, wave: Any, rate: float, start_seconds: float, seconds: float, at_once: int
    ) -> Iterator[Tensor]:
        """What `window` gives, [n, n_chroma] at a time, n up to `at_once`, each made when it is asked for."""
        mono = self.mono(wave, rate)
        samples = math.floor(seconds * self.sample_rate) if 0 < seconds <= 3600 else 0
        if samples < 1 or not math.isfinite(start_seconds):
            raise ModelError(
                f"A window of {seconds!r} s from {start_seconds!r} s on was asked for; "
                "allowed: up to 3600 s, from any time.",
                "The melody in use is unchanged.",
                "Give the seconds of the model's window.",
            )
        places = torch.arange(samples) + math.floor(start_seconds * self.sample_rate) % mono.numel()
        yield from self._loudest(mono[places % mono.numel()], at_once)

    def _loudest(self, mono: Tensor, at_once: int) -> Iterator[Tensor]:
        """[T] at sample_rate -> [F, n_chroma] one-hot, `at_once` frames at a time."""
        missing = max(0, self.n_fft - mono.numel())
        mono = torch.nn.functional.pad(mono, (missing // 2, missing - missing // 2))
        n_frames = 1 + mono.numel() // self.hop
        padded = torch.nn.functional.pad(mono[None], (self.n_fft // 2, self.n_fft // 2), mode="reflect")[0]
        for first in range(0, n_frames, at_once):
            last = min(first + at_once, n_frames) - 1
            yield self.loudest(padded[first * self.hop : last * self.hop + self.n_fft])

    def loudest(self, piece: Tensor) -> Tensor:
        """[(F - 1) * hop + n_fft] at sample_rate, each frame about its window's middle -> [F, n_chroma]."""
        window = torch.hann_window(self.n_fft)
        spectra = torch.stft(piece, self.n_fft, self.hop, window=window, center=False, return_complex=True)
        bank = filter_bank(self.n_chroma, self.n_fft, self.sample_rate)
        chroma = bank @ (spectra / window.pow(2).sum().sqrt()).abs().square()  # [n_chroma, frames]
        chroma = torch.nn.functional.normalize(chroma, p=math.inf, dim=0, eps=_TINY)
        return torch.nn.functional.one_hot(chroma.T.argmax(dim=-1), self.n_chroma).float()


def melody_of_stems(stems: Tensor) -> Tensor:
    """Separated stems [stems, C, T] -> [T]: vocals and "other" together, without drums and bass.

    stems: in the order of Demucs, drums, bass, other, vocals; at any rate, which stays. The result is for
    `PrefixChroma.frames`; the released models were trained on it, and a clip with drums follows better so.
    """
    if stems.dim() != 3 or stems.shape[0] <= max(_KEPT_STEMS) or stems.shape[1] < 1:
        raise ModelError(
            f"Stems of shape {tuple(stems.shape)} were given; allowed: [stems, C, T], 4 stems or more.",
            "The melody in use is unchanged.",
            "Give what the separator returns for one clip, or the clip itself without separation.",
        )
    return stems[list(_KEPT_STEMS)].sum(dim=0).mean(dim=0)


@lru_cache(maxsize=8)
def filter_bank(n_chroma: int, n_fft: int, sample_rate: int) -> Tensor:
    """How much each bin of a power spectrum counts for each pitch class: [n_chroma, n_fft / 2 + 1] float32.

    Gaussian bumps around the pitch class of the bin's frequency, as wide as a semitone (n_chroma to the
    octave) or as the bin; every bin's bumps scaled to unit length, then weighed by a bell over the octaves.
    Not to be changed. (librosa.filters.chroma with tuning 0.)
    """
    hertz = torch.arange(1, n_fft, dtype=torch.float64) * (sample_rate / n_fft)
    pitch = n_chroma * torch.log2(hertz / _A0)  # in pitch classes above A0
    pitch = torch.cat(
        [pitch[:1] - 1.5 * n_chroma, pitch]
    )  # 0 Hz has none: an octave and a half below the first
    width = torch.cat([pitch.diff().clamp(min=1.0), torch.ones(1, dtype=torch.float64)])
    half = round(n_chroma / 2)
    away = pitch - torch.arange(n_chroma, dtype=torch.float64)[:, None]
    away = torch.remainder(away + half + 10 * n_chroma, n_chroma) - half
    bumps = torch.exp(-0.5 * (2 * away / width) ** 2)
    bumps /= bumps.square().sum(dim=0).sqrt()
    bumps *= torch.exp(-0.5 * ((pitch / n_chroma - _CENTRE) / _WIDTH) ** 2)
    from_c = bumps.roll(-3 * (n_chroma // 12), dims=0)
    return from_c[:, : n_fft // 2 + 1].float().contiguous()


def _checked_length(length: int) -> int:
    if not isinstance(length, int) or isinstance(length, bool) or not 1 <= length <= 1_000_000:
        raise _bad_number("The prefix's length", length, "1 to 1000000 vectors")
    return length


def _bad_number(name: str, value: object, allowed: str) -> ModelError:
    return ModelError(
        f"{name} is {value!r}; allowed: {allowed}.",
        "The melody in use is unchanged.",
        "Take the model's own numbers; the released models have 12, 16384, 4096, 32000 and 235 vectors.",
    )
