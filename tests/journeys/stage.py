"""A performance in simulated time for the journeys: wire messages in at their samples, what was heard out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from descant.host.edge.listening import EpochStart
from descant.host.edge.local_bridge import LocalBridge
from descant.host.engine import Engine
from descant.host.preset import Preset, parse_preset
from descant.model import MusicModel
from descant.plugin_bridge import wire

RATE, TEMPO, BEATS = 48000, 240.0, 4
BAR = round(BEATS * 60 / TEMPO * RATE)  # 48000 samples, a second: bar n begins at n * BAR

PRESET = """
name = "journey"
tempo = 240
quantise = "bar"
keys = "triggers"
[sampling]
guidance = 3.0
[[prompts]]
text = "bright pop with flute, piano and bass guitar"
key = 36
[[prompts]]
text = "driving techno with synth lead, synth bass and drums"
key = 37
[[prompts]]
text = "string ensemble, slow and dark"
key = 38
transition = "cut"
[[prompts]]
stop = true
key = 39
[[prompts]]
text = "gentle folk with acoustic guitar"
key = 40
quantise = "off"
[cc.1]
parameter = "temperature"
range = [0.0, 1.3]
[cc.2]
parameter = "melody"
range = [0.0, 1.0]
"""


def presets() -> dict[str, Preset]:
    return {"journey": parse_preset(PRESET, "journey.toml")}


def transport(at_sample: int = 0, tempo: float = TEMPO, rate: int = RATE, **changes) -> wire.Transport:
    """The DAW plays from beat 0 at sample 0."""
    return wire.Transport(tempo, at_sample / rate * tempo / 60, BEATS, 4, at_sample=at_sample, **changes)


def pad(key: int, at_sample: int) -> wire.NoteOn:
    return wire.NoteOn(9, key, 100, at_sample=at_sample)


def clip(wave: np.ndarray, rate: int, at_sample: int) -> list[wire.Capture]:
    """A hum [n] float32 handed in whole."""
    size = wire.MAX_BLOCK_SAMPLES
    parts = [np.ascontiguousarray(wave[None, i : i + size], np.float32) for i in range(0, len(wave), size)]
    return [
        wire.Capture(1, rate, i, i == len(parts) - 1, "melody", part, at_sample=at_sample)
        for i, part in enumerate(parts)
    ]


@dataclass
class Heard:
    """wave: [C, T] float32 from sample 0 of the timeline."""

    wave: np.ndarray
    plans: list[wire.Plan] = field(default_factory=list)
    meters: list[wire.Meter] = field(default_factory=list)
    faults: list[wire.Fault] = field(default_factory=list)
    epochs: list[EpochStart] = field(default_factory=list)
    underruns: int = 0

    def first_sound(self) -> int:
        """The first sample that is not exactly zero."""
        return int(np.flatnonzero(self.wave[0])[0])


def first_difference(a: Heard, b: Heard) -> int:
    """The first sample at which two performances differ; their length where they do not."""
    different = np.flatnonzero((a.wave != b.wave).any(axis=0))
    return int(different[0]) if len(different) else a.wave.shape[1]


def perform(
    model: MusicModel,
    messages: Sequence[wire.Message],
    seconds: float,
    *,
    rate: int = RATE,
    block: int = 256,
    seed: int = 1,
    realtime: bool = True,
    shown: Mapping[str, Preset] | None = None,
) -> Heard:
    """Play messages, each sent with the block that holds its sample, and listen to the end."""
    engine = Engine(model, shown or presets())
    bridge = LocalBridge(engine, rate, block, 2, seed=seed, realtime=realtime)
    waiting = sorted(messages, key=lambda message: message.at_sample)
    total = round(seconds * rate)
    heard = Heard(np.zeros((2, total), np.float32))
    for start in range(0, total, block):
        end = min(start + block, total)
        while waiting and waiting[0].at_sample < end:
            bridge.tell(waiting.pop(0))
        bridge.pump()
        heard.wave[:, start:end] = bridge.read(end - start)
    heard.plans, heard.meters = list(bridge.plans), list(bridge.meters)
    heard.faults, heard.epochs = list(bridge.faults), list(bridge.epochs)
    heard.underruns = bridge.underruns
    return heard
