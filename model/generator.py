"""Generator: one stream of music. Conditions in, the next frame of audio out; rewind, snapshot, resume.

Knows nothing about clocks, sessions or devices: its time is counted in frames. Four counts matter:

    position   frames emitted; the next hop of audio to come out is frame `position`
    pushed     frames given to the codec: lookahead frames more
    complete   frames all of whose codes are drawn
    horizon    the first frame none of whose codes is drawn. What is set now acts wholly from here, on the
               detail (the finer codebooks) of frames just before it sooner

Codes are kept by frame; which column of the language model draws which of them is the pattern's and the
windows' business (columns.py). Everything drawn for a column comes from a generator seeded with (seed,
column): a stream that was rewound, or resumed from a snapshot, draws the same numbers. Settings keep their
history: frames that are run again meet the conditions of their time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from descant.model import state_tree
from descant.model.code_log import CodeLog
from descant.model.codec.codec import StreamState
from descant.model.columns import Columns, Form
from descant.model.conditions.text import TextStates
from descant.model.errors import ModelError
from descant.model.sampling import MAX_EVERY, Sampling, check_seed
from descant.model.settings import KEEP, Keep, Settings
from descant.model.snapshot import Snapshot
from descant.model.work import Work, done

if TYPE_CHECKING:
    from descant.model.music_model import MusicModel

MAX_HISTORY = 8192  # columns
MAX_REWIND = 3000  # frames
Guided = bool | Literal["double"] | None


@dataclass(frozen=True, eq=False)
class _Moment:
    """What a rewind needs besides codes: the codec at that time, and its samples not yet emitted."""

    pushed: int
    codec: StreamState
    waiting: Tensor  # [C, n]
    skip: int


class Generator:
    """One stream, made by `MusicModel.stream`. The caller owns it; it is used by one thread at a time.

    seed: 0 .. 2^64 - 1. max_rewind: frames that `rewind` can go back. guided: a second row runs the null
    conditions, so that any guidance scale can be used; it costs time. "double": a third one hears the melody
    alone.
    form: how models with windows go on beyond the first, and how long the stream is, see columns.Form.
    """

    def __init__(
        self,
        model: MusicModel,
        *,
        seed: int,
        sampling: Sampling,
        max_rewind: int,
        guided: Guided = None,
        form: Form | None = None,
    ) -> None:
        if not isinstance(max_rewind, int) or not 0 <= max_rewind <= MAX_REWIND:
            raise ModelError(
                f"max_rewind is {max_rewind!r}; allowed: 0 to {MAX_REWIND} frames.",
                "Nothing was started.",
                "Ask for as many frames as audio is made ahead, such as 128.",
            )
        self.model, self.spec = model, model.spec
        self.seed, self.max_rewind, self.form = check_seed(seed), max_rewind, form or Form()
        guided = sampling.guidance != 1.0 or sampling.beta is not None if guided is None else guided
        lm = self.spec.lm
        self._ahead = max_rewind + self.spec.codec.lookahead_frames + lm.max_delay
        reach = lm.window if lm.context is None else lm.n_layers * (lm.context - 1) + 1
        self._history = min(reach or MAX_HISTORY, MAX_HISTORY)  # as far back as the layers reach
        self._settings = Settings(model, 3 if guided == "double" else 1 + bool(guided), sampling)
        self._log = self._new_log(0)
        self._columns = Columns(model, self._settings, self._log, self.seed, self.form, self._ahead)
        self._stream = model.codec.decode_stream(1)
        self._waiting = torch.zeros(self.spec.channels, 0)
        self._position = self._pushed = self._skip = 0
        self._moments: deque[_Moment] = deque(maxlen=max_rewind + 1)
        self._remember()

    def _new_log(self, base: int) -> CodeLog:
        """An empty log whose oldest frame is base."""
        lm = self.spec.lm
        return CodeLog(lm.n_codebooks, self.model.lm.control_dim, self._history + 2 * self._ahead + 64, base)

    # What can be read

    @property
    def guided(self) -> bool:
        """Whether a row of null conditions runs, as any guidance other than 1 needs."""
        return self._settings.guided

    @property
    def n_rows(self) -> int:
        """Rows of guidance: 1 without, 2 with the null one, 3 for double guidance."""
        return self._settings.n_rows

    @property
    def position(self) -> int:
        """Frames emitted so far."""
        return self._position

    @property
    def horizon(self) -> int:
        """The first frame none of whose codes is drawn yet: what `set` is given acts from this frame on."""
        return self._log.horizon

    @property
    def earliest(self) -> int:
        """The lowest position to which `rewind` can go."""
        return self._position - len(self._moments) + 1

    @property
    def tokens(self) -> Tensor:
        """Final codes: [K, n] int64, frames `first_frame` .. `first_frame` + n - 1; n grows with each step.

        The audio emitted so far (and not rewound) is `codec.decode(tokens)` up to sample position *
        hop_length; the frames of the codec's lookahead beyond `position` are in it.
        """
        return self._log.frames(self._log.base, max(self._pushed, self._log.base))

    @property
    def first_frame(self) -> int:
        """The frame of tokens[:, 0]: 0, unless the stream was restored from a snapshot of a long one."""
        return self._log.base

    @property
    def columns_run(self) -> int:
        """Columns of the language model run so far, those run again and ahead included: what the work is."""
        return self._columns.run

    def keep_null_near(self, columns: int) -> int:
        """While guidance is off, run so many null columns beside each column, until none are missing.

        With native kernels turning guidance on again costs those that are: how many, now. It changes nothing
        that is heard.
        """
        self._columns.spare = columns
        return self._columns.lag

    @property
    def window_origin(self) -> int:
        """The first frame of the window that the stream is in; 0 for models without windows."""
        return self._columns.origin

    # What can be changed

    def set(
        self,
        text: str | TextStates | Keep | None = KEEP,
        *,
        sampling: Sampling | None = None,
        loop: bool = True,
        **controls: Any,
    ) -> int:
        """Change what is given; what is not given stays. Returns `horizon`, the first frame that it acts on.

        text: words, encoded states (`MusicModel.blend` mixes several), or None (or blank) for the null text.
        controls: by name, one vector a frame, as [F, dim] whose first row belongs to frame `position`, the
            next to be emitted (loop: cycled after its end, else absent there); a function frame index ->
            vector, asked once a column; for melody also (wave, sample_rate); None: absent. Rows of frames
            before `horizon` are too late. A prefix control: (wave, sample_rate) or [n, dim] at its own rate;
            a change of what stands in a prefix makes the next step run the window's columns again.
        sampling: a guidance scale other than 1 needs a stream that was started guided.
        To act sooner, `rewind` first (by 0 frames or more). Raises ModelError, then nothing has changed.
        """
        self._settings.set(text, sampling, controls, horizon=self.horizon, position=self._position, loop=loop)
        return self.horizon

    def go_on_from(self, prompt: Tensor, emit: bool = True) -> None:
        """Begin with codes [K, n] int64 of other music, before the first step.

        They are heard under what has been set by then. emit: whether they sound, as frames 0 .. n - 1, or
        the stream's first step gives frame n. Raises ModelError, then nothing has changed.
        """
        codec = self.spec.codec
        length = prompt.shape[-1] if prompt.dim() == 2 else -1
        most = self.spec.lm.window if self.form.frames is None else self.form.frames
        valid = prompt.dim() == 2 and prompt.shape[0] == codec.n_codebooks and length > 0
        valid = valid and bool(((prompt >= 0) & (prompt < codec.cardinality)).all())
        if self._pushed or self._log.horizon:
            raise ModelError(
                f"The stream is at frame {self._position} already; a prompt may only begin it.",
                "The stream goes on as it was.",
                "Start another stream for the prompt.",
            )
        if not valid or (most is not None and length >= most):
            frames = "1 or more" if most is None else f"1..{most - 1}"
            raise ModelError(
                f"A prompt of shape {tuple(prompt.shape)} was given; allowed: codes "
                f"[{codec.n_codebooks}, {frames}] of 0..{codec.cardinality - 1}.",
                "Nothing was started.",
                "Give fewer frames: the latest seconds of the music that is to go on.",
            )
        self._log.extend(prompt)
        self._columns.prompt_frames = length
        if emit:
            return
        with torch.inference_mode():
            given = self._stream.push(prompt[None].to(torch.int64))[0]
        hops = length * codec.hop_length
        self._waiting, self._skip = given[:, hops:].clone(), max(0, hops - given.shape[-1])
        self._position = self._pushed = length
        self._moments.clear()
        self._remember()

    def step(self) -> Tensor:
        """The next hop of audio: [C, hop_length] float32. Runs a frame's columns; more at first and after a
        rewind. Raises ModelError after the last frame of a stream of a given length."""
        return done(self.model.lm, self.stepping())

    def stepping(self) -> Work[Tensor]:
        """`step` as work that waits for its columns, to be run beside those of other streams; see work.py.

        Until it is done or dropped (`close`), the stream may be read but not changed.
        """
        if self.form.frames is not None and self._position >= self.form.frames:
            raise ModelError(
                f"The stream was started for {self.form.frames} frames and has given them all.",
                "Everything it gave is valid; it can be rewound.",
                "Start it longer, or without an end.",
            )
        while self._waiting.shape[-1] < self.spec.hop_length:
            yield from self._push()
        wave = torch.empty(self.spec.channels, self.spec.hop_length)
        with torch.inference_mode():
            wave.copy_(self._waiting[:, : self.spec.hop_length])
            self._waiting = self._waiting[:, self.spec.hop_length :].clone()
            self._remember()
        self._position += 1
        if self._position % 256 == 0:  # drop settings that no rewind or snapshot can reach any more
            self._settings.forget_before(self._log.horizon - self._history - self._ahead)
        return wave

    def rewind(self, frames: int) -> None:
        """Go back: the next step emits frame position - frames; it and all later ones are made anew.

        Frames whose codes sound before that point keep them, so the joint is seamless; `rewind(0)` only
        frees the codes drawn ahead. Conditions stay as they were set for their frames: unchanged ones give
        the same audio. At position 0 nothing is kept. Raises ModelError beyond `earliest`.
        """
        if not isinstance(frames, int) or not 0 <= frames <= self._position - self.earliest:
            raise ModelError(
                f"Cannot rewind {frames!r} frames at frame {self._position}: "
                f"the stream remembers back to frame {self.earliest}.",
                "The stream goes on where it was.",
                f"Rewind 0 to {self._position - self.earliest} frames, or start it with a larger max_rewind.",
            )
        for _ in range(frames):
            self._moments.pop()
        moment = self._moments[-1]
        self._log.keep(max(moment.pushed, self._columns.prompt_frames))
        self._columns.rewound()
        self._stream.restore(moment.codec)
        self._position -= frames
        self._pushed, self._waiting, self._skip = moment.pushed, moment.waiting, moment.skip

    def snapshot(self, exact: bool = False) -> Snapshot:
        """All that is needed to carry on elsewhere, by running the latest columns again.

        exact: take along all that the layers can reach, so that `restore` continues with the same samples
            however long the stream; else only the model's context, which is quick and the same for streams
            within it. Models with windows always take along the window they are in.
        """
        kept = (
            self._history + MAX_EVERY if exact else min(self._history, self.spec.lm.context or self._history)
        )
        origin, since, first_column, first_frame = self._columns.resume_point(kept)
        base = min(first_frame, self._pushed)
        tensors: dict[str, Tensor] = {}
        codec = state_tree.flatten(self._moments[-1].codec, tensors, "codec.")
        asked = self._log.asked
        return Snapshot(
            weights_hash=self.model.weights_hash,
            seed=self.seed,
            rows=self._settings.n_rows,
            position=self._position,
            pushed=self._pushed,
            skip=self._skip,
            origin=origin,
            since=since,
            first_column=first_column,
            prompt_frames=self._columns.prompt_frames,
            frames=self.form.frames,
            drain=self.form.drain,
            base=base,
            codes=tuple(torch.tensor(tail.tolist(), dtype=torch.int32) for tail in self._log.tails(base)),
            controls=self._log.controls(min(base, asked), asked),
            texts=self._settings.texts,
            samplings=self._settings.samplings,
            tracks=self._settings.tracks,
            codec=codec,
            codec_tensors=tensors,
            waiting=self._waiting.clone(),
        )

    def restore(self, snapshot: Snapshot, now: bool = True) -> None:
        """Become the stream that was saved, by running its columns again. On a ModelError nothing changed.

        It cannot be rewound to before the snapshot. max_rewind stays this stream's own. now: else the next
        step runs them, which may be kept waiting on its way (`stepping`).
        """
        if snapshot.weights_hash != self.model.weights_hash:
            raise ModelError(
                f"The snapshot is of another model: {snapshot.weights_hash[:12]}, "
                f"not {self.model.weights_hash[:12]}.",
                "The stream is unchanged.",
                "Load the model it was made with.",
            )
        snapshot.check(self.spec)
        like = self.model.codec.decode_stream(1).snapshot()
        codec = state_tree.unflatten(snapshot.codec, snapshot.codec_tensors, like)
        seed = check_seed(snapshot.seed)
        settings = Settings(self.model, snapshot.rows, snapshot.samplings[-1][1])
        settings.load(snapshot.texts, snapshot.samplings, snapshot.tracks)
        form = Form(snapshot.frames, snapshot.drain, self.form.shadow, self.form.two_step)
        log = self._new_log(snapshot.base)
        log.fill([tail.tolist() for tail in snapshot.codes])
        for index, vector in enumerate(snapshot.controls):
            log.write_controls(snapshot.base + index, vector)
        columns = Columns(self.model, settings, log, seed, form, self._ahead, snapshot.prompt_frames)
        with torch.inference_mode():
            columns.resume(snapshot.origin, snapshot.since, snapshot.first_column)
            if now:
                done(self.model.lm, columns.catch_up())
        self.seed, self.form, self._settings, self._log, self._columns = seed, form, settings, log, columns
        self._stream.restore(codec)
        self._waiting = snapshot.waiting.clone()
        self._position, self._pushed, self._skip = snapshot.position, snapshot.pushed, snapshot.skip
        self._moments.clear()
        self._remember()

    # How it works

    @torch.inference_mode()
    def _push(self) -> Work[None]:
        """Give the codec the next frame, drawn if need be, or its end; what it gives waits to be emitted."""
        if self.form.frames is not None and self._pushed >= self.form.frames:
            given = self._stream.flush()[0]
        else:
            while self._log.complete <= self._pushed:
                yield from self._columns.run_column()
            given = self._stream.push(self._log.frames(self._pushed, self._pushed + 1)[None])[0]
            self._pushed += 1
        if self._skip:
            dropped = min(self._skip, given.shape[-1])
            given, self._skip = given[:, dropped:], self._skip - dropped
        self._waiting = torch.cat([self._waiting, given], dim=-1)

    def _remember(self) -> None:
        """Keep what a rewind to this moment needs."""
        self._moments.append(_Moment(self._pushed, self._stream.snapshot(), self._waiting, self._skip))
        self._columns.forget_windows_before(self._moments[0].pushed)
