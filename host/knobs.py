"""Fast knobs made slow enough: of the values of each knob the newest, all of them together once in 60 ms.

Each change has the host make again what lies beyond the commit window, frame by frame of 20 ms; under a
knob that says more it would never get ahead of that window. Presses and releases pass at once. Times are
handed in.
"""

from __future__ import annotations

from descant.host.controller import Do
from descant.host.midi_words import Midi

REST_SECONDS = 0.06
LONG_REST_SECONDS = 0.24
"""Where the host has little ahead: each change costs it some columns of the model more."""
CHANNEL_MODE = 120  # controllers from here on are orders: all sound off, all notes off
Wished = tuple[Do | Midi, int, float]
"""What is wanted, at which sample, and when it came in seconds."""


class Knobs:
    """What waits is at most one value of each knob: a channel's controller, or a parameter. rest: seconds."""

    def __init__(self) -> None:
        self.rest = REST_SECONDS
        self._waiting: dict[object, Wished] = {}
        self._spoke = -REST_SECONDS

    def passed(self, wishes: list[Wished], seconds: float) -> list[Wished]:
        """What is to be done now, in order; call it now and then without wishes, too. A press comes after the
        values before it, but for those that still have to wait."""
        ready: list[Wished] = []
        for wished in wishes:
            if (knob := _knob(wished[0])) is None:
                self._release(ready, seconds)
                ready.append(wished)
            else:
                self._waiting.pop(knob, None)  # in the order of their last words
                self._waiting[knob] = wished
        self._release(ready, seconds)
        return ready

    def _release(self, ready: list[Wished], seconds: float) -> None:
        if self._waiting and seconds - self._spoke >= self.rest:
            ready += self._waiting.values()
            self._waiting.clear()
            self._spoke = seconds


def _knob(wish: Do | Midi) -> object:
    """Which knob says it; None for a press or a release."""
    if isinstance(wish, Midi):
        plain = wish.kind == "control" and wish.number < CHANNEL_MODE
        return (wish.channel, wish.number) if plain else None
    return wish.what if wish.what.startswith("parameter ") else None
