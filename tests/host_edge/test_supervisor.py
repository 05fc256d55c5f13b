"""Supervision with real processes: whatever becomes of an engine or a bridge, the others are told and go
on."""

import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from descant.plugin_bridge import BridgeClient, Code, wire

ROOT = Path(__file__).resolve().parents[2]
RATE = 48_000
BLOCK = 240


class Host:
    """A host of sines in a process of its own, and its log."""

    def __init__(self, folder: Path, model: str = "sines", idle: float = math.inf) -> None:
        self.endpoint = f"ipc://{folder}/h"
        self.log = folder / "log"
        with self.log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.host_edge.stand_in", "host", self.endpoint, model, str(idle)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def said(self) -> str:
        return self.log.read_text()

    def engines(self) -> list[int]:
        """Process numbers of all engines so far, the last one being the present one."""
        return [int(pid) for pid in re.findall(r"engine (\d+) ready", self.said())]


def until(
    true: Callable[[], object], seconds: float = 15.0, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Wait for something to become true, for a generous time."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "waited in vain"
        meanwhile()
        time.sleep(0.002)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    running = Host(tmp_path)
    assert running.process.stdout is not None
    try:
        assert running.process.stdout.readline() == "ready\n", running.said()
        yield running
    finally:
        running.process.send_signal(signal.SIGCONT)
        running.process.terminate()
        running.process.wait(10)
        running.process.stdout.close()


class Listener:
    """A client that reads in real time and remembers."""

    def __init__(self, host: Host) -> None:
        self.client = BridgeClient(host.endpoint, 48000, BLOCK, 2)
        self.client.connect(10_000)
        self.heard: list[np.ndarray] = []
        self.start = time.monotonic()

    def turn(self) -> None:
        """Take in what came; read whatever block is due."""
        self.client.pump(1)
        while self.client.playhead < (time.monotonic() - self.start) * 48000:
            self.heard.append(self.client.read(BLOCK))

    def loud(self, blocks: int = 4) -> bool:
        return len(self.heard) >= blocks and all(np.abs(b).max() > 0.1 for b in self.heard[-blocks:])

    def until(self, true: Callable[[], object], seconds: float = 15.0) -> None:
        until(true, seconds, self.turn)

    def codes(self) -> list[int]:
        return [fault.code for fault in self.client.faults]

    def largest_step(self) -> float:
        wave = np.concatenate(self.heard, axis=1)
        return float(np.abs(np.diff(wave, axis=1)).max())


@pytest.fixture
def listener(host: Host) -> Iterator[Listener]:
    one = Listener(host)
    one.client.note_on(60)
    one.until(one.loud)
    yield one
    one.client.close()


SMOOTH = 0.5 * 2 * np.pi * 100 / 48000 + 0.5 * np.pi / 2 / 240  # a sine's own step, and a 5 ms fade's


def test_a_killed_engine_is_told_faded_and_replaced_and_the_music_goes_on(
    host: Host, listener: Listener
) -> None:
    killed = host.engines()[-1]
    os.kill(killed, signal.SIGKILL)
    began = time.monotonic()
    listener.until(lambda: Code.ENGINE_LOST in listener.codes(), 5)
    assert time.monotonic() - began < 1.0
    fault = next(fault for fault in listener.client.faults if fault.code == Code.ENGINE_LOST)
    assert "signal 9" in fault.what and fault.still and fault.do
    listener.until(lambda: Code.ENGINE_RESTARTED in listener.codes())
    listener.until(listener.loud)
    assert listener.largest_step() < 2 * SMOOTH
    assert len(host.engines()) == 2 and not alive(killed)
    assert re.search(r"session 1 reopened from where it was", host.said())
    assert listener.client.session == 1


def test_a_host_on_demand_ends_when_nobody_has_been_there_for_a_while(tmp_path: Path) -> None:
    host = Host(tmp_path, idle=0.4)
    assert host.process.stdout is not None and host.process.stdout.readline() == "ready\n", host.said()
    with host.process.stdout:
        client = BridgeClient(host.endpoint, 48000, BLOCK, 2)
        client.connect(10_000)
        staying = time.monotonic() + 1.0
        until(lambda: time.monotonic() > staying, 5, lambda: client.pump(20))
        assert host.process.poll() is None, "somebody is there"
        client.close()
        assert host.process.wait(20) == 0
    assert "nobody has been there" in host.said()


def test_a_hung_engine_is_told_within_its_missed_beats_then_replaced(host: Host, listener: Listener) -> None:
    hung = host.engines()[-1]
    os.kill(hung, signal.SIGSTOP)
    listener.until(lambda: Code.ENGINE_LATE in listener.codes(), 5)
    late = float(re.search(r"no sign of life for ([\d.]+) s", host.said())[1])
    assert 0.15 <= late < 0.5  # the log rounds to a millisecond
    assert alive(hung)
    listener.until(
        lambda: not listener.heard[-1].any()
    )  # it has faded: nothing came for longer than the lead
    listener.until(lambda: Code.ENGINE_LOST in listener.codes())
    listener.until(lambda: Code.ENGINE_RESTARTED in listener.codes())
    listener.until(listener.loud)
    assert not alive(hung)
    assert listener.largest_step() < 2 * SMOOTH


def test_an_engine_that_is_only_slow_is_not_replaced(host: Host, listener: Listener) -> None:
    listener.client.note_on(2)
    listener.until(lambda: "answers again" in host.said())
    listener.until(lambda: listener.client.state == "live" and listener.loud())
    assert len(host.engines()) == 1
    assert listener.client.session == 1


def test_an_engine_that_may_take_long_is_told_late_and_not_replaced(tmp_path: Path) -> None:
    host = Host(tmp_path, "slow sines")
    assert host.process.stdout is not None and host.process.stdout.readline() == "ready\n"
    listener = Listener(host)
    listener.client.note_on(60)
    listener.until(listener.loud)
    (engine,) = host.engines()
    os.kill(engine, signal.SIGSTOP)
    stopped = time.monotonic()
    listener.until(lambda: time.monotonic() - stopped > 1.2)  # longer than one counts as hung that may not
    assert Code.ENGINE_LATE in listener.codes()
    os.kill(engine, signal.SIGCONT)
    listener.until(lambda: listener.client.state == "live" and listener.loud())
    assert host.engines() == [engine] and Code.ENGINE_LOST not in listener.codes()
    listener.client.close()
    host.process.terminate()
    host.process.wait(10)
    host.process.stdout.close()


def test_an_error_in_the_work_loop_is_a_fault_with_its_name_and_an_engine_anew(
    host: Host, listener: Listener
) -> None:
    listener.client.note_on(1)
    listener.until(lambda: Code.ENGINE_LOST in listener.codes(), 5)
    what = next(fault.what for fault in listener.client.faults if fault.code == Code.ENGINE_LOST)
    assert "a note nobody foresaw" in what
    listener.until(lambda: len(host.engines()) >= 2)
    assert "Traceback" in host.said()


def test_what_ends_every_engine_is_forgotten_after_a_second_time(host: Host, listener: Listener) -> None:
    listener.client.note_on(3)
    listener.until(lambda: host.said().count("lost after") >= 2)
    listener.until(lambda: len(host.engines()) == 3)
    later = len(listener.heard) + RATE // BLOCK  # a second: longer than what was made ahead lasts
    listener.until(
        lambda: len(listener.heard) > later and listener.loud() and listener.client.state == "live"
    )
    assert host.said().count("lost after") == 2


def test_a_bridge_that_vanishes_is_freed_and_the_other_plays_on(host: Host, listener: Listener) -> None:
    words = (
        "import sys\nfrom descant.plugin_bridge import BridgeClient\n"
        "BridgeClient(sys.argv[1]).connect(9000)\ninput()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", words, host.endpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    listener.until(lambda: "session 2 opened" in host.said())
    other.kill()
    other.communicate()
    listener.until(lambda: "session 2 freed: bridge silent" in host.said())
    assert "1 left" in host.said()
    assert listener.loud() and listener.codes() == []


def test_noise_and_a_flood_from_one_bridge_do_not_disturb_another(host: Host, listener: Listener) -> None:
    context = zmq.Context()
    noise = context.socket(zmq.DEALER)
    noise.linger = 0
    noise.connect(host.endpoint)
    chance = random.Random(5)
    flood = BridgeClient(host.endpoint)
    flood.connect(10_000, meanwhile=listener.turn)
    for _ in range(3000):
        noise.send_multipart([chance.randbytes(chance.randrange(60)) for _ in range(chance.randrange(1, 6))])
        flood.control(chance.randrange(128), chance.randrange(128))
        flood.pump(0)
        listener.turn()
    listener.until(listener.loud)
    assert listener.client.losses == 0
    assert len(host.engines()) == 1 and host.process.poll() is None
    flood.close()
    context.destroy(0)


def test_a_bridge_of_another_version_is_noted_once_however_often_it_asks(host: Host) -> None:
    hello = wire.encode(wire.Hello(48000, BLOCK, 2, "daw"))
    other = bytes([wire.PROTOCOL_VERSION + 1]) + hello[0][1:]
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(host.endpoint)
        for _ in range(5):
            socket.send_multipart([other, *hello[1:]])
            assert socket.poll(10_000)
            refused = wire.decode(socket.recv_multipart())
            assert isinstance(refused, wire.Refused) and refused.code == Code.VERSION
    said = f"bridge refused: A message speaks protocol version {wire.PROTOCOL_VERSION + 1}."
    until(lambda: said in host.said())
    assert host.said().count("bridge refused") == 1


def test_goodbye_frees_at_once_and_a_wrong_model_is_refused_in_three_lines(
    host: Host, listener: Listener
) -> None:
    from descant.plugin_bridge import WireError

    with pytest.raises(WireError) as caught:
        BridgeClient(host.endpoint, model="strings").connect(10_000)
    assert str(caught.value) == "no model strings\nthe others play\nask for sines"
    listener.client.close()
    until(lambda: "session 1 freed: goodbye" in host.said())


def test_the_end_of_a_host_is_told_and_leaves_no_engine(host: Host, listener: Listener) -> None:
    engine = host.engines()[-1]
    host.process.terminate()
    listener.until(lambda: host.process.poll() is not None)
    assert host.process.returncode == 0
    assert "The host was stopped" in listener.client.faults[0].what, (
        list(listener.client.faults),
        host.said(),
    )
    until(lambda: not alive(engine))


@pytest.mark.parametrize("stopped", [False, True], ids=["working", "hung"])
def test_a_killed_host_leaves_no_engine(host: Host, stopped: bool) -> None:
    engine = host.engines()[-1]
    if stopped:
        os.kill(engine, signal.SIGSTOP)
    host.process.kill()
    host.process.wait(10)
    until(lambda: not alive(engine))


def test_a_host_that_never_gets_an_engine_ends_with_its_reason(tmp_path: Path) -> None:
    host = Host(tmp_path, "strings")
    assert host.process.stdout is not None
    assert host.process.stdout.read() == ""
    assert host.process.wait(15) == 1
    host.process.stdout.close()
    assert "HostError: no such model\nnothing was started\nask for sines" in host.said()
