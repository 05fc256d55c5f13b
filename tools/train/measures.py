"""Figures by which a codec or a model is judged: log-mel distance, chroma, codebook usage.

Tensors in, numbers out. Waves hold more than half a window: 4096 samples for chroma, 1024 for log-mel.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

CHROMA_WINDOW = 8192


@lru_cache(maxsize=4)
def chroma_bank(sample_rate: int, n_fft: int, lowest: float = 80.0, highest: float = 4200.0) -> Tensor:
    """[12, n_fft // 2 + 1]: spreads each bin's power over the nearest pitch classes (C = 0).

    A Gaussian of 0.3 semitones; bins outside lowest..highest Hz count for nothing.
    """
    hz = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft
    pitch = 69 + 12 * torch.log2(hz.clamp(min=1.0) / 440.0)
    distance = (pitch[None] - torch.arange(12, dtype=torch.float64)[:, None] + 6.0) % 12.0 - 6.0
    bank = torch.exp(-0.5 * (distance / 0.3) ** 2) * ((hz >= lowest) & (hz <= highest))
    return bank.float()


def chroma(wave: Tensor, sample_rate: int, hop: int) -> Tensor:
    """wave [B, T] -> [B, 12, F] L2-normalised pitch-class energy at one frame a hop; silence gives zeros."""
    window = torch.hann_window(CHROMA_WINDOW)
    power = torch.stft(wave, CHROMA_WINDOW, hop, window=window, return_complex=True).abs() ** 2
    energy = chroma_bank(sample_rate, CHROMA_WINDOW) @ power
    return energy / (energy.norm(dim=1, keepdim=True) + 1e-3)


def chroma_agreement(reference: Tensor, output: Tensor, sample_rate: int, hop: int) -> tuple[float, float]:
    """Waves [B, T] -> (mean cosine of their chroma, share of frames with the same dominant class).

    Over frames in which the reference sounds; NaN when it never does.
    """
    a, b = chroma(reference, sample_rate, hop), chroma(output, sample_rate, hop)
    sounds = a.norm(dim=1) > 0.5
    cosine = (a * b).sum(1)[sounds].mean()
    return float(cosine), float((a.argmax(1) == b.argmax(1))[sounds].float().mean())


@lru_cache(maxsize=4)
def mel_bank(sample_rate: int, n_fft: int, n_mels: int = 80) -> Tensor:
    """[n_mels, n_fft // 2 + 1] triangles from 30 Hz to the highest frequency."""
    hz = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft

    def mel(f: Tensor) -> Tensor:
        return 2595.0 * torch.log10(1.0 + f / 700.0)

    edges = torch.linspace(
        float(mel(torch.tensor(30.0))),
        float(mel(torch.tensor(sample_rate / 2.0))),
        n_mels + 2,
        dtype=torch.float64,
    )
    place = mel(hz)[None]
    up = (place - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - place) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(up, down).clamp(min=0.0).float()


def log_mel(wave: Tensor, sample_rate: int, hop: int, n_fft: int = 2048) -> Tensor:
    """wave [B, T] -> [B, 80, F] natural log of mel magnitudes."""
    magnitude = torch.stft(wave, n_fft, hop, window=torch.hann_window(n_fft), return_complex=True).abs()
    return torch.log(mel_bank(sample_rate, n_fft) @ magnitude + 1e-3)


def log_mel_distance(reference: Tensor, output: Tensor, sample_rate: int, hop: int) -> float:
    """Waves [B, T] -> mean absolute difference of their natural-log mels (0.69: a factor of 2)."""
    return float((log_mel(reference, sample_rate, hop) - log_mel(output, sample_rate, hop)).abs().mean())


def codebook_usage(codes: Tensor, cardinality: int) -> list[tuple[int, float]]:
    """codes [B, K, F] -> per codebook (entries used at least once, perplexity of their use)."""
    out = []
    for k in range(codes.shape[1]):
        share = torch.bincount(codes[:, k].reshape(-1), minlength=cardinality).double()
        share = share / share.sum()
        used = share[share > 0]
        out.append((int((share > 0).sum()), math.exp(float(-(used * used.log()).sum()))))
    return out
