"""What a performer can ask of a loop slot, and what a slot looks like to those who watch it.

Knows nothing about sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from descant.host.errors import LooperError
from descant.host.loop_slot import State

PressAction = Literal[
    "press", "record", "play", "stop", "overdub", "replace", "multiply", "undo", "redo", "reverse", "half",
    "mute", "solo", "clear", "gain", "capture", "stop all",
]  # fmt: skip


@dataclass(frozen=True)
class Press:
    """What a performer asks of a slot at a sample of the timeline.

    "press" is the one-button looper: record, close and play, overdub, play on; a stopped loop plays.
    quantise: "off", "beat", "bar", "n bars", or "" for the looper's own. value: linear gain 0..4 of "gain",
    bars of "capture".
    """

    at_sample: int
    slot: int
    action: PressAction = "press"
    quantise: str = ""
    value: float = 0.0


@dataclass(frozen=True)
class SlotStatus:
    """A slot as it stands. length: samples of a cycle. place: 0..1 of the cycle that sounds, 0 when none
    does.
    """

    state: State
    queued: str
    length: Fraction
    place: float
    undos: int
    redos: int
    reversed: bool
    half: bool
    muted: bool
    soloed: bool
    gain: float


def checked_press(press: Press, slots: int) -> Press:
    """The press itself, where there are `slots` slots. Errors: LooperError naming what is allowed."""
    if not 0 <= press.slot < slots:
        raise refused(f"there is no loop slot {press.slot}", f"use slots 0..{slots - 1}")
    if press.action not in get_args(PressAction):
        raise refused(
            f"a loop slot knows no action {press.action!r}",
            f"use one of: {', '.join(get_args(PressAction))}",
        )
    if press.quantise:
        checked_quantise(press.quantise)
    if press.action == "gain" and not 0 <= press.value <= 4:
        raise refused(f"a gain of {press.value:g} is out of range", "use 0..4 (1 is as recorded)")
    if not 0 <= press.value <= 64:
        raise refused(f"{press.value:g} bars cannot be captured", "use 1..64")
    return press


def checked_quantise(quantise: str) -> str:
    """The quantise itself. Errors: LooperError listing what is allowed."""
    words = quantise.split()
    if quantise in ("off", "beat", "bar"):
        return quantise
    if len(words) == 2 and words[1] == "bars" and words[0].isdecimal() and 1 <= int(words[0]) <= 64:
        return quantise
    raise refused(
        f"loops cannot be launched on {quantise!r}", 'use "off", "beat", "bar" or "2 bars" .. "64 bars"'
    )


def refused(what: str, do: str) -> LooperError:
    return LooperError(what, "every loop goes on as it was", do)
