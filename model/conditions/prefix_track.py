"""What a window of a model hears of a prefix control: its own part of the clip, a stretch at a time.

As audiocraft's extended generation has it: the clip goes on where the window begins, and begins again at its
end. Knows nothing about language models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from descant.model.conditions.prefix_chroma import PrefixChroma
from descant.model.lm.inputs import null_prefix
from descant.model.spec import ControlSpec

if TYPE_CHECKING:
    from descant.model.conditions.controls import Track

STRETCH = 8  # vectors made at once: some milliseconds


@dataclass(frozen=True)
class Place:
    """Where a window lies: it begins at frame `origin` and lasts `window` frames of `frame_rate` a second.

    sample_rate: Hz, the model's. extended: the music is longer than a window; else the reference hears the
    clip once and repeats what it heard, instead of repeating the clip.
    """

    origin: int
    window: int
    frame_rate: float
    sample_rate: int
    extended: bool


def prefix_vectors(track: Track, control: ControlSpec, place: Place) -> Iterator[Tensor]:
    """The control's vectors in that window: stretches [n, dim], `control.length` in all."""
    if track.wave is None and track.frames is None:
        yield from null_prefix(control, 1, torch.zeros(()))[0].split(STRETCH)
        return
    maker = PrefixChroma(n_chroma=control.dim, sample_rate=place.sample_rate)
    into = (place.origin - track.start) / place.frame_rate
    if track.frames is not None:
        shift = round(into * control.length * place.frame_rate / place.window)
        yield from maker.fit(track.frames.roll(-shift, 0), control.length).split(STRETCH)
        return
    assert track.wave is not None
    if not place.extended:
        yield from maker.fit(maker.frames(track.wave, track.rate), control.length).split(STRETCH)
        return
    given, heard = 0, []
    seconds = place.window / place.frame_rate
    for stretch in maker.window_stretches(track.wave, track.rate, into, seconds, STRETCH):
        stretch = stretch[: control.length - given]
        heard.append(stretch)
        given += stretch.shape[0]
        yield stretch
        if given == control.length:
            return
    yield from maker.fit(torch.cat(heard), control.length)[given:].split(STRETCH)
