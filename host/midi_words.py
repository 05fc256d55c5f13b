"""MIDI bytes as one small value, and back: what a controller says and what lights its pads.

Knows nothing about ports or about what a message means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "note_on", "note_off", "control", "program", "bend", "clock", "start", "continue", "stop", "position"
]
_CHANNEL: dict[int, Kind] = {
    0x80: "note_off",
    0x90: "note_on",
    0xB0: "control",
    0xC0: "program",
    0xE0: "bend",
}
_SYSTEM: dict[int, Kind] = {0xF2: "position", 0xF8: "clock", 0xFA: "start", 0xFB: "continue", 0xFC: "stop"}


@dataclass(frozen=True)
class Midi:
    """One message. channel: 0..15. number: key, controller or program, 0..127.

    value: velocity or value 0..127; of "bend" -8192..8191; of "position" sixteenths from the start of the
    song.
    """

    kind: Kind
    channel: int = 0
    number: int = 0
    value: int = 0


def read_midi(data: bytes | list[int]) -> Midi | None:
    """A whole message as its value; None for one that is cut short or that nothing here listens to."""
    if not data:
        return None
    status, rest = data[0], data[1:]
    if any(byte > 127 for byte in rest[:2]):
        return None
    if status in _SYSTEM:
        if _SYSTEM[status] != "position":
            return Midi(_SYSTEM[status])
        return Midi("position", value=rest[0] | rest[1] << 7) if len(rest) >= 2 else None
    kind, channel = _CHANNEL.get(status & 0xF0), status & 0x0F
    if kind is None or len(rest) < (1 if kind == "program" else 2):
        return None
    if kind == "program":
        return Midi(kind, channel, rest[0])
    if kind == "bend":
        return Midi(kind, channel, 0, (rest[0] | rest[1] << 7) - 8192)
    if kind == "note_on" and rest[1] == 0:
        return Midi("note_off", channel, rest[0])
    return Midi(kind, channel, rest[0], rest[1])


def write_midi(message: Midi) -> bytes:
    """The bytes of a message."""
    kind, value = message.kind, message.value
    for status, name in _SYSTEM.items():
        if name == kind:
            return bytes([status, value & 127, value >> 7]) if kind == "position" else bytes([status])
    status = next(status for status, name in _CHANNEL.items() if name == kind) | message.channel
    if kind == "program":
        return bytes([status, message.number])
    if kind == "bend":
        return bytes([status, (value + 8192) & 127, (value + 8192) >> 7])
    return bytes([status, message.number, value])
