"""The codec's reconstruction loss: linear-frequency magnitudes at several resolutions, one for pitch."""

from __future__ import annotations

import torch
from torch import Tensor

# (transform length, hop, bins kept: None all). The 8192-point one sees only the pitched range, below 2.7 kHz.
RESOLUTIONS = ((256, 128, None), (1024, 320, None), (2048, 640, None), (8192, 1600, 692))


def spectral_loss(reference: Tensor, output: Tensor) -> Tensor:
    """Waves [B, T] -> scalar: L1 of log magnitudes plus relative L1 of magnitudes, averaged."""
    total = reference.new_zeros(())
    for n_fft, hop, kept in RESOLUTIONS:
        window = torch.hann_window(n_fft, device=reference.device)
        window = window / window.sum() * 2
        both = torch.stft(torch.cat([reference, output]), n_fft, hop, window=window, return_complex=True)
        if kept is not None:
            both = both[:, :kept]
        magnitude = (both.real.square() + both.imag.square() + 1e-12).sqrt()
        a, b = magnitude.chunk(2)
        floor = 3e-4 if n_fft < 8192 else 6e-4
        log_part = (torch.log(a + floor) - torch.log(b + floor)).abs().mean()
        linear = ((a - b).abs().mean(dim=(1, 2)) / (a.mean(dim=(1, 2)) + 1e-4)).mean()
        total = total + (log_part + linear) * (2.0 if n_fft == 8192 else 1.0)
    return total / (len(RESOLUTIONS) + 1)
