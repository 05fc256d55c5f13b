"""What goes into a session and what comes out of it: small frozen values, one for each message of the wire.

Knows nothing about bytes, sockets or models. Every event says `at_sample`, its position on the client's own
timeline in samples at the client's rate (>= 0). host/translate.py maps these to and from the wire.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]  # [C, n] float32, -1..1


@dataclass(frozen=True)
class SessionHello:
    """Who opens a session and how it listens.

    sample_rate: Hz of the client's device, 8000..384000. block_size: samples, 1..65536. channels: 1..8
    wanted. model: name or "" for the one that is loaded. preset: name or "" for the first one.
    lead_ms, commit_ms: 0 takes the preset's. seed: 0..2**64 - 1, the same seed and events give the same
    samples.
    """

    sample_rate: int
    block_size: int = 256
    channels: int = 2
    client: str = ""
    model: str = ""
    preset: str = ""
    lead_ms: float = 0.0
    commit_ms: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class SessionWelcome:
    """What an opened session promises; the numbers are those that hold, not those that were asked for."""

    session: int
    sample_rate: int
    block_size: int
    channels: int
    model: str
    weights_hash: str
    controls: tuple[str, ...]
    presets: tuple[str, ...]
    preset: str
    lead_ms: float
    commit_ms: float


@dataclass(frozen=True)
class Trigger:
    """A pad: slot 0..127 of the preset's prompts, velocity 0..127."""

    at_sample: int
    slot: int
    velocity: int = 100
    action: Literal["press", "release"] = "press"


@dataclass(frozen=True)
class NoteOn:
    """key 0..127 (60 is middle C), velocity 0..127 (0 is a note off), midi_channel 0..15."""

    at_sample: int
    key: int
    velocity: int = 100
    midi_channel: int = 0


@dataclass(frozen=True)
class NoteOff:
    at_sample: int
    key: int
    velocity: int = 0
    midi_channel: int = 0


@dataclass(frozen=True)
class Control:
    """A MIDI control change: controller 0..127, value 0..127."""

    at_sample: int
    controller: int
    value: int
    midi_channel: int = 0


@dataclass(frozen=True)
class Program:
    """A MIDI program change: program 0..127."""

    at_sample: int
    program: int
    midi_channel: int = 0


@dataclass(frozen=True)
class Bend:
    """The pitch bend wheel: value 0..16383, 8192 at rest."""

    at_sample: int
    value: int
    midi_channel: int = 0


@dataclass(frozen=True)
class Parameter:
    """A named number, in the parameter's own unit and range (host/preset.py: PARAMETERS)."""

    at_sample: int
    name: str
    value: float


@dataclass(frozen=True)
class Prompt:
    """New words for a slot (1..2000 characters), which also triggers it."""

    at_sample: int
    slot: int
    text: str


@dataclass(frozen=True)
class Mix:
    """How much of the pads 0..5 is in the words, by weight 0..1; all 0: as the parameters xy, x and y say."""

    at_sample: int
    pad_0: float = 0.0
    pad_1: float = 0.0
    pad_2: float = 0.0
    pad_3: float = 0.0
    pad_4: float = 0.0
    pad_5: float = 0.0

    @property
    def weights(self) -> tuple[float, ...]:
        """One for each of those pads."""
        return self.pad_0, self.pad_1, self.pad_2, self.pad_3, self.pad_4, self.pad_5


@dataclass(frozen=True)
class KeyPrompt:
    """The words that a key 0..127 plays from now on; "": what the preset says of it. Nothing starts by it."""

    at_sample: int
    key: int
    text: str


@dataclass(frozen=True)
class PresetChange:
    """From here on the pads, keys and controllers mean what preset `name` says; what plays goes on."""

    at_sample: int
    name: str


@dataclass(frozen=True)
class TransportEvent:
    """The DAW's transport at `at_sample`.

    tempo: quarter notes a minute. beat: quarter notes from the start of the song. numerator/denominator:
    metre. loop_start, loop_end: quarter notes, used when looping.
    """

    at_sample: int
    tempo: float
    beat: float
    numerator: int = 4
    denominator: int = 4
    playing: bool = True
    loop_start: float = 0.0
    loop_end: float = 0.0
    looping: bool = False


@dataclass(frozen=True)
class Capture:
    """One part of a recorded clip; index counts parts from 0, `last` closes the clip.

    part: [C, n] float32 at sample_rate Hz. role: "melody" to be followed; "live": music to go on from, its
    latest seconds.
    at_sample: where the clip's first sample lay on the timeline.
    """

    at_sample: int
    clip_id: int
    sample_rate: int
    part: Wave = field(repr=False)
    index: int = 0
    last: bool = True
    role: Literal["melody", "live"] = "melody"


@dataclass(frozen=True)
class Mode:
    """ "offline": no lead limit, only credit bounds what is made. "realtime": lead and credit bound it."""

    at_sample: int
    mode: Literal["realtime", "offline"]


@dataclass(frozen=True)
class Heartbeat:
    """The client's clock: playhead = next sample it will play; free_samples = how many past it are accepted.

    underruns: how many short reads the client has counted since it began. jumps: how often its playhead was
    moved instead of played on. sequence: 0..2**32 - 1, counts up and wraps, so that an older heartbeat is
    known as such; None: they come in order.
    """

    at_sample: int
    playhead: int
    free_samples: int
    underruns: int = 0
    jumps: int = 0
    sequence: int | None = None


@dataclass(frozen=True)
class Goodbye:
    at_sample: int
    reason: str = ""


@dataclass(frozen=True)
class Sync:
    """The client waits, offline, for the audio before `until`. playhead, free_samples: as of a Heartbeat.

    sequence: names it in the answer.
    """

    at_sample: int
    playhead: int
    free_samples: int
    until: int
    sequence: int


@dataclass(frozen=True)
class Recount:
    """The client wants to be told what its session takes in."""

    at_sample: int


HostEvent = (
    Trigger
    | NoteOn
    | NoteOff
    | Control
    | Program
    | Bend
    | Parameter
    | Prompt
    | KeyPrompt
    | Mix
    | PresetChange
    | TransportEvent
    | Capture
    | Mode
    | Heartbeat
    | Sync
    | Recount
    | Goodbye
)


@dataclass(frozen=True)
class AudioOut:
    """wave [C, n] float32 at the client's rate, to be played from at_sample; replaces lower epochs from
    there on.
    """

    at_sample: int
    epoch: int
    wave: Wave = field(repr=False)


@dataclass(frozen=True)
class PlanOut:
    """What comes: prompt `text` from sample `from_sample` on, which is bar `bar` (0 = first) of the song."""

    epoch: int
    from_sample: int
    bar: float
    text: str


@dataclass(frozen=True)
class MeterOut:
    """How the session does.

    lead_ms: audio made ahead of the playhead. real_time_factor: time to make / time it lasts (0: not
    measured). control delay: from an unquantised event's at_sample to the first sample it changed, over the
    last 256 events. load: share of rewound work among all frames made since the last meter, 0..1. eased:
    rung of the overload ladder, 0 is as asked.
    """

    at_sample: int
    lead_ms: float
    real_time_factor: float
    underruns: int
    control_delay_p50_ms: float
    control_delay_p95_ms: float
    load: float
    control_delay_p50: int = 0
    control_delay_p95: int = 0
    eased: int = 0


@dataclass(frozen=True)
class FaultOut:
    """Something went wrong and was contained. severity: "info" nothing is lost that was there; "warning"
    music goes on; "error" this session is silent.
    """

    at_sample: int
    code: str
    severity: Literal["info", "warning", "error"]
    what: str
    still: str
    do: str


@dataclass(frozen=True)
class ResumeOut:
    """Enough for another engine to go on from at_sample: give `snapshot` to Engine.resume. Not sent to
    clients.
    """

    at_sample: int
    snapshot: bytes = field(repr=False)


@dataclass(frozen=True)
class SyncedOut:
    """All audio that the Sync of that sequence waits for has been given out."""

    at_sample: int
    refers_to: int


@dataclass(frozen=True)
class FallbackOut:
    """What the client plays from now on when no audio comes that should: nothing, or its last bar again."""

    at_sample: int
    manner: Literal["fade", "hold"]


@dataclass(frozen=True)
class NotedOut:
    """What the session took in since it last told. entries: see the wire's `noted`. complete: see TakeLog."""

    at_sample: int
    entries: str
    complete: bool


HostOutput = AudioOut | PlanOut | MeterOut | FaultOut | ResumeOut | SyncedOut | FallbackOut | NotedOut
