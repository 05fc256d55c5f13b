"""Columns: which column of the language model a stream runs next, in which window, and what is drawn from it.

A model with a finite context has one window without end. A model trained on windows (MusicGen: 30 s) goes on
in a new one every `stride` frames, which begins with the latest frames of the one before, run again at new
positions:

    drain (audiocraft)   a window's pattern runs to its end, then the next one begins with whole frames only.
                         Exactly what audiocraft's extended generation does; a few columns come between two
                         frames there.
    seamless             the next window takes over in mid-pattern: no column is lost and none is untrained.

With a shadow the next window's columns are run while the current one plays, a column a step, so that taking
over costs no more than that; without, all of them are run at once when it begins. Knows nothing about codecs
or audio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from descant.model.code_log import CodeLog
from descant.model.errors import ModelError
from descant.model.patterns import pattern_of
from descant.model.rows import Rows
from descant.model.sampling import MAX_EVERY, Sampling, column_seed, mix_rows, sample
from descant.model.settings import Settings
from descant.model.window import Window
from descant.model.work import Work

if TYPE_CHECKING:
    from descant.model.music_model import MusicModel

COLUMNS_WITHOUT_CONTEXT = 2048  # a model with neither a finite context nor windows can run no further
_SHADOWED = 2  # columns of the next window run beside one of this: 1 keeps pace, the other catches up


@dataclass(frozen=True)
class Form:
    """How a stream is laid out in windows.

    frames: its length; None: without end. drain, shadow: see above. two_step: rows of guidance one after the
    other.
    """

    frames: int | None = None
    drain: bool = False
    shadow: bool = True
    two_step: bool = False

    def __post_init__(self) -> None:
        if self.frames is not None and (not isinstance(self.frames, int) or self.frames < 1):
            raise ModelError(
                f"A stream of {self.frames!r} frames was asked for; allowed: 1 and more, or None.",
                "Nothing was started.",
                "Give its length in frames, or None for a stream without end.",
            )


class Columns:
    """Draws codes into `log`, a column at a time. ahead: frames that a rewind may undo, lags included."""

    def __init__(
        self,
        model: MusicModel,
        settings: Settings,
        log: CodeLog,
        seed: int,
        form: Form,
        ahead: int,
        prompt_frames: int = 0,
    ) -> None:
        lm = model.spec.lm
        self._model, self._settings, self._log, self._seed, self._form = model, settings, log, seed, form
        self._ahead, self.prompt_frames = ahead, prompt_frames
        self._pattern = pattern_of(lm)
        self._window_frames, self._stride = lm.window, lm.stride or (lm.window or 0) * 3 // 5
        if not self._pattern.endless and lm.window is None and form.frames is None:
            raise ModelError(
                f"A stream without end was asked for; the pattern {lm.pattern!r} must know its length.",
                "Nothing was started.",
                "Start the stream with a number of frames.",
            )
        self._windows: list[Window] = []  # oldest first, the last one in force
        self._next: Window | None = None
        self._past = 0  # columns run in windows that are gone
        self._stale = True  # whether the window in force has columns to run again or to go back
        self._draws = torch.Generator()
        self.spare = 0  # null columns to be run beside each that is not guided
        self._held: tuple[Window | None, int, Tensor] = (None, -1, torch.zeros(()))  # see _logits

    @property
    def run(self) -> int:
        """Columns and positions of prefixes run so far."""
        windows = self._windows if self._next is None else [*self._windows, self._next]
        return self._past + sum(window.rows.run for window in windows)

    @property
    def origin(self) -> int:
        """The first frame of the window in force."""
        return self._windows[-1].origin if self._windows else 0

    def run_column(self) -> Work[None]:
        """Run the next column and draw what it predicts.

        If a control's function fails, or the work is dropped, the column has not been run and can be tried
        again.
        """
        window = yield from self._ready()
        log = self._log
        here = window.rows.position
        sampling = self._sampling(window, here)
        source = self._guided_by(window, here)
        if source is not None and source < here:
            yield from self._remember_guidance(window, source)
        logits = yield from self._logits(window, source == here)
        mixed = mix_rows(logits, sampling) if source in (here, None) else logits[0] + self._held[2]
        number = window.origin * self._pattern.columns_per_frame + here
        self._draws.manual_seed(column_seed(self._seed, number))
        drawn = sample(mixed, sampling, self._draws).tolist()
        for codebook, frame in enumerate(window.cells(here + 1)):
            if frame == log.end(codebook):  # others are known: of a prompt, or kept by a rewind
                log.add(codebook, drawn[codebook])
        if self._form.shadow and self._window_frames is not None:
            self._run_shadow(window)

    def rewound(self) -> None:
        """The log has been cut: go back to the window that was in force then, at the next column."""
        horizon = self._log.horizon
        while len(self._windows) > 1 and self._windows[-1].since > horizon:
            later = self._windows.pop()
            if later.origin > self._windows[-1].origin:
                self._next = later
        if self._next is not None and self._next.origin >= horizon:
            self._next = None
        if self._next is not None:
            unknown = self._next.first_unknown(self._log)
            settled = None if unknown is None else max(0, unknown - 1)  # columns run under known frames
            if settled is not None and self._next.rows.position > settled:
                self._next.rows.rewind(self._next.rows.position - settled)
        self._stale = True

    def forget_windows_before(self, horizon: int) -> None:
        """No rewind goes back before that horizon any more."""
        while len(self._windows) > 1 and self._windows[1].since <= horizon:
            self._past += self._windows.pop(0).rows.run

    def resume_point(self, kept: int) -> tuple[int, int, int, int]:
        """What a snapshot needs: (the window's origin, its since, first column to run again, oldest frame).

        kept: columns to run again, for models with a finite context; others run all of their window.
        """
        window = self._windows[-1] if self._windows else None
        if window is None:
            return 0, 0, 0, 0
        if self._model.spec.lm.context is None:
            return window.origin, window.since, 0, window.origin
        base = self._log.base
        oldest = 0 if base == 0 else self._pattern.complete_column(base - 1, window.n_frames) + 1
        unknown = window.first_unknown(self._log)
        assert unknown is not None
        first = max(oldest, unknown - 1 - kept)
        return 0, 0, first, self._pattern.complete_frames(first, window.n_frames)

    def resume(self, origin: int, since: int, first_column: int) -> None:
        """Be where a stream was when its snapshot said so; the next column, or catch_up, runs it again."""
        window = self._open(origin, since)
        if self._model.spec.lm.context is not None:
            window.rows.restart(first_column)
        self._windows, self._stale = [window], True

    def catch_up(self) -> Work[None]:
        """Run again what `resume` and changes of what stands before the columns have left to be run."""
        if self._windows and self._windows[-1].first_unknown(self._log) is not None:
            yield from self._ready()

    @property
    def lag(self) -> int:
        """Columns that the null rows of the window in force are behind it."""
        return self._windows[-1].rows.lag if self._windows else 0

    # How it works

    @property
    def _guides(self) -> bool:
        """Whether null rows have a say in what is drawn next."""
        frame = self._log.horizon
        return self._settings.guided and self._settings.sampling(frame).at(frame).guides

    def _sampling(self, window: Window, column: int) -> Sampling:
        """What holds at a column; the frame's it is run under."""
        frame = window.frame_of(column)
        return self._settings.sampling(frame).at(frame)

    def _guided_by(self, window: Window, column: int) -> int | None:
        """The column whose guidance a column is drawn with, itself or one before; None: it has none.

        Those at whole multiples of Sampling.every are guided, and the first of a stretch that is. It follows
        from the settings alone, so that it is the same however often the stream has gone back.
        """
        if not self._settings.guided or not (sampling := self._sampling(window, column)).guides:
            return None
        while column % sampling.every and column > window.rows.first:
            before = self._sampling(window, column - 1)
            if not before.guides or before.every != sampling.every:
                break
            column -= 1
        return column

    def _logits(self, window: Window, guided: bool) -> Work[Tensor]:
        """Run the window's next column; where it is guided, remember what that adds to the first row."""
        here = window.rows.position
        settings = self._settings
        spare = 0 if guided else self.spare
        logits = yield from window.step(self._log, settings.text, self._controls, guided, spare)
        sampling = self._sampling(window, here)
        if guided and sampling.every > 1:
            self._held = (window, here, mix_rows(logits, sampling) - logits[0])
        return logits

    def _remember_guidance(self, window: Window, source: int) -> Work[None]:
        """See that the guidance of that column is at hand: after a rewind or a resume it is run again."""
        if self._held[:2] == (window, source):
            return
        rows = window.rows
        here = rows.position
        self._stale = True  # until the columns in between have been run again, too
        rows.rewind(here - source)
        yield from self._logits(window, True)
        yield from window.run_to(here, self._log, self._settings.text, self._controls, everyone=False)
        self._stale = False

    def _ready(self) -> Work[Window]:
        """The window that draws the next code, all columns before that one remembered."""
        if not self._windows:
            self._windows.append(self._open(0, 0))
        window, log = self._windows[-1], self._log
        if self._over(window):
            window = self._take_over(window)
        if window.key != self._key(
            window
        ):  # what stands before the columns has changed: run them behind the new
            window = self._open(window.origin, log.horizon)
            self._windows.append(window)
            self._next, self._stale = None, True
        if self._stale:
            unknown = window.first_unknown(log)
            assert unknown is not None
            if window.rows.position > unknown - 1:
                window.rows.rewind(window.rows.position - (unknown - 1))
            yield from window.run_to(unknown - 1, log, self._settings.text, self._controls, self._guides)
            self._stale = False
        return window

    def _over(self, window: Window) -> bool:
        """Whether the stream goes on in another window."""
        if self._window_frames is None:
            return False
        if window.n_frames is None:
            end = window.origin + self._window_frames
            return self._log.horizon >= end and max(window.cells(window.first_unknown(self._log) or 0)) >= end
        end = window.origin + window.n_frames
        return self._log.complete >= end and (self._form.frames is None or end < self._form.frames)

    def _take_over(self, window: Window) -> Window:
        """Go on in the next window."""
        assert self._window_frames is not None
        origin = window.origin + self._stride
        following = self._next
        if following is None or following.origin != origin or following.key != self._key(following):
            following = self._open(origin, window.origin + self._window_frames)
        self._windows.append(following)
        self._next, self._stale = None, True
        return following

    def _run_shadow(self, window: Window) -> None:
        """Run a column or two of the next window, if there is to be one and its frames are known."""
        assert self._window_frames is not None
        origin = window.origin + self._stride
        frames = self._form.frames
        if self._log.horizon <= origin or (
            frames is not None and window.n_frames is not None and window.origin + window.n_frames >= frames
        ):
            return
        if self._next is None or self._next.key != self._key(self._next):
            self._next = self._open(origin, window.origin + self._window_frames)
        following = self._next
        kept = self._window_frames - self._stride  # frames it begins with
        last = self._pattern.first_column_with(kept, following.n_frames) - 1
        for _ in range(_SHADOWED):
            if following.extend_prefix():
                continue
            here = following.rows.position
            # not under settings and controls of a frame that may still be given others
            if here >= last or following.frame_of(here) >= self._log.horizon:
                return
            if not following.known(here, self._log):
                return
            for _ in following.run_to(here + 1, self._log, self._settings.text, self._controls, self._guides):
                pass

    def _open(self, origin: int, since: int) -> Window:
        """A window from frame `origin` on, nothing but its prefix remembered."""
        lm, n_frames = self._model.spec.lm, self._length(origin)
        extended = self._form.frames is None or self._form.frames > (lm.window or 0)
        prefix_length, prefix = self._settings.prefix(self._log.horizon, origin, extended)
        if lm.context is not None:
            room = lm.context + self._ahead * self._pattern.most_columns_per_frame + MAX_EVERY
        elif n_frames is None and lm.window is None:
            room = COLUMNS_WITHOUT_CONTEXT
        else:
            room = self._pattern.n_columns(n_frames or lm.window or 0) + 1
        rows = Rows(self._model.lm, self._settings.n_rows, room + prefix_length, self._form.two_step)
        window = Window(self._pattern, rows, lm.special, origin, n_frames, since, (), prefix)
        window.key = self._key(window)
        return window

    def _length(self, origin: int) -> int | None:
        """Frames that a window from there covers; None: until another takes over, or for ever."""
        left = None if self._form.frames is None else self._form.frames - origin
        if self._window_frames is None or (left is not None and left <= self._window_frames):
            return left
        return self._window_frames if self._form.drain or not self._pattern.endless else None

    def _key(self, window: Window) -> tuple[object, ...]:
        """What the window's prefix should be made of now."""
        if not self._model.spec.lm.has_prefix:
            return ()
        end = None if window.n_frames is None else window.origin + window.n_frames - 1
        horizon = self._log.horizon
        return self._settings.prefix_key(horizon if end is None else min(horizon, max(end, window.since)))

    def _controls(self, frame: int) -> Tensor:
        """A frame's controls in all rows, [R, C]: those it was run under, or else asked for now."""
        if frame < self._log.asked:
            return self._settings.use_controls(self._log.control(frame))
        controls = self._settings.read_controls(frame)
        self._log.write_controls(frame, controls[0])
        return controls
