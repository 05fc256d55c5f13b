"""THE protocol: the one table that both ends, the golden bytes, the C header and the page are made from.

Each class below is a row of the table: `@row(number, sender)` gives its type number and which end sends
it, its annotations give the fields in wire order with their ranges, its docstring says what it means.
`python -m descant.plugin_bridge.wire --page|--header|--golden|--check` prints or checks what is generated.

A message on the wire is one or more parts (ZeroMQ multipart). Part 0 is the header `<HHQIq` (magic and
version, type, session, sequence, at_sample) followed by the packed scalars of the fields, no padding; then
one raw part for each text, name list or audio field, in field order. All numbers are little-endian.
The header and `refused` never change, whatever the version: a stranger can always read why it was refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from descant.plugin_bridge.codec import Header, decode, encode, peek
from descant.plugin_bridge.errors import Code, WireError
from descant.plugin_bridge.fields import (
    MAX_BLOCK_SAMPLES,
    MAX_CHANNELS,
    MAX_NOTED,
    Beats,
    Channels,
    Line,
    Midi,
    MidiChannel,
    Name,
    Names,
    OptionalName,
    Position,
    Rate,
    Samples,
    Text,
    Wave,
    f32,
    f64,
    u8,
    u16,
    u32,
    u64,
)
from descant.plugin_bridge.table import (
    BY_CLASS,
    BY_NUMBER,
    HEADER,
    HEARTBEAT_MISSES,
    HEARTBEAT_MS,
    MAX_PART_BYTES,
    MAX_PARTS,
    MAX_PROMPT,
    PROTOCOL_VERSION,
    ROWS,
    VERSIONS,
    Message,
    row,
)

__all__ = [
    "BY_CLASS",
    "BY_NUMBER",
    "HEADER",
    "HEARTBEAT_MISSES",
    "HEARTBEAT_MS",
    "MAX_BLOCK_SAMPLES",
    "MAX_CHANNELS",
    "MAX_PARTS",
    "MAX_PART_BYTES",
    "MAX_PROMPT",
    "PROTOCOL_VERSION",
    "ROWS",
    "VERSIONS",
    "Audio",
    "Bend",
    "Capture",
    "Code",
    "Control",
    "Fallback",
    "Fault",
    "Goodbye",
    "Header",
    "Heartbeat",
    "Hello",
    "KeyPrompt",
    "Message",
    "Meter",
    "Mix",
    "Mode",
    "NoteOff",
    "NoteOn",
    "Noted",
    "Parameter",
    "Plan",
    "Preset",
    "Program",
    "Prompt",
    "Recount",
    "Refused",
    "Sync",
    "Synced",
    "Transport",
    "Trigger",
    "Welcome",
    "WireError",
    "decode",
    "encode",
    "peek",
    "refusal",
]


if __name__ == "__main__":  # before the table is entered a second time
    from descant.plugin_bridge.printing import main

    raise SystemExit(main())


@row(1, "bridge")
class Hello(Message, frozen=True, eq=False):
    """First message, and again after a loss (then with the old session in the header). Empty model or
    preset: the host's default. lead_ms: audio wanted ahead of the playhead; commit_ms: its part that can
    no longer change; 0: as the preset says."""

    sample_rate: Rate
    block_size: Annotated[int, u32(1, 65536)]
    channels: Channels
    client: Name
    model: OptionalName = ""
    preset: OptionalName = ""
    lead_ms: Annotated[int, u32(0, 60000)] = 0
    commit_ms: Annotated[int, u32(0, 60000)] = 0
    seed: Annotated[int, u64()] = 0


@row(2, "host")
class Welcome(Message, frozen=True, eq=False):
    """Answer to hello; the session stands in the header. protocol: the version spoken from now on.
    sample_rate, block_size, channels: the client's, as agreed. controls: what the model listens to."""

    protocol: Annotated[int, u16(1, 255)]
    sample_rate: Rate
    block_size: Annotated[int, u32(1, 65536)]
    channels: Channels
    model: Name
    weights_hash: OptionalName
    controls: Annotated[tuple[str, ...], Names(64, 64)] = ()
    presets: Annotated[tuple[str, ...], Names(256, 200)] = ()


@row(3, "host")
class Refused(Message, frozen=True, eq=False):
    """A message, or a hello, was not accepted. code: why. refers_to: the sequence of what was refused.
    version_low..version_high: the protocol versions that would work. Readable by every version, for ever."""

    code: Annotated[int, u16()]
    refers_to: Annotated[int, u32()]
    version_low: Annotated[int, u16(1, 255)]
    version_high: Annotated[int, u16(1, 255)]
    what: Line
    still: Line
    do: Line


@row(4, "both")
class Heartbeat(Message, frozen=True, eq=False):
    """Sign of life from a work loop, every 50 ms; three missed are a loss. From a bridge also its credit:
    playhead: the sample heard next. free_samples: how many samples from the playhead on it accepts. jumps:
    how often so far the playhead was moved instead of played on (a rewind, a loop, a leap beyond what has
    come): when it changes, all that is not heard yet is made again from the new place."""

    playhead: Position = 0
    free_samples: Annotated[int, u32()] = 0
    jumps: Annotated[int, u32()] = 0


@row(5, "both")
class Goodbye(Message, frozen=True, eq=False):
    """The sender leaves; its session is closed at once."""

    reason: OptionalName = ""


@row(6, "bridge")
class Mode(Message, frozen=True, eq=False):
    """Real time, or offline: the client reads as fast as audio comes, and waits for it."""

    mode: Literal["realtime", "offline"]


@row(7, "bridge")
class Sync(Message, frozen=True, eq=False):
    """Offline: the bridge waits for audio. playhead, free_samples: as in a heartbeat, whose place it takes.
    until: what it reads next ends before this sample. The host answers with `synced` once it has followed
    all that was said before and sent what is heard before `until`."""

    playhead: Position
    free_samples: Annotated[int, u32()]
    until: Position


@row(8, "bridge")
class Recount(Message, frozen=True, eq=False):
    """The bridge keeps a record: it wants to be told, by `noted`, of all that the session has taken in and
    takes in from now on."""


@row(16, "bridge")
class Trigger(Message, frozen=True, eq=False):
    """A pad. slot: which."""

    slot: Midi
    velocity: Midi = 127
    action: Literal["press", "release"] = "press"


@row(17, "bridge")
class NoteOn(Message, frozen=True, eq=False):
    """A key goes down. Velocity 0 does not exist here: send note_off."""

    midi_channel: MidiChannel
    key: Midi
    velocity: Annotated[int, u8(1, 127)]


@row(18, "bridge")
class NoteOff(Message, frozen=True, eq=False):
    """A key comes up."""

    midi_channel: MidiChannel
    key: Midi
    velocity: Midi = 0


@row(19, "bridge")
class Control(Message, frozen=True, eq=False):
    """A MIDI control change."""

    midi_channel: MidiChannel
    controller: Midi
    value: Midi


@row(20, "bridge")
class Program(Message, frozen=True, eq=False):
    """A MIDI program change."""

    midi_channel: MidiChannel
    program: Midi


@row(21, "bridge")
class Parameter(Message, frozen=True, eq=False):
    """One automatable number of the session, by name."""

    name: Name
    value: Annotated[float, f64(-1e9, 1e9)]


@row(22, "bridge")
class Prompt(Message, frozen=True, eq=False):
    """The words bound to a slot, 1 to 2000 characters."""

    slot: Midi
    text: Annotated[str, Text(1, MAX_PROMPT)]


@row(23, "bridge")
class Preset(Message, frozen=True, eq=False):
    """Change to the named preset."""

    name: Name


@row(24, "bridge")
class Transport(Message, frozen=True, eq=False):
    """The DAW's transport from at_sample on. tempo: quarter notes per minute. beat: quarter notes from
    song start at at_sample. numerator/denominator: the metre. loop_start..loop_end: beats, used when
    looping."""

    tempo: Annotated[float, f64(1, 1000)]
    beat: Beats = 0.0
    numerator: Annotated[int, u8(1, 64)] = 4
    denominator: Annotated[int, u8(1, 64)] = 4
    playing: bool = True
    loop_start: Beats = 0.0
    loop_end: Beats = 0.0
    looping: bool = False


@row(25, "bridge")
class Capture(Message, frozen=True, eq=False):
    """A piece of audio into the host. clip: which clip; index: which piece of it, from 0; last: it is
    complete. sample_rate: of this audio, Hz. role: a melody clip to follow, or the live input. wave: [C,
    n] float32."""

    clip: Annotated[int, u32()]
    sample_rate: Rate
    index: Annotated[int, u32()]
    last: bool
    role: Literal["melody", "live"]
    wave: Annotated[Wave, Samples()]


@row(26, "bridge")
class Bend(Message, frozen=True, eq=False):
    """The pitch bend wheel. value: 14 bits; 8192 is its rest."""

    midi_channel: MidiChannel
    value: Annotated[int, u16(0, 16383)]


@row(27, "bridge")
class KeyPrompt(Message, frozen=True, eq=False):
    """The words that a key plays from now on, whatever the preset says of it, up to 2000 characters; none:
    what the preset says. Nothing starts by it."""

    key: Midi
    text: Annotated[str, Text(0, MAX_PROMPT)] = ""


@row(28, "bridge")
class Mix(Message, frozen=True, eq=False):
    """How much of each of the pads 0..5 is in the words from now on, by weight, in the place of what the
    parameters xy, x and y say; all 0: what those say. A pad that is missing or a stop is passed over."""

    pad_0: Annotated[float, f32(0, 1)] = 0.0
    pad_1: Annotated[float, f32(0, 1)] = 0.0
    pad_2: Annotated[float, f32(0, 1)] = 0.0
    pad_3: Annotated[float, f32(0, 1)] = 0.0
    pad_4: Annotated[float, f32(0, 1)] = 0.0
    pad_5: Annotated[float, f32(0, 1)] = 0.0


@row(32, "host")
class Audio(Message, frozen=True, eq=False):
    """Audio addressed by the header's at_sample, at the client's rate. A later epoch replaces the earlier
    audio from its first sample on. wave: [C, n] float32, full scale 1.0."""

    epoch: Annotated[int, u32()]
    wave: Annotated[Wave, Samples()]


@row(33, "host")
class Plan(Message, frozen=True, eq=False):
    """What comes: from from_sample (bar number `bar`, counted from 0) on, in words; none: silence."""

    epoch: Annotated[int, u32()]
    from_sample: Position
    bar: Beats
    text: Annotated[str, Text(0, MAX_PROMPT)] = ""


@row(34, "host")
class Meter(Message, frozen=True, eq=False):
    """How the session fares. lead_ms: audio ahead of the playhead. real_time_factor: time to make / time
    it lasts. control_delay: event to first changed sample, ms. load: busy share of the engine, 0..1 (more
    when late). eased: rung of the overload ladder, 0: all is made as asked."""

    lead_ms: Annotated[float, f32(-1e6, 1e6)]
    real_time_factor: Annotated[float, f32(0, 1e6)]
    underruns: Annotated[int, u32()]
    control_delay_ms_p50: Annotated[float, f32(0, 1e6)]
    control_delay_ms_p95: Annotated[float, f32(0, 1e6)]
    load: Annotated[float, f32(0, 1e3)]
    eased: Annotated[int, u8(0, 15)] = 0


@row(35, "host")
class Fault(Message, frozen=True, eq=False):
    """Something went wrong with the session. what happened, what still works, what to do: one line each."""

    code: Annotated[int, u16()]
    severity: Literal["info", "warning", "error"]
    what: Line
    still: Line
    do: Line


@row(36, "host")
class Synced(Message, frozen=True, eq=False):
    """Answer to `sync`: all audio that it asked for is on its way before this; what has not come is silence.
    refers_to: the sequence of that sync."""

    refers_to: Annotated[int, u32()]


@row(37, "host")
class Fallback(Message, frozen=True, eq=False):
    """What the bridge plays from now on when no audio comes that should: nothing (a fade), or its last bar
    again and again. A session begins with fade."""

    manner: Literal["fade", "hold"]


@row(38, "host")
class Noted(Message, frozen=True, eq=False):
    """What the session took in since it last told, in the order in which it did; with the model and the seed,
    enough to make the same samples again. entries: a line each. "event SEQUENCE CHANGEABLE" is the bridge's
    message of that sequence, and the first sample that could still change then; "restart AT CHANGEABLE", the
    stream was begun anew for being late; "ease RUNG AT CHANGEABLE", another rung of the overload ladder.
    complete: nothing has been left out since the session began."""

    complete: bool
    entries: Annotated[str, Text(0, MAX_NOTED)]


def refusal(error: WireError, refers_to: int = 0, session: int = 0) -> Refused:
    """The refusal that answers a message which raised `error`."""
    low, high = VERSIONS
    lines = (
        (line or "-").replace("\0", " ").encode("utf-8", "replace").decode()[:500]
        for line in (error.what, error.still, error.do)
    )
    return Refused(int(error.code) & 0xFFFF, refers_to, low, high, *lines, session=session)
