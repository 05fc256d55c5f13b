"""The stage as a process of its own (`python -m descant.host.edge.stage_process`): it outlives every window.

Its order comes as one line of JSON on standard input. It ends when a window says so, on SIGTERM, or when no
window has been there for a while and nothing sounds. Standard error is its log.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from descant.host.edge.errors_shown import show
from descant.host.edge.host_command import only_host_at
from descant.host.edge.settings import ask_for_priority
from descant.host.edge.stage import TURN_SECONDS, Stage, StageOrder
from descant.host.edge.stage_server import StageServer

MODULE = "descant.host.edge.stage_process"
IDLE_SECONDS = 120.0
MAX_ORDER_BYTES = 1 << 16
MAX_LOG_BYTES = 1 << 20  # libraries complain every second of what is not there
LOG_SECONDS = 10.0


class Start(msgspec.Struct, frozen=True):
    """endpoint: where windows find it. idle: seconds without a window, and without sound, before it ends."""

    endpoint: str
    order: StageOrder
    idle: float = IDLE_SECONDS


def start_stage(start: Start) -> subprocess.Popen[bytes]:
    """Thread: any that may wait a moment. A stage of its own session, which outlives who starts it; its log
    is beside its socket. Raises OSError."""
    log = Path(start.endpoint.removeprefix("ipc://") + ".log")
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(start) + b"\n")
    process.stdin.close()
    return process


def run(start: Start) -> None:
    """Thread: main. Play until told to end. Raises HostError or WireError."""
    ending = False

    def stop(number: int, frame: Any) -> None:
        nonlocal ending
        ending = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with only_host_at(start.endpoint):
        sys.setswitchinterval(0.001)
        ask_for_priority()
        stage = Stage(start.order)
        try:
            server = StageServer(start.endpoint, stage)
            try:
                looked = time.monotonic()
                while not ending and not stage.ended:
                    stage.turn()
                    server.turn()
                    if time.monotonic() - looked > LOG_SECONDS:
                        looked = time.monotonic()
                        _shorten_log()
                    if time.monotonic() - server.heard > start.idle:
                        if not stage.sounding:
                            break
                        server.heard = time.monotonic()
                    time.sleep(TURN_SECONDS)
            finally:
                server.close()
        finally:
            stage.close()


def _shorten_log() -> None:
    """A log that has grown too long begins anew; a terminal is none."""
    with suppress(OSError):
        if os.fstat(2).st_size > MAX_LOG_BYTES:
            os.ftruncate(2, 0)


def main() -> None:
    """Thread: main. The order, then the performance; three lines when it cannot be."""
    try:
        line = sys.stdin.buffer.readline(MAX_ORDER_BYTES)
        run(msgspec.json.decode(line, type=Start))
    except Exception as error:
        show(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
