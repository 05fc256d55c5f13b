"""A stage without a sound card: jackd's dummy driver of a name of its own, and controllers as programs.

Knows nothing about Descant's insides; tests and the measuring tools share it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 40.0


class Jack:
    """A server that can be killed and started again under the same name.

    exact: it runs at real-time priority and waits for its clients, as servers of real devices do in part;
    else a busy machine makes it lose periods, and the MIDI in them.
    """

    def __init__(self, rate: int = 48000, period: int = 256, exact: bool = False, channels: int = 2) -> None:
        self.name = f"descant-{os.getpid()}"  # a killed one keeps its slot, of eight
        self.rate, self.period, self.exact, self.channels = rate, period, exact, channels
        self.environment = {"JACK_DEFAULT_SERVER": self.name, "JACK_NO_AUDIO_RESERVATION": "1",
                            "JACK_NO_START_SERVER": "1"}  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        tidy()
        words = ["jackd", "-n", self.name, *(("-R", "-P20", "-S") if self.exact else ("-r",))]
        words += ["-d", "dummy", "-r", str(self.rate), "-p", str(self.period)]
        words += ["-C", str(self.channels), "-P", str(self.channels)]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: "system:playback_1" in self.ports(), "the server's ports")

    def kill(self) -> None:
        """As if it had crashed: what it leaves in shared memory is tidied before the next one starts."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def ports(self) -> str:
        return self._tool("jack_lsp")

    def connect(self, source: str, target: str) -> None:
        self._tool("jack_connect", source, target)

    def _end(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _tool(self, *words: str) -> str:
        done = subprocess.run(
            [*words], env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=10
        )
        return done.stdout


def environment_of(jack: Jack) -> dict[str, str]:
    """For a program that is to use the server."""
    return {**os.environ, **jack.environment}


def ended(*processes: subprocess.Popen[str] | subprocess.Popen[bytes] | None) -> None:
    """Kill what still runs and close its pipes."""
    for process in processes:
        if process is None:
            continue
        if process.poll() is None:
            process.kill()
            process.wait()
        for end in (process.stdin, process.stdout):
            if end is not None:
                end.close()


TIDIED: list[bool] = []


def tidy() -> None:
    """Killed servers keep their slots and may leave a lock: all of it goes, unless a server runs.

    Later in one process only the lock goes, for JACK's library, once loaded, never looks at the slots afresh.
    """
    running = subprocess.run(["pgrep", "-x", "jackd"], capture_output=True).returncode == 0
    if not running:
        shutil.rmtree(f"/dev/shm/jack_db-{os.getuid()}", ignore_errors=True)
        for left in [] if TIDIED else Path("/dev/shm").glob("jack*"):
            left.unlink(missing_ok=True)
    TIDIED.append(True)


def wait_for(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> float:
    """Until a condition holds; how long that took, in seconds. Raises TimeoutError naming what never came."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience:
            raise TimeoutError(f"{what}: not within {patience:.0f} s")
        time.sleep(0.005)
    return time.monotonic() - began


# Reads lines of JSON, a list of [seconds, [bytes]] each; plays it, and answers when each was sent.
SCRIPTED = """
import json, sys, time, rtmidi
out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name=sys.argv[1]); out.open_virtual_port("keys")
print("ready", flush=True)
for line in sys.stdin:
    start, sent = time.monotonic() + 0.05, []
    for at, data in json.loads(line):
        while (left := start + at - time.monotonic()) > 0:
            time.sleep(left)
        sent.append(time.monotonic())
        out.send_message(data)
    print(json.dumps(sent), flush=True)
"""
Script = list[tuple[float, list[int]]]
"""(seconds from the start, bytes of a message), in order."""


class ScriptedPlayer:
    """A controller that plays a script in time. name: of its JACK client. environment: of the server."""

    def __init__(self, name: str, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPTED, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self._line() == "ready"

    def play(self, script: Script) -> None:
        """Begin to play."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(script) + "\n")
        self.process.stdin.flush()

    def sent(self) -> list[float]:
        """Wait for the end; when each message was sent, in seconds of the monotonic clock."""
        times: list[float] = json.loads(self._line())
        return times

    def unplug(self) -> None:
        """Harmless when repeated."""
        self.process.kill()
        self.process.wait()
        for end in (self.process.stdin, self.process.stdout):
            assert end is not None
            end.close()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()
