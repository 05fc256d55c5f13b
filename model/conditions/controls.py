"""Frame controls as a performance gives them: clips, frame vectors or functions of the frame, as tracks.

Knows nothing about language models. A track answers one question: which vector holds at frame f?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descant.model.conditions.chroma import check_wave, melody_frames
from descant.model.conditions.prefix_track import Place, prefix_vectors
from descant.model.errors import ModelError
from descant.model.spec import ControlSpec

FrameFunction = Callable[[int], Tensor | Sequence[float]]
_MAX_FRAMES = 1_000_000


@dataclass(frozen=True, eq=False)
class Track:
    """frames: [F, dim] float32, the first one at frame `start`. loop: cycled after its end, else zeros
    (absent).

    function: asked instead, frame index -> vector of dim numbers. Neither: absent (zeros everywhere).
    Before `start` a track is absent. Of a prefix control: frames lie at the prefix's own rate; wave [T] at
    `rate` Hz instead of them, for each window of the model hears its own part of it, cyclically, also before
    `start`.
    """

    frames: Tensor | None = None
    start: int = 0
    loop: bool = True
    function: FrameFunction | None = None
    wave: Tensor | None = None
    rate: float = 0.0

    def vector(self, frame: int, spec: ControlSpec) -> Tensor:
        """What holds at `frame`: [dim] float32, not to be changed. ModelError if a function's is bad."""
        if self.function is not None:
            return checked_vector(self.function(frame), spec, frame)
        index = frame - self.start
        if self.frames is not None and index >= 0:
            if self.loop:
                return self.frames[index % self.frames.shape[0]]
            if index < self.frames.shape[0]:
                return self.frames[index]
        return torch.zeros(spec.dim)


def checked_vector(value: Tensor | Sequence[float], spec: ControlSpec, frame: int) -> Tensor:
    """[dim] finite float32, or ModelError naming the control and the frame."""
    try:
        vector = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _bad(spec, f"at frame {frame} is no vector: {error}") from error
    if vector.shape != (spec.dim,) or not bool(torch.isfinite(vector).all()):
        raise _bad(spec, f"at frame {frame} is {vector.tolist()}")
    return vector


def control_frames(spec: ControlSpec, value: Any, frame_rate: float) -> Tensor:
    """A control's value as vectors: [F, dim] float32, F >= 1. Raises ModelError.

    value: [F, dim] tensor, array or nested sequence of finite numbers; for a control named "melody" of 12
    pitch classes also (wave, sample_rate), see chroma.melody_frames.
    """
    if (
        spec.name == "melody"
        and spec.form == "frame"
        and spec.dim == 12
        and isinstance(value, tuple)
        and len(value) == 2
    ):
        return melody_frames(value[0], value[1], frame_rate)
    try:
        frames = torch.as_tensor(value).detach().to(torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _bad(spec, f"is not a table of numbers: {error}") from error
    if frames.dim() != 2 or frames.shape[1] != spec.dim or not 1 <= frames.shape[0] <= _MAX_FRAMES:
        raise _bad(spec, f"has shape {tuple(frames.shape)}")
    if not bool(torch.isfinite(frames).all()):
        raise _bad(spec, "holds values that are not numbers (NaN or infinite)")
    return frames


def make_track(spec: ControlSpec, value: Any, frame_rate: float, start: int, loop: bool) -> Track:
    """A control's value as a track that begins at frame `start`; None: absent. Raises ModelError."""
    if value is None:
        return Track()
    if spec.form == "prefix":
        if isinstance(value, tuple) and len(value) == 2:
            mono, rate = check_wave(value[0], value[1])
            return Track(start=start, wave=mono.clone(), rate=rate)
        if callable(value):
            raise _bad(spec, "was given as a function, but this model hears a whole window at once")
    if callable(value):
        return Track(function=value)
    return Track(control_frames(spec, value, frame_rate), start, loop)


def batch_controls(
    specs: Sequence[ControlSpec],
    values: Mapping[str, Any],
    batch: int,
    frame_rate: float,
    sample_rate: int = 32000,
) -> dict[str, Tensor]:
    """Controls as the language model takes them: name -> [batch, F, dim]; one value serves all rows.

    values: as control_frames takes them, or [batch, F, dim] tensors; None: left out. Names are checked by the
    caller.
    """
    result: dict[str, Tensor] = {}
    for spec in specs:
        value = values.get(spec.name)
        if value is None:
            continue
        if spec.form == "prefix" and not (isinstance(value, Tensor) and value.dim() == 3):
            track = make_track(spec, value, frame_rate, 0, True)
            place = Place(0, spec.length, frame_rate, sample_rate, extended=False)
            result[spec.name] = torch.cat(list(prefix_vectors(track, spec, place))).expand(batch, -1, -1)
            continue
        if isinstance(value, Tensor) and value.dim() == 3:
            if value.shape[0] not in (1, batch):
                raise _bad(spec, f"has {value.shape[0]} rows instead of {batch}")
            result[spec.name] = torch.stack(
                [control_frames(spec, row, frame_rate) for row in value.expand(batch, -1, -1)]
            )
        else:
            result[spec.name] = control_frames(spec, value, frame_rate).expand(batch, -1, -1)
    return result


def _bad(spec: ControlSpec, problem: str) -> ModelError:
    clip = " or (wave, sample_rate)" if spec.name == "melody" else ""
    return ModelError(
        f"Control {spec.name!r} {problem}; allowed: vectors of {spec.dim} finite numbers, one a frame.",
        "The control in use is unchanged.",
        f"Give [frames, {spec.dim}] numbers{clip}, or None for absent.",
    )
