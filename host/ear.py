"""A model's ears, for captured clips: the melody to be followed, the music to be gone on from.

Arrays in; chroma or codes out, or word of what the model cannot do with a clip.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from descant.host.errors import HumError
from descant.host.events import Wave
from descant.host.hum import Chroma, Ear, Listener
from descant.model import ModelError, MusicModel
from descant.model.conditions.chroma import LineListener
from descant.model.conditions.prefix_listener import PrefixListener

LATEST_SECONDS = 8.0  # of a clip that music goes on from: four bars at 120; what lies before has little say

Codes = NDArray[np.int32]  # [K, F]


@dataclass(frozen=True)
class Ears:
    """melody: chroma [F, bins] at the frame rate. music: codes [K, F] of a clip's latest seconds."""

    melody: Ear[Chroma]
    music: Ear[Codes]


class MelodyEar:
    """Hears a melody in a clip."""

    def __init__(self, listener: LineListener | PrefixListener) -> None:
        self._listener = listener

    def push(self, piece: Wave) -> None:
        """The clip's next samples, [C, n]."""
        self._listener.push(torch.from_numpy(piece.mean(axis=0, dtype=np.float64).astype(np.float32)))

    def finish(self) -> Chroma:
        """[F, bins], a row for each frame begun. Errors: HumError where no pitch was heard."""
        chroma: Chroma = self._listener.finish().numpy()
        if not chroma.any():
            raise HumError(
                "no pitch was found in the clip",
                "the music goes on without the clip",
                "hum or sing one clear line, near the microphone",
            )
        return chroma


class MusicEar:
    """Keeps a clip's latest seconds, and encodes them when it is over."""

    def __init__(self, model: MusicModel, rate: int) -> None:
        self._model, self._rate = model, rate
        self._pieces: deque[Wave] = deque()
        window, frame_rate = model.spec.lm.window, model.spec.frame_rate
        seconds = LATEST_SECONDS if window is None else min(LATEST_SECONDS, window / 2 / frame_rate)
        self._most, self._n = round(seconds * rate), 0

    @property
    def kept(self) -> int:
        """Samples kept: those that count, and at most a piece more."""
        return self._n

    def push(self, piece: Wave) -> None:
        """The clip's next samples, [C, n]."""
        self._pieces.append(piece)
        self._n += piece.shape[1]
        while self._n - self._pieces[0].shape[1] >= self._most:
            self._n -= self._pieces.popleft().shape[1]

    def finish(self) -> Codes:
        """[K, F]. Errors: HumError for what the model cannot go on from."""
        wave = np.concatenate(self._pieces, axis=1)[:, -self._most :]
        try:
            codes: Codes = self._model.prompt_codes((wave, self._rate)).numpy().astype(np.int32)
        except ModelError as error:
            raise HumError(error.what, "the music goes on unchanged", error.do) from error
        return codes


def ears_of(model: MusicModel) -> Ears:
    """How a model hears clips; one that follows no melody refuses each with a HumError."""

    def melody(rate: int) -> Listener[Chroma]:
        if "melody" not in model.spec.controls:
            raise HumError(
                f"model {model.spec.name} follows no melody",
                "the music goes on without the clip",
                "use a model with a melody control, such as embedded or MusicGen's melody models",
            )
        return MelodyEar(model.melody_listener(rate))

    def music(rate: int) -> Listener[Codes]:
        return MusicEar(model, rate)

    return Ears(melody, music)
