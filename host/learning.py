"""Learning a binding in two gestures: say what it is for, then press the pad or turn the knob.

What a learnt binding takes the place of is told, and comes back with undo. Knows nothing about ports.
"""

from __future__ import annotations

import msgspec

from descant.host.controller import Binding, Profile, check_binding
from descant.host.midi_words import Midi

_KINDS = {"note_on": "note", "control": "cc", "program": "program", "bend": "bend"}


def control_of(midi: Midi) -> tuple[str, int] | None:
    """The pad, key, knob or wheel that moved, as a binding names it, and its channel; None for what is no
    gesture."""
    kind = _KINDS.get(midi.kind)
    if kind is None:
        return None
    return kind if kind == "bend" else f"{kind} {midi.number}", midi.channel + 1


class Learner:
    """profile: as it is now. armed: what the next gesture is for, "" while nothing is learnt."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.armed = ""
        self._before: list[Profile] = []

    def arm(self, do: str) -> None:
        """First gesture. Raises ValueError naming what can be learnt."""
        check_binding(Binding("note 0", do))
        self.armed = do

    def cancel(self) -> None:
        self.armed = ""

    def holds(self, midi: Midi) -> tuple[Binding, ...]:
        """What the control that moved is bound to now."""
        found = control_of(midi)
        return () if found is None else tuple(row for row in self.profile.bindings if _meets(row, *found))

    def hear(self, midi: Midi) -> tuple[Binding, tuple[Binding, ...]] | None:
        """Second gesture: the new binding, and those whose place it takes; one that is there already stays as
        it is. None for what is no gesture.
        """
        found = control_of(midi)
        if not self.armed or found is None:
            return None
        do, self.armed = self.armed, ""
        gone = tuple(row for row in self.profile.bindings if _meets(row, *found) or row.do == do)
        if len(gone) == 1 and gone[0].do == do and _meets(gone[0], *found):
            return gone[0], ()
        new = Binding(found[0], do, found[1])
        kept = tuple(row for row in self.profile.bindings if row not in gone)
        self._change((*kept, new))
        return new, gone

    def remove(self, binding: Binding) -> bool:
        """Its control does what the preset says again; False where there is no such binding."""
        if binding not in self.profile.bindings:
            return False
        self._change(tuple(row for row in self.profile.bindings if row != binding))
        return True

    def undo(self) -> bool:
        """The profile as it was before the last change; False where nothing was changed."""
        if not self._before:
            return False
        self.profile = self._before.pop()
        return True

    def _change(self, bindings: tuple[Binding, ...]) -> None:
        self._before.append(self.profile)
        self.profile = msgspec.structs.replace(self.profile, bindings=bindings)


def _meets(row: Binding, on: str, channel: int) -> bool:
    """Whether a binding is of that control."""
    return row.source == Binding(on, "").source and row.channel in (0, channel)
