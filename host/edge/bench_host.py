"""A real host process over a real socket, measured from the client's side as a performer would hear it.

Three things: first audio after an unquantised trigger, control delay, underruns. Knows nothing about the
model.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from descant.host.edge.bench_model import Spread, spread
from descant.host.edge.host_process import running_host
from descant.host.edge.listening import ListeningClient

_PRESET = """
description = "for measuring"
quantise = "off"
transition = "morph"
[[prompts]]
text = "lofi hip hop with a warm electric piano"
[[prompts]]
text = "fast funk with slap bass"
[cc.1]
parameter = "temperature"
range = [0.8, 1.2]
"""
_NAME = "bench"
_RATE = 48_000
_BLOCK = 256
_TRIGGERS = 5
_CONTROL_EVERY = 0.2  # seconds
_PATIENCE = 5.0


class HostFigures(msgspec.Struct, frozen=True):
    """What a client of a host process saw.

    first_audio: trigger sent to first block received, ms. first_heard: trigger to the first sample that
    sounds, ms of the timeline. control_delay: control change to the first sample it changed, ms of the
    timeline. commit_ms: the commit window asked for. underruns: gaps heard in `seconds` of playing. faults:
    what went wrong. lead_ms, real_time_factor: as last metered.
    """

    first_audio: Spread
    first_heard: Spread
    control_delay: Spread
    commit_ms: int
    lead_ms: float
    seconds: float
    underruns: int
    faults: tuple[str, ...]
    real_time_factor: float


class _Player:
    """A client that reads in real time."""

    def __init__(self, endpoint: str, seed: int) -> None:
        self.client = ListeningClient(
            endpoint, _RATE, _BLOCK, 2, name="descant bench", preset=_NAME, seed=seed
        )
        self.client.connect()
        self._start = time.monotonic()

    def play(self, seconds: float = 0.0, until: Callable[[], bool] = lambda: False) -> bool:
        """Read in real time for so long, or until something is true: whether it became so."""
        client = self.client
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            client.pump(1)
            while client.playhead < (time.monotonic() - self._start) * _RATE:
                client.read(_BLOCK)
            if until():
                return True
        return False


def measure_host(
    model: str, threads: int, seconds: float, progress: Callable[[str], None] = lambda _: None
) -> HostFigures:
    """Thread: main. Start a host, play to it for about `seconds` plus a few, and end it. Raises HostError."""
    with tempfile.TemporaryDirectory(prefix="descant-bench-") as folder:
        (Path(folder) / f"{_NAME}.toml").write_text(_PRESET)
        progress("starting a host")
        with running_host(model, threads, (folder,)) as host:
            progress("first audio after a trigger")
            arrived, heard = [], []
            for number in range(_TRIGGERS):
                first = _first_audio(host.endpoint, number)
                if first is not None:
                    arrived.append(first[0])
                    heard.append(first[1])
            progress("control delay and underruns")
            return _ride(
                host.endpoint,
                seconds,
                spread(arrived or [1000 * _PATIENCE]),
                spread(heard or [1000 * _PATIENCE]),
            )


def _first_audio(endpoint: str, seed: int) -> tuple[float, float] | None:
    """ms from a trigger to the first block and to the first sample of it; None when nothing came."""
    player = _Player(endpoint, seed)
    client = player.client
    player.play(0.15)
    at, sent = client.playhead, time.monotonic()
    client.trigger(0, at_sample=at)
    came = player.play(_PATIENCE, lambda: bool(client.epochs))
    client.close()
    if not came:
        return None
    start = client.epochs[0]
    return 1000 * (start.seconds - sent), 1000 * (start.from_sample - at) / _RATE


def _ride(endpoint: str, seconds: float, arrived: Spread, heard: Spread) -> HostFigures:
    """Play on, moving a controller now and then, and see from which sample each move was heard."""
    player = _Player(endpoint, 99)
    client = player.client
    chance = random.Random(0)
    client.trigger(0)
    player.play(_PATIENCE, lambda: bool(client.epochs))
    player.play(0.5)
    gaps, delays, value = client.underruns, [], 0
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        client.epochs.clear()
        value = (value + 40) % 128
        at = client.playhead
        client.control(1, value, at_sample=at)
        if player.play(0.5, lambda: bool(client.epochs)):
            delays.append(1000 * (client.epochs[0].from_sample - at) / _RATE)
        player.play(_CONTROL_EVERY * chance.uniform(0.5, 1.5))
    meter = client.meters[-1] if client.meters else None
    metered = meter.control_delay_ms_p95 if meter else 1000.0
    figures = HostFigures(
        first_audio=arrived,
        first_heard=heard,
        control_delay=spread(delays or [metered]),
        commit_ms=120,
        lead_ms=round(meter.lead_ms, 1) if meter else 0.0,
        seconds=round(time.monotonic() - began, 2),
        underruns=client.underruns - gaps,
        faults=tuple(fault.what for fault in client.faults),
        real_time_factor=round(meter.real_time_factor, 4) if meter else 0.0,
    )
    client.close()
    return figures
