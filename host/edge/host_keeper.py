"""A host that is there as long as it is wanted: started in the background, and started again when it dies.

Thread: the owner's, but for one of its own that waits for hosts.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from descant.host.edge.host_process import HostProcess, running_host
from descant.host.edge.scratch import Scratch
from descant.host.errors import HostError

LOOK_SECONDS = 0.1
RESTS = (0.0, 1.0, 3.0, 10.0)  # seconds before another try, by how many came to nothing in a row


class HostKeeper:
    """endpoint: where the host is, however often it is replaced. error: why there is none now, None where
    there is one or one is loading. starts: how many were begun.
    """

    def __init__(self, model: str, threads: int, presets: tuple[str, ...]) -> None:
        self._model, self._threads, self._presets = model, threads, presets
        self._scratch = Scratch()
        self.endpoint = f"ipc://{self._scratch.path / 'host'}"
        self.error: HostError | None = None
        self.starts = 0
        self.pid = 0
        self._host: HostProcess | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="descant host keeper", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether a host answers, as far as is known."""
        return self._host is not None

    def await_host(self) -> None:
        """Wait for the first one. Raises HostError where it does not come."""
        while not self.ready and self.error is None:
            self._ending.wait(LOOK_SECONDS)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """End the host, or its start. Harmless when repeated."""
        self._ending.set()
        self._thread.join()
        self._scratch.remove()

    def _keep(self) -> None:
        """Thread: its own."""
        vain = 0
        while not self._ending.wait(RESTS[min(vain, len(RESTS) - 1)]):
            self.starts += 1
            try:
                with running_host(
                    self._model, self._threads, self._presets, self.endpoint, ended=self._ending.is_set
                ) as host:
                    self.error, self._host, self.pid = None, host, host.pid
                    vain = 0
                    while host.process.poll() is None and not self._ending.wait(LOOK_SECONDS):
                        pass
                    self._host = None
            except HostError as error:
                self.error = error
            except OSError as error:  # no memory, no room for a log, no such program
                self.error = HostError(
                    f"The host could not be started: {(error.strerror or str(error)).lower()}.",
                    "Loops and what comes in are played on.",
                    "It is tried again; close other programs, or run descant doctor.",
                )
            self._host = None
            vain += 1
        with suppress(OSError):
            self._scratch.remove()
