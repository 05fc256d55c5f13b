"""The handle on the process that listens to hums: asks without waiting, and replaces it when it dies.

Thread: the owner's, for all that is public. Two threads of its own write to the process and read from it.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from queue import SimpleQueue

from descant.host.edge import hum_words as words
from descant.host.edge.hum_process import MODULE


class HumWorker:
    """answers: oldest first. starts: processes begun."""

    def __init__(self) -> None:
        self.answers: deque[words.Answer] = deque()
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: SimpleQueue[words.Asked | None] = SimpleQueue()
        self._open: dict[int, None] = {}  # what was asked and not answered

    @property
    def pid(self) -> int:
        """0 while there is no process."""
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """Load what is needed, so that the first answer comes at once. Harmless when repeated."""
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        for number in self._open:
            self.answers.append(words.Failed(number, "the process that listens to hums died"))
        self._open.clear()
        self.starts += 1
        self._asked = SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=None if sys.platform == "win32" else 0,  # Ctrl-C is for the owner, who ends it
        )
        for run in (self._write, self._read):
            threading.Thread(target=run, args=(self._process, self._asked), daemon=True).start()

    def ask(self, asked: words.Asked) -> None:
        """Queue it; what never comes is answered as Failed by the next `turn`."""
        self.start()
        self._open[asked.number] = None
        self._asked.put(asked)

    def turn(self) -> list[words.Answer]:
        """What has been answered since the last turn."""
        found = [self.answers.popleft() for _ in range(len(self.answers))]
        for answer in found:
            if not isinstance(answer, words.Traced) or answer.last:
                self._open.pop(answer.number, None)
        if self._open and self._process is not None and self._process.poll() is not None:
            found += [words.Failed(number, "the process that listens to hums died") for number in self._open]
            self._open.clear()
        return found

    def close(self) -> None:
        """End the process; what was asked is answered no more. Harmless when repeated."""
        self._end()
        self._open.clear()

    def finish(self, seconds: float = 5.0) -> None:
        """Wait for what was asked, then end."""
        process, self._process = self._process, None
        if process is None:
            return
        self._asked.put(None)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        if process.poll() is None:
            process.kill()
            process.wait()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            self._asked.put(None)
            process.kill()
            process.wait()

    def _write(self, process: subprocess.Popen[bytes], asked: SimpleQueue[words.Asked | None]) -> None:
        """Thread: writer."""
        assert process.stdin is not None
        with suppress(OSError, ValueError), process.stdin as stream:
            while (word := asked.get()) is not None:
                words.put(stream, word)  # type: ignore[arg-type]

    def _read(self, process: subprocess.Popen[bytes], asked: SimpleQueue[words.Asked | None]) -> None:
        """Thread: reader."""
        assert process.stdout is not None
        with suppress(OSError, ValueError), process.stdout as stream:
            while (answer := words.get_answer(stream)) is not None:  # type: ignore[arg-type]
                self.answers.append(answer)
