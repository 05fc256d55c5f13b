"""What a pad, a key, a program change or a controller means under a preset.

Knows nothing about time: it says what is wanted, the session says when.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass

from descant.host.errors import EventError
from descant.host.events import Bend, Control, NoteOff, NoteOn, Parameter, Program, Trigger
from descant.host.preset import PARAMETERS, Preset

ALL_SOUND_OFF, ALL_NOTES_OFF = (
    120,
    123,
)  # MIDI channel mode messages: both bring silence, the second lets held keys go, too


@dataclass(frozen=True)
class StartSlot:
    """Play a prompt slot of the preset (0..127) or the words of a key (128 + key), on its line, by its
    transition."""

    slot: int


@dataclass(frozen=True)
class SetParameter:
    """Move a number of PARAMETERS as soon as can be."""

    name: str
    value: float


@dataclass(frozen=True)
class ChordNote:
    """A key of the held chord goes down or up."""

    key: int
    down: bool


@dataclass(frozen=True)
class Silence:
    """Fade to silence as soon as can be. let_go: held keys are held no more."""

    let_go: bool = False


Action = StartSlot | SetParameter | ChordNote | Silence
Playable = Trigger | NoteOn | NoteOff | Control | Program | Bend | Parameter


OF_KEY = 128  # plus a key: the slot of the words that a client gave that key


def action_of(event: Playable, preset: Preset, worded: Container[int] = ()) -> Action | None:
    """What an event asks for; None if the preset gives it no meaning. Errors: EventError naming what is
    allowed. worded: the keys that have words of the client's, which go before the preset's.
    """
    match event:
        case Trigger():
            if event.action == "release":
                return None
            if not 0 <= event.slot < len(preset.prompts):
                raise _refused(
                    f"preset {preset.name!r} has no slot {event.slot}",
                    f"use slots 0..{len(preset.prompts) - 1}",
                )
            return StartSlot(event.slot)
        case NoteOn() if event.velocity > 0:
            slot = preset.slot_of_key(_midi("key", event.key))
            if event.key in worded:
                return StartSlot(OF_KEY + event.key)
            if slot is not None:
                return StartSlot(slot)
            return ChordNote(event.key, True) if preset.keys == "chords" else None
        case NoteOn() | NoteOff():
            bound = preset.slot_of_key(_midi("key", event.key)) is not None or event.key in worded
            return None if bound or preset.keys != "chords" else ChordNote(event.key, False)
        case Program():
            slot = preset.slot_of_program(_midi("program", event.program))
            return None if slot is None else StartSlot(slot)
        case Control():
            _midi("value", event.value)
            row = preset.cc.get(str(_midi("controller", event.controller)))
            if row is not None:
                return SetParameter(row.parameter, row.value(event.value))
            if event.controller not in (ALL_SOUND_OFF, ALL_NOTES_OFF):
                return None
            return Silence(let_go=event.controller == ALL_NOTES_OFF)
        case Bend():
            wheel = preset.bend
            return None if wheel is None else SetParameter(wheel.parameter, wheel.part(event.value / 16383))
        case Parameter():
            return SetParameter(event.name, checked_parameter(event.name, event.value))


def checked_parameter(name: str, value: float) -> float:
    """The value, if it is finite and in the parameter's range. Errors: EventError listing names or range."""
    if name not in PARAMETERS:
        raise _refused(f"no parameter is named {name[:80]!r}", f"use one of: {', '.join(PARAMETERS)}")
    low, high, _ = PARAMETERS[name]
    if not math.isfinite(value) or not low <= value <= high:
        raise _refused(f"{name} cannot be {value:g}", f"send {low:g}..{high:g}")
    return float(value)


def _midi(what: str, number: int) -> int:
    if not 0 <= number <= 127:
        raise _refused(f"{what} {number} is no MIDI number", f"send a {what} of 0..127")
    return number


def _refused(what: str, do: str) -> EventError:
    return EventError(what, "the music goes on unchanged", do)
