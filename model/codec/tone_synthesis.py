"""How decoder features become samples: tones at musical pitches, shaped noise and transients, overlap-added.

Each frame makes one windowed stretch of 2 hops; stretches overlap by one hop. A tone's carrier runs on in
phase over the whole stream (its phase is a function of the frame's index alone), so a steady note is a steady
output of the network and cannot smear in pitch; magnitudes-only losses and few codes are then enough. Noise
is drawn from a fixed table by frame index: the same stream always has the same noise. After Engel et al.,
DDSP (arXiv 2001.04643), for harmonic plus noise, and Siuzdak, Vocos (arXiv 2306.00814), for the inverse-STFT
head (the transients here).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from descant.model.codec.wide_linear import WideLinear

NOISE_TABLE_FRAMES = 256
SUB_FRAMES = 4  # noise gains a frame, for sharp attacks


class ToneSynthesis(nn.Module):
    """[B, F, width] features of F frames -> [B, F, 2 * hop] windowed stretches, to be overlap-added at hop.

    n_tones bins, tones_per_octave of them an octave upwards from lowest Hz; noise_bands mel-spaced noise
    gains for each quarter of a frame; hop + 1 transient bins. Stretch f starts hop / 2 samples before frame
    f.
    """

    carriers: Tensor
    basis: Tensor
    window: Tensor
    noise: Tensor
    bands: Tensor
    noise_window: Tensor

    def __init__(
        self,
        width: int,
        sample_rate: int,
        hop: int,
        n_tones: int,
        tones_per_octave: int,
        lowest: float,
        noise_bands: int,
    ) -> None:
        super().__init__()
        self.hop, self.n_tones, self.noise_bands = hop, n_tones, noise_bands
        self.sizes = (n_tones, n_tones, SUB_FRAMES * noise_bands, hop + 1, hop + 1)
        self.head = WideLinear(width, sum(self.sizes))
        with torch.no_grad():
            self.head.weight.mul_(0.3)
            tone, _, noise, transient, _ = self.head.bias.split(self.sizes)
            for part, level in ((tone, -6.0), (noise, -4.0), (transient, -6.0)):
                part.fill_(level)
        frequency = lowest * 2.0 ** (torch.arange(n_tones, dtype=torch.float64) / tones_per_octave)
        cycles = frequency / sample_rate
        n = 2 * hop
        t = torch.arange(n, dtype=torch.float64) - n / 2
        window = 0.5 + 0.5 * torch.cos(2 * math.pi * t / n)  # Hann, sums to 1 at half overlap
        angle = 2 * math.pi * cycles[:, None] * t
        self.register_buffer("carriers", cycles * hop, persistent=False)  # cycles a frame, float64
        self.register_buffer(
            "basis", torch.cat([torch.cos(angle), -torch.sin(angle)]).mul(window).float(), persistent=False
        )
        self.register_buffer("window", window.float(), persistent=False)
        sub = hop // SUB_FRAMES
        draw = torch.Generator().manual_seed(20260101)
        noise_bins = sub + 1
        table = torch.randn(NOISE_TABLE_FRAMES, SUB_FRAMES, noise_bins, 2, generator=draw) * math.sqrt(sub)
        self.register_buffer("noise", torch.view_as_complex(table), persistent=False)
        self.register_buffer(
            "bands", mel_interpolation(noise_bands, noise_bins, sample_rate), persistent=False
        )
        t = torch.arange(2 * sub, dtype=torch.float64) - sub
        self.register_buffer(
            "noise_window", (0.5 + 0.5 * torch.cos(math.pi * t / sub)).sqrt().float(), persistent=False
        )

    def forward(self, features: Tensor, first_frame: int) -> Tensor:
        """features [B, F, width] of frames first_frame, first_frame + 1, ... -> stretches [B, F, 2 * hop]."""
        return self.render(self.head(features), first_frame)

    def render(self, head: Tensor, first_frame: int) -> Tensor:
        """What the head says of frames first_frame, ... [B, F, sum of sizes] -> stretches [B, F, 2 * hop]."""
        tone_level, tone_phase, noise_level, level, phase = head.float().split(self.sizes, dim=-1)
        index = torch.arange(first_frame, first_frame + head.shape[1], device=head.device)
        # waves need all their bits, in training too
        with torch.autocast(head.device.type, enabled=False):
            tones, transients = self._tones(tone_level, tone_phase, index), self._transients(level, phase)
            return tones + transients + self._noise(noise_level, index)

    def _tones(self, level: Tensor, phase: Tensor, index: Tensor) -> Tensor:
        turn = torch.remainder(index[:, None].double() * self.carriers, 1.0)  # exact for any length of stream
        angle = phase + (2 * math.pi * turn).to(phase.dtype)
        amplitude = torch.exp(level.clamp(max=3.0))
        return torch.cat([amplitude * torch.cos(angle), amplitude * torch.sin(angle)], dim=-1) @ self.basis

    def _transients(self, level: Tensor, phase: Tensor) -> Tensor:
        amplitude = torch.exp(level.clamp(max=6.0))
        spectrum = torch.complex(amplitude * torch.cos(phase), amplitude * torch.sin(phase))
        pulse: Tensor = torch.fft.irfft(spectrum, n=2 * self.hop, dim=-1).roll(self.hop, dims=-1)
        return pulse * self.window

    def _noise(self, level: Tensor, index: Tensor) -> Tensor:
        batch, n_frames, _ = level.shape
        gain = torch.exp(level.clamp(max=4.0)).view(batch, n_frames, SUB_FRAMES, self.noise_bands)
        spectrum = self.noise[index % NOISE_TABLE_FRAMES] * (gain @ self.bands)
        sub = self.hop // SUB_FRAMES
        pieces: Tensor = torch.fft.irfft(spectrum, n=2 * sub, dim=-1) * self.noise_window
        out = pieces.new_zeros(batch, n_frames, 2 * self.hop)
        start = self.hop // 2 - sub // 2
        for first in (0, 1):  # pieces overlap by half: every second one is a neighbour
            row = pieces[:, :, first::2].flatten(-2)
            out.narrow(-1, start + first * sub, row.shape[-1]).add_(row)
        return out


def mel_interpolation(n_bands: int, n_bins: int, sample_rate: int) -> Tensor:
    """[n_bands, n_bins]: triangles on the mel scale, columns sum to 1; spreads band gains over bins."""
    mel = 2595.0 * torch.log10(1.0 + torch.linspace(0, sample_rate / 2, n_bins, dtype=torch.float64) / 700.0)
    place = mel / mel[-1] * (n_bands - 1)
    distance = (place[None] - torch.arange(n_bands, dtype=torch.float64)[:, None]).abs()
    return (1.0 - distance).clamp(min=0.0).float()
