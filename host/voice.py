"""One stream of one session: a generator whose first sample lies exactly on a sample of the client's
timeline.

It follows the schedule frame by frame, goes back when the schedule has changed under it, and keeps what it
made so that any stretch of it can be rendered again at the client's rate. Knows nothing about other streams,
epochs or clients.

Letters: C channels, n samples, F frames. Positions are the client's samples unless called codec samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from descant.host.events import Wave
from descant.host.ladder import EVERY, UNGUIDED
from descant.host.resample import Resampler
from descant.host.schedule import Scene, Schedule, rows_of
from descant.host.telling import Telling
from descant.model import Form, Generator, MusicModel, Sampling
from descant.model.work import Work

MAX_REWIND = 128  # frames a stream can go back
GUIDED: dict[int, bool | Literal["double"]] = {1: False, 2: True, 3: "double"}  # rows -> the model's word


@dataclass(frozen=True)
class Begin:
    """Other music that a stream begins with, and goes on from. codes: [K, F]. sounds: it is heard first; else
    the stream's own music is at once."""

    codes: Tensor
    sounds: bool


class Voice:
    """A stream that starts at `start`.

    end: the first sample it no longer belongs to (edits from there on are not its own), None while it is the
    last. fade_in, fade_out: samples over which it rises from start and falls from end.
    rows: of guidance that will be wanted, see schedule.rows_of; where more are wanted all the same, the
    stream is begun so, or made so on its way. going_on: a stream to carry on instead of beginning a new one;
    its next frame is heard at start. begin: other music that it goes on from.
    two_step: rows run one after the other. deaf: guidance was wanted that this stream cannot be given
    any more; others go on.
    """

    def __init__(
        self,
        model: MusicModel,
        resampler: Resampler,
        start: int,
        seed: int,
        rows: int = 2,
        going_on: Generator | None = None,
        begin: Begin | None = None,
        two_step: bool = False,
    ) -> None:
        self.start = start
        self.end: int | None = None
        self.fade_in = 0
        self.fade_out = 0
        self.deaf = False
        self.prompt = b""  # of the cue that began it
        self._model = model
        self._seed = seed
        self._rows, self._two_step = rows, two_step
        self._resampler = resampler
        codec = model.spec.codec
        self._hop, self._ahead, self._lookahead = codec.hop_length, codec.lookahead_frames, codec.lookahead
        self._generator, self._begin = going_on, begin
        unheard = begin.codes.shape[-1] if begin is not None and not begin.sounds else 0
        self._zero = going_on.position if going_on is not None else unheard  # the frame heard at `start`
        self._again = going_on is None or self._zero == 0  # whether it can be begun again
        self._telling = Telling(model.spec, resampler.target_rate, start, self._zero, model.blend)
        self._given: Scene | None = None  # what the generator follows now; None: it must be told
        self._used: list[tuple[int, Scene]] = []  # from which frame on which scene was followed
        self._audio = np.zeros((codec.channels, 2 * (MAX_REWIND + 16) * self._hop), np.float32)
        self._first = 0  # codec sample at _audio[:, 0], counted from `start`
        self._made = 0  # codec samples 0.._made-1 exist

    @property
    def generator(self) -> Generator | None:
        """The stream itself, None before its first frame."""
        return self._generator

    @property
    def ready(self) -> int:
        """The first sample that cannot be rendered yet."""
        return self.start + self._resampler.ready(self._made)

    @property
    def tail_end(self) -> int | None:
        """The first sample at which it is silent for good, None while it has no end."""
        return None if self.end is None else self.end + self.fade_out

    @property
    def oldest_changeable(self) -> int:
        """The first sample that it can still go back to."""
        return self.touched(self._oldest_frame())

    def touched(self, frame: int) -> int:
        """The first sample that the tokens of a frame (counted from the one heard at start) can change."""
        return self.start + self._resampler.first_touched(frame * self._hop - self._lookahead)

    def frame_of(self, sample: int) -> int:
        """The first frame that changes nothing before a sample; the frames decided together at the start are
        one.
        """
        if sample <= self.start:
            return 0
        codec_sample = (sample - self.start) * self._resampler.source_rate // self._resampler.target_rate
        frame = max(self._ahead + 1, codec_sample // self._hop - 1)
        while self.touched(frame) < sample:
            frame += 1
        return frame

    @property
    def undecided(self) -> int:
        """The first sample that no frame made so far has touched: a change from here on costs nothing."""
        return self.touched(self._undetermined())

    def advance(self, schedule: Schedule) -> Work[None]:
        """Make one frame of audio, under the scene that holds there."""
        frame = self._undetermined()
        scene = self._scene(schedule, frame)
        if self._generator is None:
            self._generator = self._open(scene)
        elif scene != self._given:
            if self._given is not None:
                self._generator.rewind(
                    0
                )  # what is only half decided is decided anew, as after any other rewind
            self._tell(self._generator, scene)
        self._given = scene
        if not self._used or self._used[-1][1] != scene:
            self._used.append((frame, scene))
            if len(self._used) > 2 * MAX_REWIND:
                del self._used[:MAX_REWIND]
        wave = yield from self._generator.stepping()
        self._append((self._generator.position - 1 - self._zero) * self._hop, wave.detach().cpu().numpy())

    def reconcile(self, schedule: Schedule) -> int | None:
        """Go back to the first frame that was made under another scene than the schedule now says.

        Result: the first sample that will change, None if nothing does.
        """
        if not self._used or (self.end is not None and self.end <= schedule.known_from):
            return None
        oldest = max(self._oldest_frame(), self.frame_of(schedule.known_from))
        settled = self.touched(self._undetermined())
        edges = [edit.at_sample for edit in schedule.edits if edit.at_sample <= settled]
        if self.end is not None:
            edges.append(self.end)
        frames = {oldest, *(frame for frame, _ in self._used), *map(self.frame_of, edges)}
        for frame in sorted(frames):
            if oldest <= frame < self._undetermined() and self._scene(schedule, frame) != self._scene_used(
                frame
            ):
                self._go_back(frame)
                return self.touched(frame)
        return None

    def gone_back(self, heard: int) -> Generator | None:
        """Its stream, gone back as far as it can to what is heard at a sample, for another to carry on.

        The voice itself is of no more use.
        """
        stream = self._generator
        if stream is None:
            return None
        codec_sample = max(0, heard - self.start) * self._resampler.source_rate // self._resampler.target_rate
        back = stream.position - self._zero - codec_sample // self._hop
        stream.rewind(min(max(0, back), stream.position - stream.earliest))
        return stream

    def render(self, first: int, end: int) -> Wave:
        """Its samples first..end-1 with its fades: [C, end - first] float32. Needs start <= first, end <=
        ready.
        """
        keep = self._resampler.needed(first - self.start)
        source = self._audio[:, keep - self._first : self._made - self._first]
        wave = self._resampler.render(source, keep, first - self.start, end - self.start)
        if self.fade_in:
            _fade(wave, first, self.start, fade_table(self.fade_in))
        if self.end is not None:
            _fade(wave, first, self.end, fade_table(self.fade_out)[::-1])
            wave[:, max(0, self.end + self.fade_out - first) :] = 0.0
        return wave

    def _undetermined(self) -> int:
        """The first frame whose tokens are not settled, once those that are half decided are set free."""
        if self._generator is None or (self._again and self._generator.position == self._zero):
            return 0
        return self._generator.position - self._zero + self._ahead

    def _oldest_frame(self) -> int:
        """The first frame that can still be decided anew; of a stream carried on, none of another's."""
        if self._generator is None:
            return 0
        oldest = max(self._generator.earliest, self._zero) - self._zero
        return 0 if oldest == 0 and self._again else oldest + self._ahead

    def _scene(self, schedule: Schedule, frame: int) -> Scene:
        sample = self.start if frame <= self._ahead else self.touched(frame)
        return schedule.scene(sample if self.end is None else min(sample, self.end - 1))

    def _scene_used(self, frame: int) -> Scene | None:
        found = None
        for first, scene in self._used:
            if first > frame:
                break
            found = scene
        return found

    def _go_back(self, frame: int) -> None:
        """Let the tokens of `frame` and later be chosen anew; what sounds before them stays."""
        assert self._generator is not None
        position = frame - self._ahead + self._zero
        if position <= self._zero and self._again:
            self._generator = None
            self._made = self._first = 0
            self._used.clear()
        else:
            self._generator.rewind(self._generator.position - position)
            self._made = min(self._made, max(0, frame * self._hop - self._lookahead))
            self._used = [(first, scene) for first, scene in self._used if first < frame]
        self._given = None

    def _append(self, at: int, wave: NDArray[np.float32]) -> None:
        """Add codec samples [C, n] that start at codec sample `at`; those that exist already stay as they
        are.
        """
        new = wave[:, self._made - at :]
        if self._made - self._first + new.shape[1] > self._audio.shape[1]:
            drop = self._made - (MAX_REWIND + 8) * self._hop - self._first
            kept = self._made - self._first - drop
            self._audio[:, :kept] = self._audio[:, drop : drop + kept].copy()
            self._first += drop
        place = self._made - self._first
        self._audio[:, place : place + new.shape[1]] = new
        self._made += new.shape[1]

    def _open(self, scene: Scene) -> Generator:
        rows = max(self._rows, _rows_wanted(scene))
        return self._model.stream(
            seed=self._seed,
            sampling=self._sampling(scene, rows),
            max_rewind=MAX_REWIND,
            guided=GUIDED[rows],
            prompt=self._begin.codes if self._begin is not None else None,
            emit_prompt=self._begin is None or self._begin.sounds,
            form=Form(two_step=self._two_step),
            **self._telling.all(scene),
        )

    def _tell(self, generator: Generator, scene: Scene) -> None:
        if _rows_wanted(scene) > generator.n_rows:
            self._make_guided(generator, _rows_wanted(scene))
        news = self._telling.news(scene, generator)
        generator.set(sampling=self._sampling(scene, generator.n_rows), **news)

    def _make_guided(self, generator: Generator, rows: int) -> None:
        """Let a stream that was begun with fewer rows have more, by running its context again with them.

        Models without a finite context would have to run a whole window again, for seconds: theirs stay deaf.
        """
        if self._model.spec.lm.context is None:
            self.deaf = True
        else:
            generator.restore(replace(generator.snapshot(), rows=rows), now=False)

    def _sampling(self, scene: Scene, rows: int) -> Sampling:
        top_k = min(round(scene.top_k), self._model.spec.cardinality)
        if rows == 1 or scene.eased >= UNGUIDED:
            return Sampling(scene.temperature, top_k, scene.top_p, 1.0)
        return Sampling(
            scene.temperature,
            top_k,
            scene.top_p,
            scene.guidance,
            every=max(scene.guidance_every, EVERY.get(scene.eased, 1)),
            fall=round(scene.guidance_fall * self._model.spec.frame_rate),
            fall_from=self._telling.frame_at(scene.falls_from) if scene.guidance_fall else 0,
            beta=scene.beta if rows == 3 and scene.beta != 1.0 else None,
        )


def _rows_wanted(scene: Scene) -> int:
    return rows_of(scene.guidance != 1.0, scene.beta != 1.0)


@lru_cache(maxsize=64)
def fade_table(length: int) -> NDArray[np.float32]:
    """A quarter sine, 0 < value < 1, of `length` samples: equal power with itself turned round."""
    angle = (np.arange(length) + 0.5) * (np.pi / 2 / max(1, length))
    table: NDArray[np.float32] = np.sin(angle).astype(np.float32)
    table.flags.writeable = False
    return table


def _fade(wave: Wave, first: int, at: int, table: NDArray[np.float32]) -> None:
    """Multiply what lies at at..at+len(table) by the table; wave starts at sample `first`."""
    low, high = max(first, at), min(first + wave.shape[1], at + len(table))
    if low < high:
        wave[:, low - first : high - first] *= table[low - at : high - at]
