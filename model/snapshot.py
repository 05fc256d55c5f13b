"""Snapshot: all that another generator needs to carry a stream on, in this process or as bytes in another.

Knows nothing about how streams run. The KV cache does not travel: the latest columns do, and are run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from descant.model.conditions.controls import Track
from descant.model.conditions.text import TextStates
from descant.model.errors import ModelError
from descant.model.patterns import pattern_of
from descant.model.sampling import Sampling
from descant.model.spec import ModelSpec

Entry = TypeVar("Entry", bound=Sequence[Any])
FORMAT = 3
READABLE = (2, FORMAT)  # before 3 each text had states of its own
_SHORT = 2**15 - 1  # the largest code that two bytes hold
_NUMBERS = (
    *("weights_hash", "seed", "rows", "position", "pushed", "skip", "origin", "since", "first_column"),
    *("prompt_frames", "frames", "drain", "base"),
)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A stream at the moment after a step.

    weights_hash: of the model; another model refuses it. rows: of guidance, 1 to 3. position: frames emitted.
    pushed: frames given to the codec. skip: samples of a silent prompt still to come out of it.
    origin, since: the window it is in, see columns.py. first_column: of that window, the oldest to run again.
    prompt_frames: frames it was begun with. frames: its length, or None. drain: see columns.Form.
    base: the oldest frame held. codes: of each codebook [n] int32 from there on, to its own end.
    controls: [n, control_dim] float32 from frame base on.
    texts, samplings, tracks: (first frame, value) of each setting, ascending; a text is words, its states, or
        None.
    codec: the decoder's state as plain data, its tensors in codec_tensors. waiting: [C, n] samples not yet
        emitted.
    """

    weights_hash: str
    seed: int
    rows: int
    position: int
    pushed: int
    skip: int
    origin: int
    since: int
    first_column: int
    prompt_frames: int
    frames: int | None
    drain: bool
    base: int
    codes: tuple[Tensor, ...]
    controls: Tensor
    texts: tuple[tuple[int, str | TextStates | None], ...]
    samplings: tuple[tuple[int, Sampling], ...]
    tracks: dict[str, tuple[tuple[int, Track], ...]]
    codec: Any
    codec_tensors: dict[str, Tensor]
    waiting: Tensor

    @property
    def guided(self) -> bool:
        """Whether a row of null conditions ran."""
        return self.rows > 1

    @property
    def functions(self) -> tuple[str, ...]:
        """Controls given by functions: these do not travel as bytes, set them again after restore."""
        return tuple(name for name, track in self.tracks.items() if track[-1][1].function is not None)

    def check(self, spec: ModelSpec) -> None:
        """Raise ModelError unless all numbers and shapes are those of a stream of this model."""
        lm = spec.lm
        widths = {control.name: control.dim for control in lm.controls}
        ends = [self.base + len(codes) for codes in self.codes]
        fits = (
            len(self.codes) == lm.n_codebooks
            and all(codes.dim() == 1 for codes in self.codes)
            and all(bool(((codes >= 0) & (codes < lm.cardinality)).all()) for codes in self.codes)
            and 0 <= self.base <= self.origin + self.first_column
            and 0 <= self.base <= self.pushed <= min(ends)
            and max(ends) - min(ends) <= max(lm.max_delay, lm.window or self.frames or 0) + 1
            and 0 <= self.position <= self.pushed
            and 0 <= self.origin <= self.pushed
            and 0 <= self.since <= max(ends)
            and 0 <= self.first_column <= pattern_of(lm).n_columns(max(ends) + 1)
            and 0 <= self.prompt_frames <= min(ends)
            and self.skip >= 0
            and self.rows in (1, 2, 3)
            and (self.frames is None or self.position <= self.frames)
            and self.controls.dim() == 2
            and self.controls.shape[1] == sum(control.dim for control in lm.frame_controls)
            and self.base + self.controls.shape[0] <= max(ends)
            and bool(torch.isfinite(self.controls).all())
            and self.waiting.dim() == 2
            and self.waiting.shape[0] == spec.channels
            and all(self.tracks.get(name) for name in widths)
            and all(
                track.frames is None
                or (track.frames.dim() == 2 and track.frames.shape[1] == widths.get(name))
                for name, entries in self.tracks.items()
                for _, track in entries
            )
            and bool(self.texts and self.samplings)
        )
        if not fits:
            raise ModelError(
                "The snapshot's numbers do not belong together.",
                "The stream is unchanged.",
                "Restore an undamaged snapshot.",
            )

    def to_bytes(self) -> bytes:
        """The snapshot as one safetensors file (no pickle); some tens of KB.

        Blends of the same prompts, as a point that moves on a plane gives by the dozen, share their states.
        """
        short = all(not codes.numel() or codes.max() <= _SHORT for codes in self.codes)
        narrow = torch.int16 if short else torch.int32  # large codebooks have longer names
        tensors = {
            **{f"codes.{k}": codes.to(narrow) for k, codes in enumerate(self.codes)},
            "controls": self.controls,
            "waiting": self.waiting,
        }
        tensors.update(self.codec_tensors)
        texts: list[Any] = []
        blends: list[tuple[Tensor, list[Tensor]]] = []  # states, and the weights of each text of these
        for frame, text in _from(self.texts, self.base):
            if not isinstance(text, TextStates):
                texts.append([frame, text])
                continue
            number = next((n for n, (states, _) in enumerate(blends) if _same(states, text.states)), None)
            if number is None:
                number = len(blends)
                blends.append((text.states, []))
            weights = blends[number][1]
            row = None if text.weights is None else len(weights)
            if text.weights is not None:
                weights.append(text.weights)
            texts.append([frame, {"states": number, "row": row}])
        for number, (states, weights) in enumerate(blends):
            tensors[f"text.{number}"] = states
            if weights:
                tensors[f"weights.{number}"] = torch.stack(weights)
        tracks: dict[str, Any] = {}
        for name, entries in self.tracks.items():
            rows = tracks[name] = []
            for i, (frame, track) in enumerate(_from(entries, self.base)):
                key = None
                if track.frames is not None:
                    key = f"track.{name}.{i}"
                    tensors[key] = track.frames
                wave = None
                if track.wave is not None:
                    wave = f"wave.{name}.{i}"
                    tensors[wave] = track.wave
                rows.append([frame, key, track.start, track.loop, wave, track.rate])
            tracks[name] = _changes(rows)
        head = {
            "format": FORMAT,
            "numbers": {name: getattr(self, name) for name in _NUMBERS},
            "texts": texts,
            "samplings": [
                [frame, asdict(sampling)] for frame, sampling in _changes(_from(self.samplings, self.base))
            ],
            "tracks": tracks,
            "codec": self.codec,
        }
        packed = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
        return save(packed, {"snapshot": json.dumps(head)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Snapshot:
        """What to_bytes gave. Raises ModelError for anything else."""
        try:
            tensors = load(data)
            size = int.from_bytes(data[:8], "little")
            head = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["snapshot"])
            if head["format"] not in READABLE:
                raise ValueError(f"format {head['format']} instead of {FORMAT}")
            return cls(
                **head["numbers"],
                codes=tuple(
                    tensors[f"codes.{k}"].to(torch.int32)
                    for k in range(sum(name.startswith("codes.") for name in tensors))
                ),
                controls=tensors["controls"],
                texts=tuple(
                    (int(frame), _states(tensors, text) if isinstance(text, dict) else text)
                    for frame, text in head["texts"]
                ),
                samplings=tuple((int(frame), Sampling(**fields)) for frame, fields in head["samplings"]),
                tracks={
                    name: tuple(
                        (int(frame), _track(tensors, key, int(start), bool(loop), wave, float(rate)))
                        for frame, key, start, loop, wave, rate in rows
                    )
                    for name, rows in head["tracks"].items()
                },
                codec=head["codec"],
                codec_tensors={name: value for name, value in tensors.items() if name.startswith("codec.")},
                waiting=tensors["waiting"],
            )
        except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ModelError(
                f"These {len(data)} bytes are no snapshot of a stream: {error!r}.",
                "No stream was changed.",
                "Give the bytes of Snapshot.to_bytes(), written by this version.",
            ) from error


def _states(tensors: Mapping[str, Tensor], text: Mapping[str, int | None]) -> TextStates:
    number = text["states"]
    weights = tensors.get(f"weights.{number}")
    if weights is not None and "row" in text:  # since format 3
        weights = None if text["row"] is None else weights[text["row"]]
    return TextStates(None, tensors[f"text.{number}"], weights)


def _same(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.shape == other.shape and torch.equal(one, other))


def _from(entries: Sequence[Entry], base: int) -> Sequence[Entry]:
    """(first frame, value): those that hold at frame `base` or later."""
    last = max((i for i, entry in enumerate(entries) if entry[0] <= base), default=0)
    return entries[last:]


def _changes(entries: Sequence[Entry]) -> list[Entry]:
    """Without those that differ from the one before in their frame only: one that moves repeats the rest."""
    return [entry for i, entry in enumerate(entries) if not i or entry[1:] != entries[i - 1][1:]]


def _track(
    tensors: Mapping[str, Tensor], key: str | None, start: int, loop: bool, wave: str | None, rate: float
) -> Track:
    frames = None if key is None else tensors[key]
    return Track(frames, start, loop, wave=None if wave is None else tensors[wave], rate=rate)
