"""The real thing once: host process, engine process, socket and wall clock; and what is left when one of them
dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from descant.host.edge.cues import Hum, Performance
from descant.host.edge.host_process import HostProcess, running_host
from descant.host.edge.listening import ListeningClient
from descant.host.edge.midi_file import MetreChange, Song, SongEvent, TempoChange
from descant.host.edge.performer import Performer
from descant.plugin_bridge import wire
from tests.journeys.stage import RATE
from tools.hum_synth import HumNote, hum

BLOCK = 256
BAR = RATE  # 240 bpm


@pytest.fixture(scope="module")
def host() -> Iterator[HostProcess]:
    with running_host("embedded", threads=1) as running:
        yield running


@pytest.fixture
def client(host: HostProcess) -> Iterator[ListeningClient]:
    bridge = ListeningClient(host.endpoint, RATE, BLOCK, 2, name="journey", preset="daybreak", seed=1)
    bridge.connect()
    yield bridge
    bridge.close()


def song(*pads: tuple[float, int], bars: float) -> Song:
    """Pads (bar, key) at 240 bpm: a bar is a second."""
    events = tuple(SongEvent(int(bar * 1920), Fraction(bar), "note_on", 9, key, 100) for bar, key in pads)
    return Song(
        480,
        (TempoChange(0, Fraction(0), 250_000),),
        (MetreChange(0, Fraction(0), 4, 4),),
        events,
        Fraction(bars),
    )


def listen(client: ListeningClient, until: Callable[[], bool], seconds: float) -> np.ndarray:
    """Read in real time, block by block, until something holds (or so many seconds have passed): [n]."""
    blocks, began = [], time.monotonic()
    while not until() and time.monotonic() - began < seconds:
        due = began + (len(blocks) + 1) * BLOCK / RATE
        while (left := due - time.monotonic()) > 0:
            client.pump(max(1, int(1000 * left)))
        client.pump(0)
        blocks.append(client.read(BLOCK)[0])
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def fill(client: ListeningClient, n_samples: int) -> None:
    """Wait, without reading, until so much is there to be read."""
    deadline = time.monotonic() + 60.0
    while not client.ready(n_samples):
        assert time.monotonic() < deadline, "\n".join(fault.what for fault in client.faults)
        client.pump(10)


def engine_faults(client: ListeningClient) -> list[wire.Fault]:
    return [fault for fault in client.faults if "engine" in fault.what.lower()]


def start_music(client: ListeningClient) -> None:
    client.transport(240.0, 0.0)
    client.note_on(36, at_sample=0)


def test_pads_and_a_hum_play_over_a_real_socket_in_real_time(client: ListeningClient) -> None:
    notes = [HumNote(0.5 * i, 0.5 * i + 0.48, key) for i, key in enumerate((60, 64, 67, 60))]
    given = Hum(hum(notes, 2.0, 32000)[None], 32000, at_bar=2)
    performance = Performance(song((0.5, 36), (2.5, 38), (4.5, 40), bars=6.0), given, seconds=6.0)
    recording = Performer(client, performance).play()
    texts = {plan.from_sample: plan.text for plan in recording.plans}
    assert set(texts) == {BAR, 3 * BAR, 5 * BAR} or texts[3 * BAR].startswith("hummed")
    assert any(plan.text == "hummed melody, 2 bars" for plan in recording.plans)
    assert not recording.wave[:, :BAR].any(), "silence until the line"
    sound = np.flatnonzero(recording.wave[0])
    assert len(sound) and sound[0] >= BAR  # how soon is the machine's business: see `descant bench`
    level = np.sqrt(np.mean(recording.wave[:, BAR : 5 * BAR].astype(np.float64) ** 2))
    assert level > 0.003
    assert recording.meters and all(meter.real_time_factor > 0 for meter in recording.meters)
    assert recording.wall_seconds >= 5.9


def test_killing_a_bridge_frees_its_session(host: HostProcess) -> None:
    script = (
        "import sys, time\n"
        "from descant.plugin_bridge import BridgeClient\n"
        "client = BridgeClient(sys.argv[1], name='doomed')\n"
        "client.connect()\n"
        "print(client.session, flush=True)\n"
        "while True: client.pump(50)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, host.endpoint], stdout=subprocess.PIPE, text=True
    ) as doomed:
        assert doomed.stdout is not None
        session = int(doomed.stdout.readline())
        doomed.kill()
    deadline = time.monotonic() + 20.0
    while f"session {session} freed" not in host.said():
        assert time.monotonic() < deadline, host.said()
        time.sleep(0.05)


def test_killing_the_engine_leaves_a_clean_fade_a_clear_fault_and_then_music_again(
    host: HostProcess, client: ListeningClient
) -> None:
    start_music(client)
    before = listen(client, lambda: client.playhead > BAR + RATE // 2, 60.0)
    fill(client, RATE // 4)  # however busy the machine is, there is sound when the engine dies
    before = np.concatenate([before, client.read(BLOCK)[0]])
    os.kill(int(re.findall(r"engine (\d+) ready", host.said())[-1]), signal.SIGKILL)
    after = listen(client, lambda: bool(engine_faults(client)) and not client.ready(1), 30.0)
    fault = engine_faults(client)[0]
    assert fault.still and fault.do and fault.severity != "info"
    assert len(after) >= RATE // 5, "what was made before plays to its end"
    loudest = np.abs(before).max()
    assert loudest > 0.003
    sound = np.flatnonzero(np.abs(after) > 0.05 * loudest)
    assert sound[-1] < len(after) - 1 or np.abs(after[-12:]).max() <= 0.25 * loudest, "it ends in a fade"
    steps = np.abs(np.diff(np.concatenate([before[-BLOCK:], after])))
    usual = np.abs(np.diff(before)).max()
    assert steps.max() <= 1.5 * usual, "no click"
    deadline = time.monotonic() + 60.0
    while (
        np.abs(listen(client, lambda: False, 0.2)).max() < 0.003
    ):  # the engine is replaced, the session goes on
        assert time.monotonic() < deadline, f"the music comes back by itself: {host.said()}"
