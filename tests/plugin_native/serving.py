"""A small host in a thread of its own, for programs and DAWs that run beside it."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable

from tests.plugin_bridge.small_host import SmallHost


class Serving:
    """Serves `host` until closed. step: called after each turn, in the same thread."""

    def __init__(self, host: SmallHost, step: Callable[[], object] = lambda: None) -> None:
        self.host, self.endpoint, self._step = host, host.endpoint, step
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            self.host.serve(2)
            self._step()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.host.server.close()

    def run(self, *command: object, code: int = 0, **environment: str) -> dict[str, float]:
        """Run a program that finds this host; the `name value` lines it prints."""
        done = self.ran(*command, **environment)
        assert done.returncode == code, (done.returncode, done.stdout[-3000:], done.stderr[-3000:])
        assert "audio thread" not in done.stderr
        return {
            name: float(value)
            for name, _, value in (line.partition(" ") for line in done.stdout.splitlines())
            if value.replace(".", "").replace("-", "").isdigit()
        }

    def ran(self, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program that finds this host, whatever becomes of it."""
        return subprocess.run(
            [str(part) for part in command],
            env={**os.environ, "DESCANT_ENDPOINT": self.endpoint, **environment},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
        )
