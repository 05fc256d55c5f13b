"""Learning a binding in two gestures: say what it is for, then press the pad or turn the knob.

What a learnt binding takes the place of is told, and comes back with undo. Knows nothing about ports.
"""

from __future__ import annotations

import msgspec

from descant.host.controller import Binding, Profile, check_binding
from descant.host.midi_words import Midi

_KINDS = {"note_on": "note", "control": "cc", "program": "program", "bend": "bend"}


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

    def hear(self, midi: Midi) -> tuple[Binding, tuple[Binding, ...]] | None:
        """Second gesture: the new binding, and those whose place it takes. None for what is no gesture."""
        if not self.armed or midi.kind not in _KINDS:
            return None
        kind = _KINDS[midi.kind]
        on = kind if kind == "bend" else f"{kind} {midi.number}"
        new = Binding(on, self.armed, midi.channel + 1)
        gone = tuple(
            old
            for old in self.profile.bindings
            if (old.source == new.source and old.channel in (0, new.channel)) or old.do == new.do
        )
        kept = tuple(old for old in self.profile.bindings if old not in gone)
        self._before.append(self.profile)
        self.profile = msgspec.structs.replace(self.profile, bindings=(*kept, new))
        self.armed = ""
        return new, gone

    def undo(self) -> bool:
        """The profile as it was before the last binding was learnt; False where nothing was."""
        if not self._before:
            return False
        self.profile = self._before.pop()
        return True
