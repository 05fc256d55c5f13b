"""Several sessions of the embedded model in one engine on one core, with their playheads for a clock.

Knows nothing about sockets: what is timed is the engine's work alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import torch

from descant.host.edge.bench_race import Progress
from descant.host.engine import Engine
from descant.host.events import Heartbeat, SessionHello, Trigger
from descant.host.preset import Preset, PromptSlot
from descant.model import MusicModel, load_model

_RATE, _BLOCK = 48_000, 960
_WARM = 3.0  # seconds of audio before the measure, so that every lead is full


class Engaged(msgspec.Struct, frozen=True):
    """So many sessions. factor: time to make / time it lasts, of all at once; 1 and less is real time."""

    sessions: int
    seconds: float
    factor: float


def measure_sessions(
    counts: Sequence[int], seconds: float, progress: Progress, kernel: str, model: MusicModel | None = None
) -> list[Engaged]:
    """Thread: main. The embedded model on one thread, for each number of sessions. kernel: how it runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = model if model is not None else load_model("embedded", kernel)
        found = []
        for n in counts:
            progress(f"the embedded model: {n} sessions in one engine")
            found.append(_engaged(model, n, seconds))
        return found
    finally:
        torch.set_num_threads(threads)


def _engaged(model: MusicModel, n: int, seconds: float) -> Engaged:
    slot = PromptSlot(text="lofi hip hop with a warm electric piano")
    preset = Preset(name="bench", prompts=(slot,), quantise="off")
    engine = Engine(model, {preset.name: preset}, time.perf_counter)
    numbers = range(1, n + 1)
    for number in numbers:
        engine.open(number, SessionHello(_RATE, preset="bench", seed=number))
        engine.handle(number, Heartbeat(0, 0, 2 * _RATE))
        engine.handle(number, Trigger(0, 0))
    working, began_at = 0.0, round(_WARM * _RATE)
    end = began_at + round(seconds * _RATE)
    for playhead in range(0, end, _BLOCK):
        for number in numbers:
            engine.handle(number, Heartbeat(playhead, playhead, 2 * _RATE))
        began = time.perf_counter()
        while engine.wants_work():
            engine.work()
        if playhead >= began_at:
            working += time.perf_counter() - began
    return Engaged(n, seconds, round(working / seconds, 4))
