"""Recorded audio as a model takes it: checked, in its channels, at its rate.

Knows nothing about what the audio is for.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from descant.model.conditions.sinc import resampled
from descant.model.errors import ModelError

MAX_SECONDS = 600.0


def clip_for(clip: Any, channels: int, sample_rate: int) -> Tensor:
    """(wave [T] or [C, T], rate in Hz) as [channels, n] float32 at sample_rate. Raises ModelError.

    One channel serves all of several; several are averaged into one. rate: 4000 .. 384000.
    """
    still, do = "Nothing was started.", f"Give (wave, sample_rate) of up to {MAX_SECONDS / 60:.0f} minutes."
    if not isinstance(clip, tuple) or len(clip) != 2:
        raise ModelError(f"The audio is a {type(clip).__name__}; allowed: (wave, sample_rate).", still, do)
    rate = clip[1]
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 4000 <= rate <= 384000:
        raise ModelError(f"The audio's sample rate is {rate!r}; allowed: 4000 to 384000 Hz.", still, do)
    try:
        wave = torch.as_tensor(clip[0]).detach().to(torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"The audio is no wave: {error}.", still, do) from error
    wave = wave[None] if wave.dim() == 1 else wave
    if wave.dim() != 2 or wave.numel() == 0 or wave.shape[1] > MAX_SECONDS * rate:
        raise ModelError(
            f"The audio has shape {tuple(wave.shape)} at {rate:g} Hz; "
            f"allowed: [T] or [C, T] of up to {MAX_SECONDS:.0f} s.",
            still,
            do,
        )
    if not bool(torch.isfinite(wave).all()):
        raise ModelError("The audio holds values that are not numbers (NaN or infinite).", still, do)
    if wave.shape[0] != channels:
        wave = wave.mean(dim=0, keepdim=True).expand(channels, -1)
    if rate == sample_rate:
        return wave
    return torch.stack([resampled(channel, float(rate), sample_rate) for channel in wave])
