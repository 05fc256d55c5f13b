"""What the audio process and its parent say to each other: lines of JSON on its standard input and output."""

from __future__ import annotations

from typing import Any

import msgspec

from descant.host.edge.audio_memory import Layout


class AudioOrder(msgspec.Struct, frozen=True):
    """How the audio process is to run: the first line it is given.

    devices: names (or parts of them) in order of preference, empty for the default one. inputs, outputs:
    first channel of each, counted from 0, and how many. block: samples a callback, 0 for the device's
    choice. position, seconds, at_rate: the sample that is due at a time of the monotonic clock, and samples
    a second; for one that takes over.
    """

    descriptor: int
    layout: Layout
    devices: tuple[str, ...] = ()
    inputs: tuple[int, int] = (0, 2)
    outputs: tuple[int, int] = (0, 2)
    block: int = 256
    slots: int = 8
    slot_seconds: float = 60.0
    past_seconds: float = 60.0
    position: float = 0.0
    seconds: float = 0.0
    at_rate: float = 0.0


class PressWord(msgspec.Struct, frozen=True, tag="press"):
    """A press for the looper; see host/loop_press.py."""

    at_sample: int
    slot: int
    action: str
    quantise: str = ""
    value: float = 0.0


class TimelineWord(msgspec.Struct, frozen=True, tag="timeline"):
    """Time as it is from now on; see host/loop_state.py."""

    timeline: dict[str, Any]


class LatencyWord(msgspec.Struct, frozen=True, tag="latency"):
    """The measured round trip, in samples."""

    samples: int


class StopWord(msgspec.Struct, frozen=True, tag="stop"):
    """End."""


Down = PressWord | TimelineWord | LatencyWord | StopWord


class DeviceWord(msgspec.Struct, frozen=True, tag="device"):
    """What plays now: a device's name, or "" and why there is none. device_rate: Hz it runs at. inputs: of
    its channels that are heard. latency: seconds from output to input, as the device reports it.
    """

    name: str
    why: str = ""
    device_rate: int = 0
    block: int = 0
    inputs: int = 0
    latency: float = 0.0


class SlotWord(msgspec.Struct, frozen=True):
    """A slot as it stands; length in samples."""

    state: str
    queued: str
    length: float
    place: float
    undos: int
    redos: int
    reversed: bool
    half: bool
    muted: bool
    soloed: bool
    gain: float


class SlotsWord(msgspec.Struct, frozen=True, tag="slots"):
    """All slots, whenever one has changed and now and then."""

    slots: tuple[SlotWord, ...]


class NoteWord(msgspec.Struct, frozen=True, tag="note"):
    """Something that could not be: what, what still works, what to do."""

    what: str
    still: str
    do: str


Up = DeviceWord | SlotsWord | NoteWord


def line(word: msgspec.Struct) -> bytes:
    """A word as it travels."""
    return msgspec.json.encode(word) + b"\n"


def read_down(text: bytes) -> Down:
    word: Down = msgspec.json.decode(text, type=Down)
    return word


def read_up(text: bytes) -> Up:
    word: Up = msgspec.json.decode(text, type=Up)
    return word
