"""What a pad or knob can be bound to, in groups, each with the words a person chooses it by.

The words of bindings themselves are those of `controller.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from descant.host.parameters import PARAMETERS

LOOP_ACTIONS = (
    ("press", "Record, close, overdub (one button)"),
    ("capture", "Capture what was just generated"),
    ("record", "Record"),
    ("play", "Play"),
    ("stop", "Stop"),
    ("overdub", "Overdub"),
    ("replace", "Replace"),
    ("multiply", "Multiply"),
    ("undo", "Undo"),
    ("redo", "Redo"),
    ("reverse", "Reverse"),
    ("half", "Half speed"),
    ("mute", "Mute"),
    ("solo", "Solo"),
    ("clear", "Clear"),
    ("go on", "Let the generator go on from it"),
)
HUMS = (
    ("arm", "Arm: count in and record"),
    ("last", "Take what was just hummed"),
    ("listen", "Listen to the hum"),
    ("generate", "Generate from the hum"),
    ("redo 1", "Hum bar 1 again"),
    ("snap", "Key: the music's, as heard, off"),
    ("octave", "Mend octaves, or not"),
    ("drop", "Drop the hum"),
)
MOMENTS = (
    ("tap", "Tap the tempo"),
    ("panic", "Panic: everything stops"),
    ("loop 1 stop all", "All loops stop"),
)


@dataclass(frozen=True)
class Function:
    """do: as a binding says it. name: as it is chosen. more: what there is to know."""

    do: str
    name: str
    more: str = ""


@dataclass(frozen=True)
class Group:
    """Functions that belong together."""

    name: str
    functions: tuple[Function, ...]


def groups(pads: Sequence[str], loops: int) -> tuple[Group, ...]:
    """All there is. pads: what each pad of the preset is called. loops: how many there are."""
    slots = (Function(f"slot {n}", f"{n} · {name}") for n, name in enumerate(pads, 1))
    found = [Group("Pads", tuple(slots))]
    found += [
        Group(f"Loop {n}", tuple(Function(f"loop {n} {action}", name) for action, name in LOOP_ACTIONS))
        for n in range(1, loops + 1)
    ]
    found += [
        Group(
            "Knobs", tuple(Function(f"parameter {name}", name, row[2]) for name, row in PARAMETERS.items())
        ),
        Group("Transport", tuple(Function(do, name) for do, name in MOMENTS)),
        Group("Hum", tuple(Function(f"hum {action}", name) for action, name in HUMS)),
    ]
    return tuple(group for group in found if group.functions)


def place_of(do: str, among: Sequence[Group]) -> tuple[int, int] | None:
    """Where a function is: the group and its place there, from 0; None where it is not offered."""
    for number, group in enumerate(among):
        for place, function in enumerate(group.functions):
            if function.do == do:
                return number, place
    return None
