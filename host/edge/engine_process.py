"""The supervisor's handle on one engine process: start it, hear it, judge whether it lives, end it.

Knows nothing about sessions. The child is a fresh interpreter, never a fork: it must read thread counts
before torch is imported, and a forked OpenMP runtime hangs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from descant.host.edge.link import Frame, Kind, Link, private_endpoint
from descant.host.edge.scratch import Scratch
from descant.host.edge.settings import EngineSettings, Timings, thread_environment

RUNNER = "descant.host.edge.runner"


class StartOrder(msgspec.Struct, frozen=True):
    """What the supervisor writes to the first line of the engine's standard input, as JSON."""

    link: str
    settings: EngineSettings


class EngineInfo(msgspec.Struct, frozen=True):
    """What an engine says of itself once its model is loaded.

    sample_rate: Hz, the model's. load_seconds: from process start to a warm model. patience: seconds that one
    turn of its work loop may take at worst, before it counts as hung.
    """

    model: str
    weights_hash: str
    sample_rate: int
    channels: int
    load_seconds: float
    patience: float = 0.0


class EngineProcess:
    """One engine process from start to end; restarted means a new one of these.

    end: a descriptor that becomes readable when the process ends, where the system has such a thing.

    Thread: supervisor. Nothing here waits, `stop` excepted (bounded by its argument).
    """

    def __init__(self, settings: EngineSettings, timings: Timings, now: float, module: str = RUNNER) -> None:
        self.info: EngineInfo | None = None
        self.failure: tuple[str, str, str] | None = None
        self.started = now
        self.last_beat = now
        self._allowed_silence = timings.starting
        self._timings = timings
        self._scratch = Scratch()
        self.link = Link.bind(private_endpoint(str(self._scratch.path)))
        with _no_interrupt():
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                env=thread_environment(settings.threads),
            )
        self.end = _end_of(self._process.pid)
        assert self._process.stdin is not None
        # Our end of this pipe stays open for as long as we live: its end of file is how an engine learns of
        # our death.
        with suppress(BrokenPipeError):  # a child that died at once is noticed by its exit code
            self._process.stdin.write(msgspec.json.encode(StartOrder(self.link.endpoint, settings)) + b"\n")
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether the model is loaded."""
        return self.info is not None

    def gone(self) -> str | None:
        """Why there is no engine any more, in a sentence; None while the process runs and has not given
        up."""
        if self.failure is not None:
            return self.failure[0]
        code = self._process.poll()
        if code is None:
            return None
        return (
            f"The engine was killed (signal {-code})."
            if code < 0
            else f"The engine ended (exit code {code})."
        )

    def late(self, now: float) -> bool:
        """Whether so many stamps of the work loop are missing that clients must be told."""
        return now - self.last_beat > max(self._timings.stale, self._allowed_silence)

    def hung(self, now: float) -> bool:
        """Whether it has been silent for longer than a living engine ever is."""
        patience = self.info.patience if self.info is not None else 0.0
        return now - self.last_beat > max(self._timings.hung, self._allowed_silence, patience)

    def send(self, kind: Kind, session: int = 0, parts: Sequence[bytes] = ()) -> bool:
        """Queue one frame; False when the engine does not read."""
        return self.link.send(kind, session, parts)

    def receive(self, now: float) -> Frame | None:
        """The next frame that concerns sessions; stamps and announcements are noted here and not returned."""
        while (frame := self.link.receive()) is not None:
            self.last_beat = now  # whatever it sends, it is the work loop that sent it
            if frame.kind is Kind.BEAT:
                self._allowed_silence = msgspec.json.decode(frame.parts[0], type=float)
            elif frame.kind is Kind.READY:
                self.info = msgspec.json.decode(frame.parts[0], type=EngineInfo)
                self._allowed_silence = 0.0
            elif frame.kind is Kind.FAILED:
                what, still, do = (part.decode() for part in frame.parts)
                self.failure = (what, still, do)
            else:
                return frame
        return None

    def kill(self) -> None:
        """End it now, whatever it does (a stopped process too), and free what it held."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._release()

    def stop(self, seconds: float = 1.0) -> None:
        """Ask it to finish, and kill it when it has not done so in time."""
        self.send(Kind.STOP)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()

    def _release(self) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.25)
        self.link.close()
        if self.end is not None:
            os.close(self.end)
            self.end = None
        self._scratch.remove()


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Thread: supervisor. A process started in this block is deaf to Ctrl-C from its first instruction on:
    it inherits the blocked signal, and ignores it before it lets it through (runner.py). Here it waits until
    the block ends."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_of(pid: int) -> int | None:
    if sys.platform == "linux":
        with suppress(OSError):
            return os.pidfd_open(pid)
    return None
