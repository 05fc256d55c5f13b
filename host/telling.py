"""What a scene is in a model's own terms: its words, its controls by the frame, and what it hears beforehand.

A control by the frame is a function of the frame's place in the song. What stands before a model's columns (a
prefix: MusicGen's melody, and the words of its melody models) it hears as a whole: a change of it costs up to
a window of columns, so it is told only when it has changed. Knows nothing about schedules or audio.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from descant.host.hum import Melody
from descant.host.schedule import Scene
from descant.host.transport import Grid
from descant.model import ControlSpec, Generator, ModelSpec, TextStates

NEAR = 0.064  # seconds by which a melody heard beforehand may be off its place in the song
DRIFT = 0.002  # of the tempo, over a window of half a minute as much
MAX_ROWS = 1024  # of a table of whole repetitions, to make up for repetitions of a fraction of a row
MAX_TOLD = 64

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Placed:
    """A melody in its place: at `second` of the stream the song is at `beat`, in the stretch `grid`."""

    melody: Melody
    grid: Grid
    beat: Fraction
    second: float

    @property
    def beat_seconds(self) -> float:
        return float(60 / self.grid.tempo)

    @property
    def loop(self) -> tuple[Fraction, Fraction] | None:
        """The transport's loop, if the place is inside."""
        loop = self.grid.loop
        return loop if loop is not None and loop[0] <= self.beat < loop[1] else None

    @property
    def period(self) -> Fraction:
        """Beats after which it is heard again as it was."""
        return self.melody.beats if self.loop is None else self.loop[1] - self.loop[0]

    def continues(self, other: Placed) -> bool:
        """Whether it is, to the ear, what `other` has become by now."""
        if (self.melody, self.loop) != (other.melody, other.loop):
            return False
        if abs(self.beat_seconds / other.beat_seconds - 1) > DRIFT:
            return False
        period = float(self.period)
        passed = (self.second - other.second) / other.beat_seconds
        off = (float(self.beat - other.beat) - passed + period / 2) % period - period / 2
        return abs(off) * self.beat_seconds <= NEAR

    def table(self, control: ControlSpec, rows_a_second: float) -> Floats:
        """What a prefix is made of: [n, bins], as many whole repetitions as fill whole rows best."""
        rows = float(self.period) * self.beat_seconds * rows_a_second  # of one repetition
        counts = range(1, max(1, min(64, int(MAX_ROWS / rows))) + 1)
        best = min(counts, key=lambda count: (round(abs(count * rows - round(count * rows)), 6), count))
        beats = float(self.beat) + np.arange(max(1, round(best * rows))) / (rows_a_second * self.beat_seconds)
        if self.loop is not None:
            start = float(self.loop[0])
            beats = start + (beats - start) % float(self.period)
        table = self.melody.rows(beats)
        if control.null is not None:
            table[~table.any(axis=1), control.null] = 1.0
        return table


class Telling:
    """What one stream is told. spec: of its model. rate: Hz of the client. start: the client's sample where
    frame `zero` of the stream is heard. blend: prompts and their weights as one; None: the weightiest is
    told.
    """

    def __init__(
        self,
        spec: ModelSpec,
        rate: int,
        start: int,
        zero: int,
        blend: Callable[[Mapping[str, float]], TextStates] | None = None,
    ) -> None:
        self._spec, self._start, self._zero = spec, start, zero
        self._frame = Fraction(spec.hop_length * rate, spec.sample_rate)  # client samples in a frame
        self._by_frame = {control.name for control in spec.lm.frame_controls}
        self._reads = spec.lm.text_dim > 0
        self._words_before = self._reads and spec.lm.text_form == "prefix"
        self._blend = None if self._words_before else blend
        self._blended: tuple[tuple[tuple[str, float], ...], TextStates] | None = None  # the latest
        named = (control for control in spec.lm.prefix_controls if control.name == "melody")
        self._melody_before = next(named, None)
        self._told: list[tuple[int, dict[str, Any]]] = []  # what stands before, from which frame on

    def all(self, scene: Scene) -> dict[str, Any]:
        """Everything, for a stream that begins: text and controls by name."""
        self._told.clear()
        return self._given(scene, 0, 0)

    def news(self, scene: Scene, stream: Generator) -> dict[str, Any]:
        """What has to be said to a stream under way, which is to be told all of it now."""
        return self._given(scene, stream.horizon, stream.position)

    def _given(self, scene: Scene, horizon: int, position: int) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if self._reads and not self._words_before:
            given["text"] = self._words(scene)
        for name, function in self._functions(scene).items():
            if name in self._by_frame:
                given[name] = function
        if not self._words_before and self._melody_before is None:
            return given
        before: dict[str, Any] = {"text": self._words(scene)} if self._words_before else {}
        if self._melody_before is not None:
            before["melody"] = self._placed(scene, position)
        held = next((told for frame, told in reversed(self._told) if frame <= horizon), None)
        later = bool(self._told) and self._told[-1][0] > horizon
        self._told = [entry for entry in self._told if entry[0] < horizon][-MAX_TOLD:]
        for name, value in before.items():
            if held is not None and not later and _same(held[name], value):
                before[name] = held[name]
            else:
                given[name] = self._table(value) if isinstance(value, Placed) else value
        self._told.append((horizon, before))
        return given

    def _words(self, scene: Scene) -> str | TextStates | None:
        """The prompt, or the mix of several."""
        if not scene.mix:
            return scene.text
        parts = dict(scene.mix)
        if scene.text:
            parts[scene.text] = parts.get(scene.text, 0.0) + 1.0 - sum(parts.values())
        parts = {text: weight for text, weight in parts.items() if weight > 0}
        if self._blend is None or len(parts) == 1:
            return max(parts, key=lambda text: parts[text])
        key = tuple(parts.items())
        if self._blended is None or self._blended[0] != key:
            self._blended = key, self._blend(parts)
        return self._blended[1]

    def frame_at(self, sample: int) -> int:
        """The stream's first frame that is not heard before a sample; may lie before the stream."""
        return self._zero + -((self._start - sample) // self._frame)

    def _place(self, frame: int) -> Fraction:
        """The client's sample at which a frame of the stream is heard."""
        return self._start + (frame - self._zero) * self._frame

    def _placed(self, scene: Scene, position: int) -> Placed | None:
        """The melody that is to be heard from frame `position` on. It is there or not, nothing between."""
        if scene.melody is None or scene.melody_level < 0.5:
            return None
        at = self._place(position)
        grid = scene.timeline.at(at)
        return Placed(scene.melody, grid, grid.beat_at(at), position / self._spec.frame_rate)

    def _table(self, placed: Placed) -> Floats:
        control, lm = self._melody_before, self._spec.lm
        assert control is not None
        return placed.table(control, control.length * self._spec.frame_rate / (lm.window or control.length))

    def _functions(self, scene: Scene) -> dict[str, Callable[[int], Floats] | None]:
        """The controls of a scene by the frame; None for what is absent."""
        timeline, melody = scene.timeline, scene.melody

        def melody_at(frame: int) -> Floats:
            assert melody is not None
            return melody.at(timeline.beat_at(self._place(frame))) * np.float32(scene.melody_level)

        def chords_at(frame: int) -> Floats:
            return chord_at(scene, self._place(frame))

        def beat_at(frame: int) -> Floats:
            beat, bar = timeline.phases(self._place(frame))
            turns = [part(math.tau * phase) for phase in (beat, bar) for part in (math.cos, math.sin)]
            return np.array(turns, np.float32) * np.float32(scene.beat_level)

        return {
            "melody": melody_at if melody is not None and scene.melody_level else None,
            "chords": chords_at if (scene.chords or scene.progression) and scene.chords_level else None,
            "beat": beat_at if scene.beat_level else None,
        }


def chord_at(scene: Scene, sample: Fraction | int) -> Floats:
    """The chords control at a sample: [12] float32, chords_level for each pitch class, zeros for no chord.

    What is held goes before what the progression says of the bar.
    """
    classes = scene.chords
    if not classes and scene.progression is not None:
        # A bar line lies at the sample nearest to it, so the bar has begun half a sample early at most.
        classes = scene.progression.at(scene.timeline.bar_at(sample + Fraction(1, 2)))
    control = np.zeros(12, np.float32)
    control[list(classes)] = scene.chords_level
    return control


def _same(held: Any, value: Any) -> bool:
    if isinstance(held, Placed) and isinstance(value, Placed):
        return value.continues(held)
    return type(held) is type(value) and bool(held == value)
