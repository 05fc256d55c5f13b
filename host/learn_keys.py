"""Learning at a terminal: one key says what for, the next pad or knob that moves is bound to it.

Lists, tells what a new binding takes the place of, cancels and undoes. Knows nothing about terminals, ports
or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from descant.host.controller import Binding, Profile
from descant.host.learning import Learner
from descant.host.midi_words import Midi

CANCEL, UNDO, LIST, OTHER = "\x1b", ("-", "\x7f", "\b"), "?", "L"
KEYS = {
    **{key: f"loop {number} press" for number, key in enumerate("QWERTYUI", 1)},
    **{key: f"loop {number} capture" for number, key in enumerate("ASDFGHJK", 1)},
    "Z": "loop 1 stop all",
    "X": "parameter x",
    "C": "parameter y",
    "V": "parameter guidance",
    "B": "parameter temperature",
    "N": "parameter melody",
    "M": "tap",
    "P": "panic",
}
HELP = (
    "To bind a pad or knob, press a capital here and then move it: Q W E R T Y U I loops 1 to 8 record and "
    "play; A S D F G H J K loops 1 to 8 capture; Z stop all; X, C the plane's point; V guidance; B "
    "temperature; N melody; M tap; P panic; L and another key what that key does. Esc cancels, - undoes."
)


@dataclass(frozen=True)
class Learnt:
    """port: the controller's. profile: how it is from now on. words: for the performer."""

    port: str
    profile: Profile
    words: str


class LearnKeys:
    """other: what other keys of the terminal do, to be bound after OTHER. armed: what the next pad or knob
    will do, "" while nothing is learnt.
    """

    def __init__(self, other: Mapping[str, str]) -> None:
        self.armed = ""
        self._other, self._awaits_other = other, False
        self._learners: dict[str, Learner] = {}
        self._order: list[str] = []  # ports, by what was learnt last

    def takes(self, key: str) -> bool:
        """Whether a key is for here."""
        return self._awaits_other or key in KEYS or key in (CANCEL, *UNDO, LIST, OTHER)

    def key(self, key: str, profiles: dict[str, Profile]) -> tuple[str, Learnt | None]:
        """A key was pressed: what to say, and a profile that is as it was again. profiles: by port.

        A key that means nothing says nothing.
        """
        awaited, self._awaits_other = self._awaits_other, False
        if awaited and key in self._other:
            return self._arm(self._other[key]), None
        if key == OTHER:
            self._awaits_other = True
            return "Now the key of what a pad or knob shall do.", None
        if key == CANCEL:
            was, self.armed = self.armed, ""
            return (f"Nothing is bound to {was}." if was else ""), None
        if key == LIST:
            return listed(profiles), None
        if key in UNDO:
            self.armed = ""
            return self._undone()
        if key not in KEYS:
            return "", None
        return self._arm(KEYS[key]), None

    def hear(self, port: str, profile: Profile, midi: Midi) -> Learnt | None:
        """A controller said something: what it has been bound to, or None where nothing is learnt of it."""
        if not self.armed:
            return None
        learner = self._learners.setdefault(port, Learner(profile))
        learner.arm(self.armed)
        found = learner.hear(midi)
        if found is None:
            learner.cancel()
            return None
        self.armed = ""
        self._order.append(port)
        new, gone = found
        instead = "".join(f" It no longer does {old.do} ({old.on})." for old in gone if old.on == new.on)
        instead += "".join(f" {_where(old)} no longer does it." for old in gone if old.on != new.on)
        return Learnt(port, learner.profile, f"{_where(new)} of {port} does {new.do} now.{instead}")

    def _arm(self, do: str) -> str:
        self.armed = do
        return f"{do}: now press the pad or turn the knob that shall do it (Esc: none)."

    def _undone(self) -> tuple[str, Learnt | None]:
        if not self._order:
            return "There is nothing to take back.", None
        port = self._order.pop()
        learner = self._learners[port]
        learner.undo()
        words = f"The last binding of {port} is taken back."
        return words, Learnt(port, learner.profile, words)


def listed(profiles: dict[str, Profile]) -> str:
    """What every controller's pads and knobs do, beyond what the preset says."""
    lines = [HELP]
    for port, profile in profiles.items():
        lines.append(f"{port} ({profile.name}):")
        lines += [f"  {_where(row)}: {row.do}" for row in profile.bindings] or ["  what the preset says"]
    return "\n".join(lines)


def _where(binding: Binding) -> str:
    return binding.on + (f", channel {binding.channel}" if binding.channel else "")
