"""What the shipped codec's encoder looks at: log magnitudes of spectra that end soon after the frame.

Several windows, long to the left and short to the right, so low pitches are resolved and little of the future
is needed: frame f sees samples up to (f + 1) * hop + lookahead. Magnitudes only: the decoder makes its own
phases.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (window length in samples at 32 kHz, share of it that falls off to the right, highest frequency kept in Hz,
# steps a hop)
WINDOWS = ((8192, 0.18, 2200.0, 1), (4096, 0.3, 4200.0, 1), (1024, 0.5, 16000.0, 1), (320, 0.5, 16000.0, 4))


class ToneAnalysis(nn.Module):
    """wave [B, T] -> features [B, ceil(T / hop), size], about -1..1. The left of the stream is silence."""

    def __init__(self, sample_rate: int, hop: int, lookahead: int) -> None:
        super().__init__()
        self.hop, self.lookahead = hop, lookahead
        self.kept: list[tuple[int, int, int]] = []
        for i, (length, tail, highest, steps) in enumerate(WINDOWS):
            window = lopsided_window(length, tail)
            self.register_buffer(f"window{i}", window / window.sum() * 2, persistent=False)
            self.kept.append((length, min(length // 2 + 1, 1 + int(highest * length / sample_rate)), steps))
        self.size = sum(kept * steps for _, kept, steps in self.kept)

    @property
    def memory(self) -> int:
        """Samples to the left of a frame's first one that it may see."""
        return max(length for length, _, _ in self.kept) - self.hop - self.lookahead

    def forward(self, wave: Tensor) -> Tensor:
        n_frames = -(-wave.shape[-1] // self.hop)
        padded = F.pad(wave, (self.memory, n_frames * self.hop - wave.shape[-1] + self.lookahead))
        return self.frames(padded, n_frames)

    def frames(self, padded: Tensor, n_frames: int) -> Tensor:
        """The same with its edges given by the caller.

        padded [B, memory + n_frames * hop + lookahead] -> [B, n_frames, size].
        """
        parts = []
        for i, (length, kept, steps) in enumerate(self.kept):
            step = self.hop // steps
            # a frame's last window ends hop + lookahead after its first sample, each other one a step earlier
            first = self.memory + self.hop + self.lookahead - length - (steps - 1) * step
            rows = padded[:, first : first + (n_frames * steps - 1) * step + length].unfold(-1, length, step)
            magnitude = torch.fft.rfft(rows * self.get_buffer(f"window{i}"), dim=-1)[..., :kept].abs()
            parts.append(
                torch.log10(magnitude + 1e-4).add_(2.5).mul_(0.5).reshape(padded.shape[0], n_frames, -1)
            )
        return torch.cat(parts, dim=-1)


def lopsided_window(length: int, tail: float) -> Tensor:
    """[length]: half a Hann rising over the first 1 - tail of it, half a Hann falling over the rest."""
    peak = round(length * (1.0 - tail))
    rise = 0.5 - 0.5 * torch.cos(math.pi * torch.arange(peak, dtype=torch.float64) / peak)
    fall = 0.5 + 0.5 * torch.cos(math.pi * torch.arange(length - peak, dtype=torch.float64) / (length - peak))
    return torch.cat([rise, fall]).float()
