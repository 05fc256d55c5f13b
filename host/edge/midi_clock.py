"""The handle on the process that sends MIDI clock: tells it where time and song are, without ever waiting.

Thread: the owner's. One that dies is begun again.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import rtmidi

from descant.host.edge.clock_process import MODULE, READY
from descant.host.errors import DeviceError
from descant.host.loop_state import timeline_out
from descant.host.transport import Timeline

TELL_SECONDS = 0.02  # between two words of an unchanged song
BEGIN_SECONDS = 15.0  # a process may take to begin
AGAIN_SECONDS = 2.0  # at least between two beginnings
END_SECONDS = 2.0


class MidiClock:
    """Raises DeviceError where there is no such output.

    wanted: part of an output port's name, or "own" for a port of our own, to which others connect. starts:
    processes begun. pid: of the newest.
    """

    def __init__(self, wanted: str, api: int = rtmidi.API_UNSPECIFIED) -> None:
        self.starts = 0
        self._wanted, self._api = wanted, api
        self._timeline: Timeline | None = None  # as it was told last
        self._told = self._began = 0.0
        self._process = self._started()
        said = self._answer()
        if said != READY:
            self._process.kill()
            self.close()
            what, still, do = said
            raise DeviceError(what, still, do)

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, position: float, seconds: float, rate: float, timeline: Timeline) -> None:
        """Where time and song are: a position in samples, its time by the monotonic clock, samples a second.
        Never waits.
        """
        if self._process.poll() is not None and seconds - self._began >= AGAIN_SECONDS:
            self.close()
            self._process = self._started()
        if timeline is self._timeline and seconds - self._told < TELL_SECONDS:
            return
        said: dict[str, Any] = {"position": position, "seconds": seconds, "rate": rate}
        if timeline is not self._timeline:
            said["timeline"] = timeline_out(timeline.pruned(round(position - rate)))
        line = json.dumps(said).encode() + b"\n"
        try:  # a pipe takes a short line whole or not at all
            os.write(self._pipe(), line)
        except BlockingIOError:
            return  # it hangs, and knows enough to go on
        except OSError:
            return
        self._timeline, self._told = timeline, seconds

    def close(self) -> None:
        """A stop is the last word. Harmless when repeated."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _pipe(self) -> int:
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def _started(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        self._began = time.monotonic()
        self._timeline = None
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE, self._wanted, str(self._api)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert process.stdin is not None
        if sys.platform != "win32":
            os.set_blocking(process.stdin.fileno(), False)
        return process

    def _answer(self) -> Any:
        """READY, or the three lines of an error."""
        assert self._process.stdout is not None
        if sys.platform != "win32" and not select.select([self._process.stdout], [], [], BEGIN_SECONDS)[0]:
            line = b""
        else:
            line = self._process.stdout.readline()
        try:
            return json.loads(line)
        except ValueError:
            return (
                "The process that sends MIDI clock did not begin",
                "Everything else works without it",
                "Try again, or leave out --clock-out",
            )
