"""What a stream is given: its prompt, sampling and frame controls, each with the frames from which it holds.

Knows nothing about tokens, caches or audio. Settings keep their history, so that frames run again after a
rewind meet the conditions of their time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from descant.model.conditions.controls import Track, make_track
from descant.model.conditions.prefix_track import Place, prefix_vectors
from descant.model.conditions.text import TextStates, pad_states, pad_weights
from descant.model.errors import ModelError
from descant.model.lm.inputs import check_control_names, null_prefix
from descant.model.lm.step import TextMemory
from descant.model.sampling import Sampling
from descant.model.timeline import Timeline

if TYPE_CHECKING:
    from descant.model.music_model import MusicModel


class Keep:
    """The type of KEEP: leave a setting as it is."""


KEEP: Final = Keep()
SavedText = str | TextStates | None


@dataclass(frozen=True, eq=False)
class Prompt:
    """A text in force: what it was, and what cross-attention remembers of it."""

    text: TextStates | None
    memory: TextMemory


class Settings:
    """Timelines of one stream's settings.

    n_rows: 1: conditioned; 2: and a null row beside it; 3: and one with all controls but no text between
    them.
    """

    def __init__(self, model: MusicModel, n_rows: int, sampling: Sampling) -> None:
        self._model, self.n_rows = model, n_rows
        self._all = model.spec.lm.controls
        self._controls = model.spec.lm.frame_controls
        self._prefixed = model.spec.lm.prefix_controls
        self._check_guidance(sampling)
        self._texts: Timeline[Prompt] = Timeline([(0, Prompt(None, TextMemory()))])
        self._samplings: Timeline[Sampling] = Timeline([(0, sampling)])
        self._tracks: dict[str, Timeline[Track]] = {c.name: Timeline([(0, Track())]) for c in self._all}
        self.row = torch.zeros(n_rows, sum(c.dim for c in self._controls))
        self._kept = torch.ones_like(self.row)  # which controls each row sees
        if n_rows > 1 and self._controls:
            self._kept[-1] = torch.cat([torch.full((c.dim,), float(not c.guided)) for c in self._controls])

    def set(
        self,
        text: str | TextStates | Keep | None,
        sampling: Sampling | None,
        controls: Mapping[str, Any],
        *,
        horizon: int,
        position: int,
        loop: bool,
    ) -> None:
        """These hold from frame `horizon` on; a control's first row is frame `position`. All or nothing."""
        check_control_names(controls, self._all, reads_text=self._model.spec.lm.text_dim > 0)
        if sampling is not None:
            self._check_guidance(sampling)
        specs = {spec.name: spec for spec in self._all}
        rate = self._model.spec.frame_rate
        tracks = {n: make_track(specs[n], value, rate, position, loop) for n, value in controls.items()}
        if not isinstance(text, Keep):
            self._texts.set(horizon, self._prompt(text))
        if sampling is not None:
            self._samplings.set(horizon, sampling)
        for name, track in tracks.items():
            self._tracks[name].set(horizon, track)

    def prefix_key(self, frame: int) -> tuple[object, ...]:
        """What the prefix that holds at the frame is made of: equal keys, equal prefixes of one window."""
        text = self._texts.at(frame) if self._model.spec.lm.text_form == "prefix" else None
        return (text, *(self._tracks[spec.name].at(frame) for spec in self._prefixed))

    def prefix(self, frame: int, origin: int, extended: bool) -> tuple[int, Iterator[Tensor]]:
        """What stands before the columns of a window from `origin` on, as it holds at `frame`.

        extended: the music is longer than a window. Result: its length P, and its stretches [R, n, dim] in
        order, each made when it is asked for, so that no single one costs much.
        """
        spec, lm = self._model.spec, self._model.lm
        if not spec.lm.has_prefix:
            return 0, iter(())
        reads_text = spec.lm.text_dim > 0 and spec.lm.text_form == "prefix"
        tracks = {control.name: self._tracks[control.name].at(frame) for control in self._prefixed}
        states, mask = pad_states(self._rows_of(self._texts.at(frame).text), spec.lm.text_dim)

        def stretches() -> Iterator[Tensor]:
            for control in self._prefixed:
                window = spec.lm.window or control.length
                place = Place(origin, window, spec.frame_rate, spec.sample_rate, extended)
                for vectors in prefix_vectors(tracks[control.name], control, place):
                    rows = null_prefix(control, self.n_rows, vectors)[:, :1].repeat(1, vectors.shape[0], 1)
                    rows[: max(1, self.n_rows - 1) if control.guided else self.n_rows] = vectors
                    yield lm.prefix_of(control, rows)
            if reads_text:
                yield lm.prefix_of_text(states, mask, self.n_rows)

        length = sum(control.length for control in self._prefixed)
        return length + (0 if not reads_text else 1 if states is None else states.shape[1]), stretches()

    def text(self, frame: int) -> TextMemory:
        """The text that holds at the frame."""
        return self._texts.at(frame).memory

    def sampling(self, frame: int) -> Sampling:
        """The sampling that holds at the frame."""
        return self._samplings.at(frame)

    def read_controls(self, frame: int) -> Tensor:
        """The frame's control vectors side by side: `row`, [rows, sum of dims]. Functions are asked here."""
        if not self._controls:
            return self.row
        return self.use_controls(
            torch.cat([self._tracks[spec.name].at(frame).vector(frame, spec) for spec in self._controls])
        )

    def use_controls(self, vector: Tensor) -> Tensor:
        """Put controls [sum of dims] into `row`; its null row gets those that guidance leaves alone."""
        return torch.mul(vector, self._kept, out=self.row)

    def forget_before(self, frame: int) -> None:
        """Drop what holds only before the frame."""
        timelines: list[Timeline[Any]] = [self._texts, self._samplings, *self._tracks.values()]
        for timeline in timelines:
            timeline.forget_before(frame)

    @property
    def texts(self) -> tuple[tuple[int, SavedText], ...]:
        """(first frame, words or states or None) of each text."""
        return tuple((f, p.text.text or p.text if p.text else None) for f, p in self._texts.entries)

    @property
    def samplings(self) -> tuple[tuple[int, Sampling], ...]:
        """(first frame, sampling) of each."""
        return self._samplings.entries

    @property
    def tracks(self) -> dict[str, tuple[tuple[int, Track], ...]]:
        """Control -> (first frame, track) of each."""
        return {name: timeline.entries for name, timeline in self._tracks.items()}

    def load(
        self,
        texts: tuple[tuple[int, SavedText], ...],
        samplings: tuple[tuple[int, Sampling], ...],
        tracks: Mapping[str, tuple[tuple[int, Track], ...]],
    ) -> None:
        """Take over what `texts`, `samplings` and `tracks` gave. Raises ModelError."""
        check_control_names(tracks, self._all)
        self._texts = Timeline([(frame, self._prompt(text)) for frame, text in texts])
        self._samplings = Timeline(samplings)
        for name, entries in tracks.items():
            self._tracks[name] = Timeline(entries)

    @property
    def guided(self) -> bool:
        """Whether a null row runs, as any guidance other than 1 needs."""
        return self.n_rows > 1

    def _prompt(self, text: str | TextStates | None) -> Prompt:
        states = self._model.encode_text(text)
        rows = self._rows_of(states)
        padded, mask = pad_states(rows, self._model.spec.lm.text_dim)
        return Prompt(states, self._model.lm.text_memory(len(rows), padded, mask, pad_weights(rows)))

    def _rows_of(self, text: TextStates | None) -> list[TextStates | None]:
        return [text] + [None] * (self.n_rows - 1)

    def _check_guidance(self, sampling: Sampling) -> None:
        if sampling.guidance != 1.0 and self.n_rows == 1:
            raise ModelError(
                f"Guidance {sampling.guidance:g} was asked for in a stream started without guidance.",
                "The stream goes on with guidance 1 (off).",
                "Start it with guided=True, or with a guidance other than 1.",
            )
        if sampling.beta is not None and self.n_rows != 3:
            raise ModelError(
                f"Double guidance (beta {sampling.beta:g}) was asked for in a stream started without it.",
                "The stream goes on as it was.",
                'Start it with guided="double".',
            )
