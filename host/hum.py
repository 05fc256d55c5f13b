"""A captured clip becomes a melody on the bar grid: checked, heard while it comes, looped over whole bars.

Knows nothing about sessions or streams; who hears chroma in it is handed in (the model's own ear).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from descant.host.errors import HumError
from descant.host.events import Capture, Wave
from descant.host.transport import Grid

MAX_CLIP_SECONDS = 600
MIN_CLIP_SECONDS = 0.1
SILENT = 1e-3  # peak below which a clip holds no sound: -60 dB of full scale
MAX_OPEN_CLIPS = 4
LATE_ENDING = Fraction(1, 2)  # beats by which a clip may outlast whole bars before it counts as one bar more

# [F, bins]: a row a frame, 12 pitch classes from C on; zeros where none is heard
Chroma = NDArray[np.float32]


Heard = TypeVar("Heard", covariant=True)


class Listener(Protocol[Heard]):
    """Hears a clip while it comes; what it has heard does not depend on how the clip is cut."""

    def push(self, piece: Wave) -> None:
        """The clip's next samples, [C, n], checked."""

    def finish(self) -> Heard:
        """The clip is over. Errors: HumError when nothing can be made of it."""


Ear = Callable[[int], Listener[Heard]]  # for a clip at so many Hz; HumError where the model has none


@dataclass(frozen=True, eq=False)
class Melody:
    """A melody that repeats over whole bars of song time, whatever the tempo does.

    chroma: [F, bins]. frame_rate: its rows a second at the tempo it was captured at. seconds_per_beat: that
    tempo. start: the song position in beats where its first row lies. beats: length of the loop. Two
    melodies are equal only if they are the same one.
    """

    chroma: Chroma
    frame_rate: float
    seconds_per_beat: float
    start: Fraction
    beats: Fraction

    def at(self, beat: Fraction) -> Chroma:
        """The pitch class sounding at a song position -> [bins] float32, zeros for none."""
        into = float((beat - self.start) % self.beats)
        row = int(into * self.seconds_per_beat * self.frame_rate)
        if row < len(self.chroma):
            found: Chroma = self.chroma[row]
            return found
        return np.zeros(self.chroma.shape[1], np.float32)

    def rows(self, beats: NDArray[np.float64]) -> Chroma:
        """The pitch classes sounding at many song positions -> [n, bins] float32, zeros for none; a new
        array.
        """
        into = (beats - float(self.start)) % float(self.beats)
        row = (into * self.seconds_per_beat * self.frame_rate).astype(np.int64)
        found: Chroma = self.chroma[np.minimum(row, len(self.chroma) - 1)] * (row < len(self.chroma))[:, None]
        return found.astype(np.float32, copy=False)


class ClipReader(Generic[Heard]):
    """Takes the parts of captured clips and has them heard as they come, so that no single part costs much.

    A clip that breaks a rule is forgotten; its later parts are refused quietly until its last one.
    """

    def __init__(self, ear: Ear[Heard]) -> None:
        self._ear = ear
        self._clips: dict[int, _Clip[Heard]] = {}
        self._refused: set[int] = set()

    def add(self, event: Capture) -> Heard | None:
        """Take one part; what was heard in the whole clip when it was the last, else None.

        Errors: HumError (NaN, empty, silent, too long or short, a part missing, rate changed, too many
        clips).
        """
        clip = self._clips.get(event.clip_id)
        if clip is None and event.index > 0 and event.clip_id in self._refused:
            if event.last:
                self._refused.discard(event.clip_id)
            return None
        try:
            if clip is None or event.index == 0:
                clip = self._open(event)
            return self._extend(clip, event)
        except HumError:
            self._clips.pop(event.clip_id, None)
            if not event.last and len(self._refused) < 1000:
                self._refused.add(event.clip_id)
            raise

    def started_at(self, clip_id: int) -> int:
        """The position of a clip's first sample on the timeline."""
        return self._clips[clip_id].at_sample

    def forget(self, clip_id: int) -> None:
        """Drop a clip, finished or not."""
        self._clips.pop(clip_id, None)

    def _open(self, event: Capture) -> _Clip[Heard]:
        self._refused.discard(event.clip_id)
        if event.clip_id not in self._clips and len(self._clips) >= MAX_OPEN_CLIPS:
            raise _refused(
                f"{MAX_OPEN_CLIPS} clips are being recorded already", "finish one of them before the next"
            )
        if not 8000 <= event.sample_rate <= 384000:
            raise _refused(
                f"a clip at {event.sample_rate} Hz cannot be read", "send 8000..384000 samples a second"
            )
        clip = _Clip(event.sample_rate, event.at_sample, self._ear(event.sample_rate))
        self._clips[event.clip_id] = clip
        return clip

    def _extend(self, clip: _Clip[Heard], event: Capture) -> Heard | None:
        if event.index != clip.next_index:
            raise _refused(
                f"part {clip.next_index} of clip {event.clip_id} is missing",
                "send the clip again from its start",
            )
        if event.sample_rate != clip.rate:
            raise _refused(f"clip {event.clip_id} changed its sample rate", "send one clip at one rate")
        part = np.asarray(event.part, np.float32)
        if part.ndim != 2 or part.shape[0] < 1:
            raise _refused(f"a part of shape {part.shape} is no audio", "send parts of [channels, samples]")
        if not np.isfinite(part).all():
            raise _refused("the clip holds values that are not numbers (NaN)", "record it again")
        clip.next_index += 1
        clip.n_samples += part.shape[1]
        if clip.n_samples > MAX_CLIP_SECONDS * clip.rate:
            raise _refused(
                f"the clip is longer than {MAX_CLIP_SECONDS // 60} minutes",
                f"hum for at most {MAX_CLIP_SECONDS // 60} minutes; a few bars are best",
            )
        if part.shape[1]:
            part = np.clip(part, -4.0, 4.0)
            clip.peak = max(clip.peak, float(np.abs(part.mean(axis=0)).max()))
            clip.listener.push(part)
        if not event.last:
            return None
        if clip.n_samples < MIN_CLIP_SECONDS * clip.rate:
            seconds = clip.n_samples / clip.rate
            raise _refused(f"the clip is empty ({seconds:.2f} s)", f"hum for at least {MIN_CLIP_SECONDS} s")
        if clip.peak < SILENT:
            raise _refused("the clip is silent", "check the microphone and its level, and hum again")
        return clip.listener.finish()


def melody_on_grid(
    chroma: Chroma, frame_rate: float, grid: Grid, at_sample: int, captured_at: int | None
) -> Melody:
    """Place a clip so that it starts at sample `at_sample` (a bar line, or any sample) and repeats over
    whole bars.

    captured_at: where it was recorded, to keep its place within the bar; None: its first sample is the start.
    """
    beat_seconds = float(60 / grid.tempo)
    beats = Fraction(len(chroma) / frame_rate / beat_seconds)
    offset = Fraction(0)
    if captured_at is not None:
        offset = (grid.beat_at(captured_at) - grid.origin) % grid.bar_beats
    bars = max(1, math.ceil((offset + beats - LATE_ENDING) / grid.bar_beats))
    start = grid.beat_at(at_sample) + offset
    return Melody(chroma, frame_rate, beat_seconds, start, bars * grid.bar_beats)


class _Clip(Generic[Heard]):
    """One clip under way: what it is, how far it has come, and who hears it."""

    def __init__(self, rate: int, at_sample: int, listener: Listener[Heard]) -> None:
        self.rate, self.at_sample, self.listener = rate, at_sample, listener
        self.next_index = 0
        self.n_samples = 0
        self.peak = 0.0


def _refused(what: str, do: str) -> HumError:
    return HumError(what, "the music goes on without the clip", do)
