"""A real audio and MIDI system without a sound card: jackd's dummy driver, a server for each test process."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE = 40.0


class Jack:
    """A server that can be killed and started again under the same name."""

    def __init__(self, rate: int = 48000, period: int = 256) -> None:
        self.name, self._lock = own_name()
        self.rate, self.period = rate, period
        self.environment = {"JACK_DEFAULT_SERVER": self.name, "JACK_NO_AUDIO_RESERVATION": "1",
                            "JACK_NO_START_SERVER": "1"}  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        tidy(self.name)
        words = ["jackd", "-n", self.name, "-r", "-d", "dummy", "-r", str(self.rate), "-p", str(self.period)]
        self.process = subprocess.Popen(  # the server keeps the name while it lives, whoever dies first
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(self._lock,)
        )
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


NAMED: dict[str, tuple[str, int]] = {}


def own_name() -> tuple[str, int]:
    """This process's server, and the lock that keeps others from its name.

    JACK has room for eight servers, and one that was killed keeps its place until one of the same name is
    started: so names are used again, by whoever holds the lock.
    """
    for number in range(64):
        if "name" in NAMED:
            break
        name = f"descant-{number}"
        path = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}.jack.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            NAMED["name"] = name, lock
        except BlockingIOError:
            os.close(lock)
    return NAMED["name"]


def tidy(name: str) -> None:
    """What a killed server of this name left; and the list of properties, locked perhaps, if nobody has it
    open. Servers of other names, and what is theirs, are left alone.
    """
    for left in Path("/dev/shm").glob(f"jack*_{name}_*"):
        left.unlink(missing_ok=True)
    properties = f"/dev/shm/jack_db-{os.getuid()}"
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            if properties in maps.read_text(errors="replace"):
                return
        except OSError:  # it has ended, or is somebody else's, who has a list of his own
            continue
    shutil.rmtree(properties, ignore_errors=True)


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
