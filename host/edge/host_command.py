"""`descant host`: the supervisor as a program, with its endpoint, its signals and its log.

Standard output carries one line, `ready ENDPOINT`, once clients are answered; the log goes to standard error.
"""

from __future__ import annotations

import math
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from descant.host.edge.keys import host_curve
from descant.host.edge.scratch import sweep
from descant.host.edge.settings import EngineSettings, ask_for_priority, default_endpoint, default_threads
from descant.host.edge.supervisor import Supervisor
from descant.host.errors import HostError
from descant.plugin_bridge import BridgeServer


def run(
    endpoint: str,
    model: str,
    threads: int,
    presets: tuple[str, ...],
    until_eof: bool = False,
    idle: float = math.inf,
) -> None:
    """Thread: main. Serve until SIGINT or SIGTERM. Raises HostError or WireError when it cannot.

    until_eof: also end when standard input does, so that a program which started this host cannot leave it
    behind. idle: seconds without a bridge after which it ends by itself.
    """
    endpoint = endpoint or default_endpoint()
    check_port(endpoint)
    curve = host_curve(endpoint)
    settings = EngineSettings(model, threads or default_threads(), presets)
    with only_host_at(endpoint):
        sweep()
        supervisor = Supervisor(
            BridgeServer(endpoint, curve=curve),
            settings,
            log=log,
            on_ready=lambda: print(f"ready {endpoint}", flush=True),
            idle=idle,
        )

        def stop(signal_number: int, frame: Any) -> None:
            log(f"stopping: {signal.Signals(signal_number).name}")
            supervisor.request_stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        if not ask_for_priority():
            log("ordinary priority: the system allows no other")
        if until_eof:
            threading.Thread(target=_at_end_of_input, args=(supervisor.request_stop,), daemon=True).start()
        supervisor.run()
        log("stopped")


def _at_end_of_input(then: Callable[[], None]) -> None:
    """Thread: one of its own, asleep in a read."""
    while os.read(0, 4096):
        pass
    then()


def log(line: str) -> None:
    """One line with the time on standard error."""
    now = time.time()
    stamp = time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"
    print(f"{stamp} {line}", file=sys.stderr, flush=True)


def check_port(endpoint: str) -> None:
    """Raise HostError for a TCP port that does not exist: ZeroMQ would take it modulo 65536."""
    port = endpoint.rpartition(":")[2]
    if endpoint.startswith("tcp://") and not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise HostError(
            f"{endpoint} names no TCP port: {port[:20]!r}.",
            "Nothing was opened.",
            "Use a port from 1 to 65535.",
        )


@contextmanager
def only_host_at(endpoint: str) -> Iterator[None]:
    """Thread: main. Hold the endpoint: a second host at the same ipc path would take it over without a word.

    Raises HostError when a living host holds it. The lock ends with the process, however that ends; its file
    is removed when the block ends.
    """
    if not endpoint.startswith("ipc://") or sys.platform == "win32":
        yield  # a TCP port refuses a second listener by itself
        return
    path = endpoint.removeprefix("ipc://")
    if path.startswith(("@", "*")):
        yield  # no file: an abstract name refuses a second listener, a wildcard is never taken
        return
    lock = _lock(endpoint, f"{path}.lock")
    try:
        yield
    finally:
        with suppress(OSError):  # while we hold it: whoever waits to take it sees that it is gone
            os.unlink(f"{path}.lock")
        os.close(lock)


def _lock(endpoint: str, path: str) -> int:
    """The descriptor of the lock file at `path`, locked. Raises HostError; then the file is as it was."""
    import fcntl

    while True:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise HostError(
                f"{endpoint} cannot be used: {(error.strerror or str(error)).lower()}.",
                "Nothing was started.",
                "Name an ipc path in a folder that is there and yours to write to, or no --endpoint.",
            ) from error
        about = os.fstat(lock)
        if not stat.S_ISREG(about.st_mode) or about.st_size:
            os.close(lock)
            raise HostError(
                f"{endpoint} cannot be used: {path}, its lock file, is a file of somebody else's.",
                "Nothing was started, and the file is as it was.",
                "Give the host another --endpoint, or move that file.",
            )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise HostError(
                f"A host is running at {endpoint} already.",
                "That one goes on; nothing was started.",
                "Use it, stop it first, or give this one another --endpoint.",
            ) from error
        with suppress(FileNotFoundError):
            if os.path.samestat(about, os.stat(path)):
                return lock
        os.close(lock)  # the host that held it has just ended and removed it: again
