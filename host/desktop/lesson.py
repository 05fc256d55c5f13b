"""The page of controllers without its widgets: what its rows say, what learning asks for, in which words.

Knows no Qt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from descant.host.edge import stage_words as words
from descant.host.functions import Group, place_of

NONE = "No controller is there; one that is plugged in is found by itself."
PRESET = "no profile: it plays what the preset says"
Mode = Literal["choose", "armed", "asked"]
MODES: tuple[Mode, ...] = ("choose", "armed", "asked")


@dataclass(frozen=True)
class Row:
    """A row of the list. kind: a controller, its last message, or something bound. bound: only then."""

    text: str
    kind: Literal["port", "last", "bound"]
    port: str
    bound: words.Bound | None = None


def row_of(bound: words.Bound) -> str:
    """What one of its pads or knobs does, in one line."""
    how = f" ({bound.how})" if bound.how else ""
    return f"{'learnt: ' if bound.learnt else ''}{bound.on}  →  {bound.do}{how}"


def rows_of(controls: Sequence[words.Controls]) -> list[Row]:
    """All rows: each controller, what it said last, what it is bound to."""
    rows: list[Row] = []
    for one in controls:
        rows.append(Row(f"{one.port} · {one.profile or PRESET}", "port", one.port))
        rows.append(Row("silent so far", "last", one.port))
        rows += [Row(row_of(bound), "bound", one.port, bound) for bound in one.bindings]
    return rows


def place_after(before: Sequence[Row], at: int, after: Sequence[Row]) -> int:
    """Where the cursor goes when the rows change: to what was learnt just now, else it stays where it is."""
    known = {(row.port, row.bound.on, row.bound.do) for row in before if row.bound}
    ports = {row.port for row in before}
    for place, row in enumerate(after):
        if (
            row.bound
            and row.bound.learnt
            and row.port in ports
            and (row.port, row.bound.on, row.bound.do) not in known
        ):
            return place
    return max(0, min(at, len(after) - 1))


def mode_of(lesson: words.Lesson) -> Mode:
    """What is to be done: choose a function, move a control, or answer."""
    if not lesson.armed:
        return "choose"
    return "asked" if lesson.in_the_way else "armed"


def asks(lesson: words.Lesson, groups: Sequence[Group]) -> str:
    """What the performer is to do, "" where they may choose."""
    match mode_of(lesson):
        case "armed":
            return f"{name_of(lesson.armed, groups)}: now press the pad or turn the knob for it."
        case "asked":
            return lesson.in_the_way
    return ""


def name_of(do: str, groups: Sequence[Group]) -> str:
    """A function as it was chosen; as bindings say it where it is not offered."""
    place = place_of(do, groups)
    if place is None:
        return do
    group = groups[place[0]]
    name = group.functions[place[1]].name
    return f"{group.name.removesuffix('s')} {name}" if group.name in ("Pads", "Knobs") else (
        f"{group.name}: {name}" if group.name.startswith("Loop") else name
    )  # fmt: skip


def summary(controls: Sequence[words.Controls], why: str) -> str:
    """What there is. why: why there is no MIDI, "" where there is."""
    if not controls:
        return why or NONE
    bound = sum(len(row.bindings) for row in controls)
    learnt = sum(binding.learnt for row in controls for binding in row.bindings)
    many = f"{len(controls)} controller{'s' if len(controls) != 1 else ''}"
    return f"{many}, {bound} bound, {learnt} learnt"
