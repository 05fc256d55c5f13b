"""What the stage and its window say to each other: MessagePack on a local socket, a view for each look.

The stage never speaks unasked, so nothing can pile up for a window that hangs. Knows nothing about sockets.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from descant.host.edge.audio_words import SlotWord

VERSION = 1
MAX_BYTES = 1 << 18
"""Of one message, in either direction."""
PLANE = 6
"""The most prompts on the surface."""
OUTLINE = 240
"""Columns of a loop's outline."""

Phase = Literal["starting", "loading", "ready", "generating", "late", "lost", "ended"]
Unit = Annotated[float, Meta(ge=0.0, le=1.0)]
Line = Annotated[str, Meta(max_length=400)]
Points = Annotated[tuple[tuple[Unit, Unit], ...], Meta(max_length=PLANE)]


class Look(msgspec.Struct, frozen=True, tag="look"):
    """Asks for a view. furniture, loops: the versions that the window has; what is newer comes along."""

    version: int = VERSION
    furniture: int = -1
    loops: int = -1


class Act(msgspec.Struct, frozen=True, tag="act"):
    """What a performer wants, in the words of a controller's bindings: "slot 2", "loop 3 press", "parameter
    guidance", "panic", "tap". value: velocity 0..1, or the parameter's."""

    what: Annotated[str, Meta(min_length=1, max_length=64)]
    value: Annotated[float, Meta(ge=-1e6, le=1e6)] = 1.0
    down: bool = True


class Plane(msgspec.Struct, frozen=True, tag="plane"):
    """The surface: where the first pads are (from the left, from the top), and the point that is heard. on:
    whether it is heard at all, or the last pad alone."""

    points: Points
    x: Unit
    y: Unit
    on: bool = True


class Choose(msgspec.Struct, frozen=True, tag="choose"):
    """Another preset, by name; its tempo comes with it."""

    preset: Annotated[str, Meta(min_length=1, max_length=64)]


class Words(msgspec.Struct, frozen=True, tag="words"):
    """Other words for a pad, counted from 0; they start, on its line."""

    slot: Annotated[int, Meta(ge=0, le=127)]
    text: Annotated[str, Meta(min_length=1, max_length=2000)]


class Tempo(msgspec.Struct, frozen=True, tag="tempo"):
    """Quarter notes a minute, from now on."""

    tempo: Annotated[float, Meta(ge=20.0, le=400.0)]


class Ports(msgspec.Struct, frozen=True, tag="ports"):
    """Other devices: the audio device by (part of) its name, "" the default one; a test tone in it or not."""

    device: Annotated[str, Meta(max_length=200)] | None = None
    tone: bool | None = None


class Listen(msgspec.Struct, frozen=True, tag="listen"):
    """A sound file of this machine, heard beside the music from its beginning and recorded by nobody; "" for
    silence."""

    file: Annotated[str, Meta(max_length=4096)]


class Learn(msgspec.Struct, frozen=True, tag="learn"):
    """A step of learning. arm: the next pad or knob that moves is to do this. replace: it may take the place
    of what is in the way. cancel: nothing is learnt. remove: of a controller's binding, as `Bound` shows it.
    undo: of the last change.
    """

    step: Literal["arm", "replace", "cancel", "remove", "undo"]
    do: Annotated[str, Meta(max_length=64)] = ""
    port: Annotated[str, Meta(max_length=400)] = ""
    on: Annotated[str, Meta(max_length=64)] = ""


class Quit(msgspec.Struct, frozen=True, tag="quit"):
    """End the stage: no sound any more."""


Asked = Look | Act | Plane | Choose | Words | Tempo | Ports | Listen | Learn | Quit


class Pad(msgspec.Struct, frozen=True):
    """A prompt of the preset. key: the MIDI note that plays it, or -1."""

    text: str
    stop: bool = False
    key: int = -1


class PresetRow(msgspec.Struct, frozen=True):
    """A preset as the browser shows it."""

    name: str
    description: str
    tempo: float
    prompts: tuple[str, ...]


class Device(msgspec.Struct, frozen=True):
    """An audio device that could be played through. rate: its own, Hz."""

    name: str
    interface: str
    inputs: int
    outputs: int
    rate: int


class Bound(msgspec.Struct, frozen=True):
    """A pad or knob of a controller, what it does, what is not as usual with it. learnt: by moving it, not
    by a profile that somebody wrote."""

    on: str
    do: str
    how: str = ""
    learnt: bool = False


class Controls(msgspec.Struct, frozen=True):
    """A controller. port: its name. profile: the name of its profile, "" where the preset says what it
    does."""

    port: str
    profile: str = ""
    bindings: tuple[Bound, ...] = ()


class Furniture(msgspec.Struct, frozen=True):
    """What changes seldom. pads: of the current preset. parameters: name, lowest, highest, now. takes: the
    folder they are recorded into, "" where nothing is.
    """

    version: int
    preset: str
    pads: tuple[Pad, ...]
    presets: tuple[PresetRow, ...]
    devices: tuple[Device, ...]
    parameters: dict[str, tuple[float, float, float]]
    rate: int
    block: int
    model: str
    controllers: tuple[Controls, ...] = ()
    takes: str = ""


class Coming(msgspec.Struct, frozen=True):
    """A stretch of the plan: from a sample (bar, counted from 0) on these words; none: silence."""

    at_sample: int
    bar: float
    text: str
    slot: int = -1


class Notice(msgspec.Struct, frozen=True):
    """Something to be told, in three lines. number: counts up."""

    number: int
    severity: Literal["info", "warning", "error"]
    what: Line
    still: Line
    do: Line


class Meters(msgspec.Struct, frozen=True):
    """lead_ms: audio ahead of the playhead. real_time_factor: time to make / time it lasts, 0 while nothing
    is made. eased: rung of the overload ladder. inputs, outputs: a (peak, held, clipped samples) for each
    channel, linear."""

    lead_ms: float = 0.0
    real_time_factor: float = 0.0
    load: float = 0.0
    eased: int = 0
    control_delay_ms: float = 0.0
    underruns: int = 0
    xruns: int = 0
    restarts: int = 0
    inputs: tuple[tuple[float, float, float], ...] = ()
    outputs: tuple[tuple[float, float, float], ...] = ()


class HumView(msgspec.Struct, frozen=True):
    """How humming stands; see host/edge/hummer.py. beats: until the recording begins. bar: the one that is
    recorded, from 1. key: what notes are moved to, "" for none. notes: (start s, seconds, MIDI key,
    velocity). trace: MIDI keys with fractions, 0 for none, and confidence 0..1, 62.5 rows a second. follow,
    chance: chroma cosine of music and hum, -1 before.
    """

    state: Literal["idle", "counting", "recording", "listening", "ready"] = "idle"
    beats: int = 0
    bar: int = 0
    bars: int = 0
    snap: Literal["key", "heard", "off"] = "key"
    guard: bool = True
    key: str = ""
    notes: tuple[tuple[float, float, int, int], ...] = ()
    trace: tuple[float, ...] = ()
    confidence: tuple[float, ...] = ()
    follow: float = -1.0
    chance: float = 0.0


class Lesson(msgspec.Struct, frozen=True):
    """How learning stands; see host/lessons.py. armed: what the next pad or knob will do, "" while nothing is
    learnt. in_the_way: what a control that moved does already, "" where nothing is asked. said: how the last
    step ended. last: what undo takes back, "" for nothing.
    """

    armed: str = ""
    in_the_way: str = ""
    said: str = ""
    last: str = ""


class View(msgspec.Struct, frozen=True):
    """How things stand. position: the sample heard now. beat: quarter notes since the start; bar: whole bars.
    commit_ms: what lies nearer than that cannot change any more. slot: the pad that plays, queued: the one
    that waits for its line; -1: none. outlines: of loops that changed, a level 0..255 a column.
    said: the last message of each port, in words. midi_why: why there is no MIDI, "" where there is.
    listened: the file that is heard beside the music, "" for none, and how many seconds of it were heard.
    takes: how many were begun so far, hums too.
    """

    phase: Phase
    why: str = ""
    position: int = 0
    tempo: float = 120.0
    beat: float = 0.0
    bar: int = 0
    beats_a_bar: int = 4
    commit_ms: float = 0.0
    slot: int = -1
    queued: int = -1
    plane: Plane | None = None
    shares: tuple[float, ...] = ()
    plan: tuple[Coming, ...] = ()
    meters: Meters = Meters()
    loops: tuple[SlotWord, ...] = ()
    loops_version: int = 0
    outlines: dict[int, bytes] = {}
    notices: tuple[Notice, ...] = ()
    device: str = ""
    device_why: str = ""
    device_rate: int = 0
    hum: HumView | None = None
    tone: bool = False
    listened: str = ""
    listened_seconds: float = 0.0
    takes: int = 0
    ports: tuple[str, ...] = ()
    said: dict[str, str] = {}
    midi_why: str = ""
    lesson: Lesson = Lesson()
    values: dict[str, float] = {}
    furniture: Furniture | None = None


_ASKED = msgspec.msgpack.Decoder(Asked)
_VIEW = msgspec.msgpack.Decoder(View)
_OUT = msgspec.msgpack.Encoder()


def pack(word: Asked | View) -> bytes:
    """A word as it travels."""
    return _OUT.encode(word)


def read_asked(data: bytes) -> Asked:
    """What a window wants. Raises msgspec.MsgspecError naming the field."""
    asked: Asked = _ASKED.decode(data)
    return asked


def read_view(data: bytes) -> View:
    """What the stage shows. Raises msgspec.MsgspecError."""
    return _VIEW.decode(data)
