"""A model's ear, for captured clips: arrays in, chroma out, or word that it follows no melody."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from descant.host.errors import HumError
from descant.host.hum import Chroma, Ear, Listener
from descant.model import MusicModel
from descant.model.conditions.chroma import LineListener
from descant.model.conditions.prefix_listener import PrefixListener


class ArrayListener:
    """A listener of the model's, given arrays."""

    def __init__(self, listener: LineListener | PrefixListener) -> None:
        self._listener = listener

    def push(self, piece: NDArray[np.float32]) -> None:
        """The clip's next samples, mono [n]."""
        self._listener.push(torch.from_numpy(piece))

    def finish(self) -> Chroma:
        """The clip is over: [F, bins], a row for each frame begun."""
        chroma: Chroma = self._listener.finish().numpy()
        return chroma


def ear_of(model: MusicModel) -> Ear:
    """How a model hears clips; one that follows no melody refuses each with a HumError."""

    def listener(rate: int) -> Listener:
        if "melody" not in model.spec.controls:
            raise HumError(
                f"model {model.spec.name} follows no melody",
                "the music goes on without the clip",
                "use a model with a melody control, such as embedded or MusicGen's melody models",
            )
        return ArrayListener(model.melody_listener(rate))

    return listener
