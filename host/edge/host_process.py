"""A host of one's own: starts `descant host` for a client that found none running, and ends it with the
client.

Thread: main of the client's process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from descant.host.edge.scratch import Scratch, sweep
from descant.host.errors import HostError


class HostProcess:
    """A running `descant host`. endpoint: where it listens. log: path of what it said on standard error."""

    def __init__(self, process: subprocess.Popen[str], endpoint: str, log: Path) -> None:
        self.process = process
        self.endpoint = endpoint
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace")

    def stop(self, seconds: float = 5.0) -> int:
        """Ask it to end and wait; killed when it does not. Its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextmanager
def running_host(
    model: str = "embedded",
    threads: int = 0,
    presets: tuple[str, ...] = (),
    endpoint: str = "",
    patience: float = 90.0,
    ended: Callable[[], bool] = lambda: False,
) -> Iterator[HostProcess]:
    """Start a host and give it once it answers; it ends with the block.

    endpoint: "" for a private one. patience: seconds to wait for the model. ended: whether nobody waits
    for it any more. Raises HostError when it does not start.
    """
    sweep()
    scratch = Scratch()
    folder = scratch.path
    try:
        if not endpoint:
            endpoint = "tcp://127.0.0.1:47475" if sys.platform == "win32" else f"ipc://{folder / 'host'}"
        words = [sys.executable, "-m", "descant.host.cli", "host", "--endpoint", endpoint, "--model", model]
        words += ["--threads", str(threads), "--until-eof"]
        for preset_folder in presets:
            words += ["--presets", preset_folder]
        log = folder / "log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        host = HostProcess(process, endpoint, log)
        try:
            _await_ready(host, patience, ended)
            yield host
        finally:
            host.stop()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
    finally:
        scratch.remove()


def _await_ready(host: HostProcess, patience: float, ended: Callable[[], bool]) -> None:
    lines: SimpleQueue[str] = SimpleQueue()
    stdout = host.process.stdout
    assert stdout is not None
    threading.Thread(target=_first_line, args=(stdout, lines), daemon=True).start()
    give_up = time.monotonic() + patience
    line = None
    while line is None and time.monotonic() < give_up and not ended():
        with suppress(Empty):
            line = lines.get(timeout=0.1)
    if line is None:
        raise HostError(
            f"The host did not load its model within {patience:.0f} s.",
            "Nothing was played.",
            "Close other programs, or run descant doctor.",
        )
    if line.startswith("ready "):
        return
    host.process.wait(5)
    last = [line for line in host.said().splitlines() if line.strip()][-3:]
    if len(last) == 3:
        raise HostError(*last)
    raise HostError(
        "The host ended before it was ready.", "Nothing was played.", "Run descant host to see why."
    )


def _first_line(stream: IO[str], lines: SimpleQueue[str]) -> None:
    """Thread: one of its own, asleep until the host says something or ends."""
    lines.put(stream.readline())
