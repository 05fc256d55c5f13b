"""The controllers as a window shows them: what each is bound to, what of it was learnt, what it said last.

Thread: any. Knows nothing about ports; profiles and messages are handed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from descant.host.controller import Binding, Profile
from descant.host.edge import stage_words as words
from descant.host.edge.controller_files import profile_for
from descant.host.lessons import Lessons, where
from descant.host.midi_words import Midi

MOST = 512  # bindings of one controller that are shown


def controls_of(profiles: Mapping[str, Profile], written: list[Profile]) -> tuple[words.Controls, ...]:
    """What is bound, by port. written: the profiles that somebody wrote, without those that were learnt."""
    return tuple(
        words.Controls(
            port, profile.name if profile.bindings else "", _bound(profile, profile_for(port, written))
        )
        for port, profile in profiles.items()
    )


def _bound(profile: Profile, written: Profile) -> tuple[words.Bound, ...]:
    return tuple(
        words.Bound(where(row), row.do, _how(row), row not in written.bindings)
        for row in profile.bindings[:MOST]
    )


def _how(row: Binding) -> str:
    """What is not as usual with a binding."""
    low_high = f"{row.range[0]:g} to {row.range[1]:g}" if row.range else ""
    says: Sequence[str] = (
        row.mode if row.mode != "trigger" else "",
        row.encoding if row.encoding != "absolute" else "",
        "inverted" if row.inverted else "",
        "no pick-up" if not row.pick_up else "",
        low_high,
    )
    return ", ".join(part for part in says if part)


def lesson_of(lessons: Lessons) -> words.Lesson:
    """How learning stands."""
    asked = lessons.in_the_way
    return words.Lesson(lessons.armed, asked.words if asked else "", lessons.said, lessons.last)


def bound_as(profile: Profile, on: str, do: str) -> Binding | None:
    """The binding that is shown in these words."""
    return next((row for row in profile.bindings if (where(row), row.do) == (on, do)), None)


def said(midi: Midi) -> str:
    """A message as a person reads it: "note 36, velocity 100, channel 1"."""
    number, value = midi.number, midi.value
    what = {
        "note_on": f"note {number}, velocity {value}",
        "note_off": f"note {number} let go",
        "control": f"cc {number}, value {value}",
        "program": f"program {number}",
        "bend": f"bend {value:+}",
    }.get(midi.kind, midi.kind)
    return f"{what}, channel {midi.channel + 1}" if what != midi.kind else what
