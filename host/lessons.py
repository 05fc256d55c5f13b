"""Lessons: what is being learnt on any controller, what is in its way, and what was learnt last.

Whoever asks for one, keys of a terminal or a window, says what a pad or knob shall do; the next that moves
is bound to it. Knows nothing about terminals, windows, ports or files.
"""

from __future__ import annotations

from dataclasses import dataclass

from descant.host.controller import Binding, Profile, check_binding
from descant.host.learning import Learner, control_of
from descant.host.midi_words import Midi


@dataclass(frozen=True)
class Learnt:
    """port: the controller's. profile: how it is from now on. words: for the performer."""

    port: str
    profile: Profile
    words: str


@dataclass(frozen=True)
class InTheWay:
    """A control that moved, and what it does already. port: its controller's."""

    port: str
    midi: Midi
    bindings: tuple[Binding, ...]

    @property
    def words(self) -> str:
        """For the performer."""
        does = " and ".join(row.do for row in self.bindings)
        return f"{where(self.bindings[0])} of {short(self.port)} does {does} already."


class Lessons:
    """armed: what the next pad or knob will do, "" while nothing is learnt. in_the_way: what it would take
    the place of, which waits for `replace` or `cancel`; None where nothing is asked. said: how the last step
    ended.
    """

    def __init__(self) -> None:
        self.armed = self.said = ""
        self.in_the_way: InTheWay | None = None
        self._asks = False
        self._learners: dict[str, Learner] = {}
        self._changes: list[tuple[str, str]] = []  # ports and what was changed there, the last one last

    @property
    def last(self) -> str:
        """What undo would take back, "" for nothing."""
        return self._changes[-1][1] if self._changes else ""

    def arm(self, do: str, asks: bool = False) -> str:
        """First gesture; what to say. asks: a control that does something else is left alone until `replace`.
        Raises ValueError naming what can be learnt.
        """
        check_binding(Binding("note 0", do))
        self.armed, self.in_the_way, self._asks = do, None, asks
        return self._say(f"{do}: now press the pad or turn the knob that shall do it (Esc: none).")

    def cancel(self) -> str:
        """Nothing is learnt any more; what to say, "" where nothing was."""
        was, self.armed, self.in_the_way = self.armed, "", None
        return self._say(f"Nothing is bound to {was}.") if was else ""

    def takes(self, port: str, midi: Midi) -> bool:
        """Whether a message is for here and for nobody else. While it is asked what shall become of a
        control, it alone is kept still: all others play."""
        if not self.armed or control_of(midi) is None:
            return False
        asked = self.in_the_way
        return asked is None or (asked.port, control_of(asked.midi)) == (port, control_of(midi))

    def hear(self, port: str, profile: Profile, midi: Midi) -> Learnt | None:
        """Second gesture: what was learnt; None where nothing was, or something is in the way."""
        if not self.takes(port, midi) or self.in_the_way is not None:
            return None
        holds = tuple(row for row in self._learner(port, profile).holds(midi) if row.do != self.armed)
        if self._asks and holds:
            self.in_the_way = InTheWay(port, midi, holds)
            self._say(self.in_the_way.words)
            return None
        return self._bound(port, midi)

    def replace(self) -> Learnt | None:
        """What is in the way may go; None where nothing was."""
        asked, self.in_the_way = self.in_the_way, None
        return None if asked is None else self._bound(asked.port, asked.midi)

    def remove(self, port: str, profile: Profile, binding: Binding) -> Learnt | None:
        """A control does what the preset says again; None where it does already."""
        self.armed, self.in_the_way = "", None
        learner = self._learner(port, profile)
        if not learner.remove(binding):
            return None
        words = f"{where(binding)} of {short(port)} no longer does {binding.do}."
        self._changes.append((port, words))
        return Learnt(port, learner.profile, self._say(words))

    def undo(self) -> Learnt | None:
        """The last change is taken back; None where there was none."""
        self.armed, self.in_the_way = "", None
        if not self._changes:
            self._say("There is nothing to take back.")
            return None
        port, _ = self._changes.pop()
        learner = self._learners[port]
        learner.undo()
        return Learnt(port, learner.profile, self._say(f"The last change of {short(port)} is taken back."))

    # inside

    def _learner(self, port: str, profile: Profile) -> Learner:
        return self._learners.setdefault(port, Learner(profile))

    def _bound(self, port: str, midi: Midi) -> Learnt:
        learner, before = self._learners[port], self._learners[port].profile
        learner.arm(self.armed)
        self.armed = ""
        found = learner.hear(midi)
        assert found is not None  # it was a gesture
        new, gone = found
        if learner.profile is before:
            return Learnt(port, before, self._say(f"{where(new)} of {short(port)} does {new.do} already."))
        words = f"{where(new)} of {short(port)} does {new.do} now."
        self._changes.append((port, words))
        words += "".join(f" It no longer does {old.do} ({old.on})." for old in gone if old.on == new.on)
        words += "".join(f" {where(old)} no longer does it." for old in gone if old.on != new.on)
        return Learnt(port, learner.profile, self._say(words))

    def _say(self, words: str) -> str:
        self.said = words
        return words


def where(binding: Binding) -> str:
    """A control, as a person reads it."""
    return binding.on + (f", channel {binding.channel}" if binding.channel else "")


def short(port: str) -> str:
    """A controller as a person calls it: its port's name up to what the system adds."""
    return port.split(":")[0]
