"""A real audio and MIDI system without a sound card: jackd's dummy driver, a server for each test process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE = 40.0


class Jack:
    """A server that can be killed and started again under the same name."""

    def __init__(self, rate: int = 48000, period: int = 256) -> None:
        self.name = f"descant-{os.getpid()}"  # a killed one keeps its slot, of eight
        self.rate, self.period = rate, period
        self.environment = {"JACK_DEFAULT_SERVER": self.name, "JACK_NO_AUDIO_RESERVATION": "1",
                            "JACK_NO_START_SERVER": "1"}  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        tidy()
        words = ["jackd", "-n", self.name, "-r", "-d", "dummy", "-r", str(self.rate), "-p", str(self.period)]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: "system:playback_1" in self.ports(), "the server's ports")

    def kill(self) -> None:
        """As if it had crashed: what it leaves in shared memory is tidied before the next one starts."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def ports(self) -> str:
        return self._tool("jack_lsp")

    def connect(self, source: str, target: str) -> None:
        self._tool("jack_connect", source, target)

    def _tool(self, *words: str) -> str:
        done = subprocess.run(
            [*words], env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=10
        )
        return done.stdout


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


def wait_for(condition, what: str, patience: float = PATIENCE) -> float:
    """Until a condition holds; how long that took. Fails by name when it never does."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience:
            pytest.fail(f"{what}: not within {patience:.0f} s")
        time.sleep(0.005)
    return time.monotonic() - began


@pytest.fixture
def jack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jack]:
    if shutil.which("jackd") is None or shutil.which("jack_lsp") is None:
        pytest.skip("jackd is not installed: tools/setup test would like it")
    server = Jack()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    yield server
    if server.process is not None:
        server.stop()
