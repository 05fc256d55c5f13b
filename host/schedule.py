"""What a session plays and when: scenes that change at sample positions, and cues where streams begin and
end.

Knows nothing about models or audio; the same schedule read at the same position gives the same scene,
whoever asks. All positions are samples at the client's rate.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from descant.host.errors import EventError
from descant.host.hum import Melody
from descant.host.preset import SamplingRow
from descant.host.progression import Progression
from descant.host.transport import Timeline

MAX_EDITS = 4096  # changes that may wait at a time
MAX_CUES = 64


SAMPLED = SamplingRow.__struct_fields__  # what a preset's sampling sets


@dataclass(frozen=True)
class Scene:
    """Everything generation is given at one moment, as one value.

    text: the prompt, None for none. mix: prompts and their weights, below 1 in all, that are heard beside it
    (which keeps the rest). melody: what to follow, None for none. chords: pitch classes held (0 is
    C). progression: the chords of the bars while no key is held, None for none. melody_level, chords_level,
    beat_level: 0..1. falls_from: the sample from which guidance falls. eased: the rung of the
    overload ladder. The rest as in PARAMETERS.
    """

    timeline: Timeline
    text: str | None = None
    mix: tuple[tuple[str, float], ...] = ()
    melody: Melody | None = None
    chords: tuple[int, ...] = ()
    progression: Progression | None = None
    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0
    guidance: float = 3.0
    guidance_every: int = 1
    guidance_fall: float = 0.0
    beta: float = 1.0
    falls_from: int = 0
    eased: int = 0
    melody_level: float = 1.0
    chords_level: float = 1.0
    beat_level: float = 1.0

    def sampled(self, row: SamplingRow) -> Scene:
        """With a preset's sampling."""
        return replace(self, **{name: getattr(row, name) for name in SAMPLED})


def rows_of(guided: bool, double: bool) -> int:
    """Rows of a stream's guidance: what it is told; that without the words, if `double`; that without
    anything, if either."""
    return 3 if double else 2 if guided else 1


FIELDS = frozenset(field.name for field in fields(Scene))


def field_of(parameter: str) -> str:
    """The Scene field that a parameter name moves."""
    return f"{parameter}_level" if parameter in ("melody", "chords", "beat") else parameter


@dataclass(frozen=True)
class Edit:
    """From at_sample on, one field of the scene has this value. by_trigger: a later trigger may take it
    back. late: it was wanted sooner, so an earlier place found for a newer one takes it back.
    """

    at_sample: int
    field: str
    value: Any
    by_trigger: bool = False
    late: bool = False


@dataclass(frozen=True)
class Cue:
    """A stream begins ("start"), the last bar is held ("hold") or music ends ("stop") exactly at at_sample.

    fade_in: samples over which the new stream rises. fade_out: samples over which the one before falls, from
    at_sample. prompt: codes [K, F] int32 of other music that a new stream goes on from, or none.
    """

    at_sample: int
    kind: Literal["start", "hold", "stop"]
    fade_in: int
    fade_out: int
    by_trigger: bool = True
    prompt: bytes = b""

    @property
    def settled(self) -> int:
        """The first sample at which both fades are over."""
        return self.at_sample + max(self.fade_in, self.fade_out)


class Schedule:
    """Edits and cues of one session in time order, over a base scene that holds before all of them."""

    def __init__(self, base: Scene) -> None:
        self._base = base
        self._edits: list[Edit] = []
        self._cues: list[Cue] = []
        self.known_from = 0  # scenes before this sample are forgotten
        self.version = 0  # counts changes, so that a reader knows when to look again

    @property
    def cues(self) -> tuple[Cue, ...]:
        return tuple(self._cues)

    @property
    def edits(self) -> tuple[Edit, ...]:
        return tuple(self._edits)

    @property
    def base(self) -> Scene:
        return self._base

    def scene(self, at_sample: int) -> Scene:
        """What holds at a sample."""
        end = bisect_right(self._edits, at_sample, key=lambda edit: edit.at_sample)
        if end == 0:
            return self._base
        changes = {edit.field: edit.value for edit in self._edits[:end]}
        return replace(self._base, **changes)

    def next_edit(self, after: int) -> int | None:
        """The position of the first edit later than a sample."""
        index = bisect_right(self._edits, after, key=lambda edit: edit.at_sample)
        return self._edits[index].at_sample if index < len(self._edits) else None

    def edit(
        self, at_sample: int, field: str, value: Any, by_trigger: bool = False, late: bool = False
    ) -> None:
        """Let a field have a value from a sample on; the same field at the same sample is replaced, and so is
        a late one after it.

        Errors: EventError when MAX_EDITS wait already.
        """
        assert field in FIELDS
        self.drop_late(field, at_sample)
        index = bisect_right(self._edits, at_sample, key=lambda edit: edit.at_sample)
        new = Edit(at_sample, field, value, by_trigger, late)
        back = index - 1
        while back >= 0 and self._edits[back].at_sample == at_sample:
            if self._edits[back].field == field:
                if self._edits[back] != new:
                    self._edits[back] = new
                    self.version += 1
                return
            back -= 1
        if len(self._edits) >= MAX_EDITS:
            raise EventError(
                f"{MAX_EDITS} changes are waiting already",
                "the music goes on, and so do the changes that wait",
                "send fewer events ahead of time",
            )
        self._edits.insert(index, new)
        self.version += 1

    def drop_edits(self, field: str, from_sample: int) -> None:
        """Forget the edits of one field at or after a sample."""
        kept = [edit for edit in self._edits if edit.field != field or edit.at_sample < from_sample]
        if len(kept) != len(self._edits):
            self._edits = kept
            self.version += 1

    def drop_late(self, field: str, after: int) -> None:
        """Forget the late edits of one field after a sample."""
        kept = [
            edit for edit in self._edits if edit.field != field or edit.at_sample <= after or not edit.late
        ]
        if len(kept) != len(self._edits):
            self._edits = kept
            self.version += 1

    def take_back_triggers(self, from_sample: int) -> None:
        """Forget what triggers wanted at or after a sample: the last press wins."""
        edits = [edit for edit in self._edits if not edit.by_trigger or edit.at_sample < from_sample]
        cues = [cue for cue in self._cues if not cue.by_trigger or cue.at_sample < from_sample]
        if (len(edits), len(cues)) != (len(self._edits), len(self._cues)):
            self._edits, self._cues = edits, cues
            self.version += 1

    def cue(self, cue: Cue) -> None:
        """Add a cue; one at the same sample is replaced. Errors: EventError when MAX_CUES wait already."""
        cues = [other for other in self._cues if other.at_sample != cue.at_sample]
        if len(cues) >= MAX_CUES:
            raise EventError(
                f"{MAX_CUES} cues are waiting already", "they are played in turn", "trigger less far ahead"
            )
        self._cues = sorted([*cues, cue], key=lambda each: each.at_sample)
        self.version += 1

    def cue_before(self, at_sample: int) -> Cue | None:
        """The last cue at or before a sample."""
        index = bisect_right(self._cues, at_sample, key=lambda cue: cue.at_sample)
        return self._cues[index - 1] if index else None

    def cue_after(self, at_sample: int) -> Cue | None:
        """The first cue later than a sample."""
        index = bisect_right(self._cues, at_sample, key=lambda cue: cue.at_sample)
        return self._cues[index] if index < len(self._cues) else None

    def sounding(self, at_sample: int) -> bool:
        """Whether a stream plays, or a bar is held, at a sample."""
        cue = self.cue_before(at_sample)
        return cue is not None and cue.kind != "stop"

    def holding(self, at_sample: int) -> bool:
        """Whether a bar is held at a sample."""
        cue = self.cue_before(at_sample)
        return cue is not None and cue.kind == "hold"

    def forget(self, before: int) -> None:
        """Fold edits earlier than a sample into the base and drop cues whose stream and fade ended before it.

        What a stream that is still fading was given is kept. Afterwards scene() is true from `known_from` on.
        """
        for cue in self._cues:
            if cue.settled >= before:
                before = min(before, cue.at_sample - 1)
        if before <= self.known_from:
            return
        self.known_from = before
        end = bisect_right(self._edits, before, key=lambda edit: edit.at_sample)
        if end:
            self._base = replace(self._base, **{edit.field: edit.value for edit in self._edits[:end]})
            del self._edits[:end]
        while len(self._cues) > 1 and self._cues[1].settled < before:
            del self._cues[0]
