"""A controller's profile and its state: what its pads, keys, knobs and wheels do here, beyond what the
preset says.

A message that no binding takes passes on unchanged, so an unknown controller plays the preset at once.
Knows nothing about ports, time or sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec

from descant.host.errors import DeviceError
from descant.host.loop_press import PressAction
from descant.host.midi_words import Midi
from descant.host.preset import PARAMETERS

Mode = Literal["trigger", "gate", "toggle", "retrigger"]
Encoding = Literal["absolute", "two's complement", "binary offset", "sign magnitude"]
Shown = Literal["empty", "queued", "generating", "playing", "error"]
SOURCES = ("note", "cc", "program", "bend")
TRANSPORT = ("start", "continue", "stop")  # sources without a number, of what sends a clock
PICK_UP = 2  # steps of a knob within which it has met the value it takes over
STEPS = 127.0
GO_ON = "go on"  # of a loop: what the generator plays goes on from it
HUM = ("arm", "last", "listen", "generate", "snap", "octave", "drop")


class Binding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pad, key, knob or wheel.

    on: "note 36", "cc 74", "program 3", "bend", or a clock's "start", "continue" or "stop". channel: 1..16, 0
    for any. do: "slot 2" (a prompt of the preset, from 1), "loop 3 press" (or another action of a loop),
    "parameter guidance", "hum arm" (or another of HUM), "hum redo 2" (a bar, from 1), "panic" or "tap".
    mode: of pads and keys; "gate" ends at release, "toggle" at the next press. encoding: how a knob counts.
    pick_up: an absolute knob does nothing until it meets the value that holds. scaled: instead, what is left
    of its way moves the value over what is left of its own, so that both arrive together and nothing leaps.
    range: what 0 and 127 mean, a parameter's own range by default.
    """

    on: str
    do: str
    channel: int = 0
    mode: Mode = "trigger"
    encoding: Encoding = "absolute"
    pick_up: bool = True
    inverted: bool = False
    range: tuple[float, float] | None = None
    scaled: bool = False

    @property
    def source(self) -> tuple[str, int]:
        """("note", 36)."""
        kind, _, number = self.on.partition(" ")
        return kind, int(number or 0)


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a controller. port: part of its port's name. lights: velocities that colour its
    pads.
    """

    name: str
    port: str = ""
    bindings: tuple[Binding, ...] = ()
    lights: dict[Shown, int] = {}


@dataclass(frozen=True)
class Do:
    """What is wanted: words of `Binding.do`; down: a press, or the end of one. value: velocity 0..1, or the
    parameter's.
    """

    what: str
    down: bool = True
    value: float = 1.0


def checked_profile(data: Mapping[str, Any], file: str) -> Profile:
    """A profile from a file's data. Errors: DeviceError naming the field and what is allowed."""
    try:
        profile = msgspec.convert(data, Profile)
        for binding in profile.bindings:
            check_binding(binding)
    except (msgspec.ValidationError, ValueError) as error:
        raise DeviceError(
            f"{file} is no controller profile: {error}.",
            "The controller plays what the preset says.",
            "Correct the file, or remove it.",
        ) from error
    return profile


def check_binding(binding: Binding) -> None:
    """Raises ValueError naming what is allowed."""
    kind, _, number = binding.on.partition(" ")
    numbered = kind in SOURCES and kind != "bend" and number.isdecimal() and int(number) <= 127
    if not numbered and binding.on not in ("bend", *TRANSPORT):
        raise ValueError(
            f'on = "{binding.on}"; use "note 0".."note 127", "cc 0".., "program 0".., "bend", "start", '
            '"continue" or "stop"'
        )
    if binding.on in TRANSPORT and (binding.do.startswith("parameter ") or binding.mode != "trigger"):
        raise ValueError(f'on = "{binding.on}" is a moment: it moves no parameter, and its mode is "trigger"')
    if not 0 <= binding.channel <= 16:
        raise ValueError(f"channel = {binding.channel}; use 1..16, or 0 for any")
    words = binding.do.split(" ", 2)
    right = (
        binding.do in ("panic", "tap")
        or (words[0] == "slot" and len(words) == 2 and words[1].isdecimal() and 1 <= int(words[1]) <= 128)
        or (words[0] == "parameter" and len(words) == 2 and words[1] in PARAMETERS)
        or (words[0] == "loop" and len(words) == 3 and words[1].isdecimal() and int(words[1]) >= 1
            and words[2] in (*get_args(PressAction), GO_ON))
        or (words[0] == "hum" and (" ".join(words[1:]) in HUM or (words[1:2] == ["redo"] and len(words) == 3
            and words[2].isdecimal() and int(words[2]) >= 1)))
    )  # fmt: skip
    if not right:
        raise ValueError(
            f'do = "{binding.do}"; use "slot N", "loop N ACTION", "parameter NAME", "hum ACTION", "panic" '
            'or "tap"'
        )


class Controller:
    """One connected controller. values: what the parameters are now, kept by the caller; shared with
    others.
    """

    def __init__(self, profile: Profile, values: dict[str, float]) -> None:
        self.profile = profile
        self._values = values
        self._on: set[Binding] = set()  # toggles that are on
        self._sent: dict[Binding, float] = {}  # what knobs set last
        self._last: dict[Binding, float] = {}  # where knobs stood last
        self._held: dict[tuple[int, int], Midi] = {}  # notes that are down
        self._bank = [0] * 16

    def take(self, midi: Midi) -> list[Do | Midi]:
        """What a message asks for: bindings' wishes, or itself where there is no binding."""
        if midi.kind == "note_on":
            self._held[midi.channel, midi.number] = midi
        elif midi.kind == "note_off":
            self._held.pop((midi.channel, midi.number), None)
        elif midi.kind == "control" and midi.number == 0:
            self._bank[midi.channel] = midi.value
        found = [binding for binding in self.profile.bindings if self._is_of(binding, midi)]
        if not found:
            if midi.kind in TRANSPORT or (midi.kind == "program" and self._bank[midi.channel]):
                return []  # the clock's own; and another bank's programs are bound by nobody
            return [midi]
        return [do for binding in found if (do := self._do(binding, midi)) is not None]

    def let_go(self) -> list[Do | Midi]:
        """It was unplugged, in mid-note perhaps, or panic was pressed: the ends of all that is held. Toggles
        are off from now on."""
        self._on.clear()
        held, self._held = list(self._held.values()), {}
        return [end for midi in held for end in self.take(Midi("note_off", midi.channel, midi.number))]

    def rebind(self, profile: Profile) -> None:
        """Another profile, or the same one after something was learnt."""
        self.profile = profile
        self._sent.clear()

    def _is_of(self, binding: Binding, midi: Midi) -> bool:
        kind, number = binding.source
        if kind in TRANSPORT:
            return midi.kind == kind
        if binding.channel and binding.channel != midi.channel + 1:
            return False
        if kind == "note":
            return midi.kind in ("note_on", "note_off") and midi.number == number
        if kind == "bend":
            return midi.kind == "bend"
        return midi.kind == {"cc": "control", "program": "program"}[kind] and midi.number == number

    def _do(self, binding: Binding, midi: Midi) -> Do | None:
        if binding.do.startswith("parameter "):
            return self._moved(binding, midi)
        down = midi.kind in ("note_on", "program", *TRANSPORT) or (
            midi.kind == "control" and midi.value >= 64
        )
        strength = midi.value / STEPS if midi.kind in ("note_on", "control") else 1.0
        match binding.mode:
            case "gate":
                return Do(binding.do, down, strength)
            case "toggle":
                if not down:
                    return None
                self._on ^= {binding}
                return Do(binding.do, binding in self._on, strength)
            case "retrigger":
                return Do(binding.do, True, strength) if down else None
            case _:
                if not down:
                    self._on.discard(binding)
                    return None
                again = binding in self._on  # a knob that stays high is one press
                if midi.kind == "control":
                    self._on.add(binding)
                return None if again else Do(binding.do, True, strength)

    def _moved(self, binding: Binding, midi: Midi) -> Do | None:
        name = binding.do.split(" ", 1)[1]
        low, high = binding.range or PARAMETERS[name][:2]
        now = self._values.get(name)
        if binding.encoding != "absolute" and midi.kind == "control":
            steps = relative_steps(midi.value, binding.encoding) * (-1 if binding.inverted else 1)
            start = (low + high) / 2 if now is None else now
            value = min(max(start + steps * (high - low) / STEPS, min(low, high)), max(low, high))
        else:
            share = (midi.value + 8192) / 16383 if midi.kind == "bend" else midi.value / STEPS
            value = low + (1 - share if binding.inverted else share) * (high - low)
            if binding.scaled and midi.kind == "control":
                found = self._scaled(binding, value, now)
                if found is None:
                    return None
                value = found
            elif binding.pick_up and midi.kind == "control" and not self._has_met(binding, value, now):
                return None
            self._sent[binding] = value
        self._values[name] = value
        return Do(binding.do, True, value)

    def _scaled(self, binding: Binding, place: float, now: float | None) -> float | None:
        """The value where a knob has moved to a place, None where that tells nothing yet; both in the
        parameter's unit."""
        before, self._last[binding] = self._last.get(binding), place
        if now is None or before == now:
            return place
        if before is None or place == before:
            return None
        low, high = binding.range or PARAMETERS[binding.do.split(" ", 1)[1]][:2]
        end = max(low, high) if place > before else min(low, high)
        if place == end or now == end:
            return end
        return now + (place - before) * (end - now) / (end - before)

    def _has_met(self, binding: Binding, value: float, now: float | None) -> bool:
        """Whether an absolute knob has met the value that holds, since somebody else moved that."""
        before, self._last[binding] = self._last.get(binding), value
        if now is None or (binding in self._sent and self._sent[binding] == now):
            return True
        low, high = binding.range or PARAMETERS[binding.do.split(" ", 1)[1]][:2]
        near = abs(value - now) <= PICK_UP * abs(high - low) / STEPS
        return near or (before is not None and min(before, value) <= now <= max(before, value))


def relative_steps(value: int, encoding: Encoding) -> int:
    """How far an endless knob turned, by its encoding; 0..127 in, -64..63 out."""
    if encoding == "two's complement":
        return value - 128 if value >= 64 else value
    if encoding == "binary offset":
        return value - 64
    return -(value - 64) if value >= 64 else value


def light(profile: Profile, binding: Binding, shown: Shown) -> Midi | None:
    """What tells a pad to show a state; None for a controller without lights or something that is no pad."""
    kind, number = binding.source
    if kind != "note" or shown not in profile.lights:
        return None
    return Midi("note_on", max(0, binding.channel - 1), number, profile.lights[shown])
