"""What of a recording may carry a melody: voices and instruments, separated from drums and bass.

Optional: the package demucs and its weights are the user's to install (extra `separation`). The released
melody models were trained on chroma of separated music (audiocraft's ChromaStemConditioner), so a full mix is
followed better with it; a hum or a single line needs none. Knows nothing about models of music.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from descant.model.conditions.clips import clip_for
from descant.model.conditions.prefix_chroma import melody_of_stems
from descant.model.errors import ModelError

RATE, CHANNELS = 44100, 2  # of htdemucs
Separator = Callable[[Tensor], Tensor]  # [2, T] at RATE -> [4, 2, T]: drums, bass, other, vocals


def without_drums_and_bass(clip: Any, separator: Separator | None = None) -> tuple[Tensor, int]:
    """(wave [T] or [C, T], rate) -> (its melodic part [T] at RATE, RATE), to be given as a melody.

    separator: default htdemucs. Raises ModelError for a bad clip, or if demucs is missing.
    """
    mix = clip_for(clip, CHANNELS, RATE)
    stems = (separator or htdemucs())(mix)
    return melody_of_stems(stems), RATE


def htdemucs(name: str = "htdemucs") -> Separator:
    """demucs' pretrained separator, on the CPU. ModelError if the package or its weights are missing."""
    try:
        pretrained: Any = importlib.import_module("demucs.pretrained")
        apply: Any = importlib.import_module("demucs.apply")
        network = pretrained.get_model(name).eval()
    except Exception as error:  # whatever a missing package, file or network raises
        raise ModelError(
            f"Source separation is not ready: {type(error).__name__}: {error}.",
            "A hum or a single line can be given as it is.",
            "Install it with its weights: pip install 'descant[separation]', or leave it out.",
        ) from error

    def separate(mix: Tensor) -> Tensor:
        with torch.inference_mode():
            stems: Tensor = apply.apply_model(network, mix[None], device="cpu")[0]
        return stems

    return separate
