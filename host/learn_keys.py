"""Learning at a terminal: one key says what for, the next pad or knob that moves is bound to it.

Keys are read here; what they ask for is done by `lessons.py`. Knows nothing about terminals, ports or files.
"""

from __future__ import annotations

from collections.abc import Mapping

from descant.host.controller import Profile
from descant.host.lessons import Learnt, Lessons, where

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


class LearnKeys:
    """other: what other keys of the terminal do, to be bound after OTHER. lessons: where it is learnt."""

    def __init__(self, other: Mapping[str, str], lessons: Lessons | None = None) -> None:
        self.lessons = lessons or Lessons()
        self._other, self._awaits_other = other, False

    def takes(self, key: str) -> bool:
        """Whether a key is for here."""
        return self._awaits_other or key in KEYS or key in (CANCEL, *UNDO, LIST, OTHER)

    def key(self, key: str, profiles: dict[str, Profile]) -> tuple[str, Learnt | None]:
        """A key was pressed: what to say, and a profile that is as it was again. profiles: by port.

        A key that means nothing says nothing.
        """
        awaited, self._awaits_other = self._awaits_other, False
        if awaited and key in self._other:
            return self.lessons.arm(self._other[key]), None
        if key == OTHER:
            self._awaits_other = True
            return "Now the key of what a pad or knob shall do.", None
        if key == CANCEL:
            return self.lessons.cancel(), None
        if key == LIST:
            return listed(profiles), None
        if key in UNDO:
            learnt = self.lessons.undo()
            return self.lessons.said, learnt
        if key not in KEYS:
            return "", None
        return self.lessons.arm(KEYS[key]), None


def listed(profiles: dict[str, Profile]) -> str:
    """What every controller's pads and knobs do, beyond what the preset says."""
    lines = [HELP]
    for port, profile in profiles.items():
        lines.append(f"{port} ({profile.name}):")
        lines += [f"  {where(row)}: {row.do}" for row in profile.bindings] or ["  what the preset says"]
    return "\n".join(lines)
