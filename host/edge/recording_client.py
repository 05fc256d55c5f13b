"""A BridgeClient that keeps a record: all that was made, where it belongs, and what the session took in.

What was made is kept apart from what is heard: without fades, and late audio too, so that it is what another
run of the same session makes, bit for bit.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from descant.host.edge.recall import RecallingClient
from descant.host.edge.take_log import Noted
from descant.plugin_bridge import Code, wire

Wave = npt.NDArray[np.float32]
BEHIND_SECONDS = 0.25  # behind the playhead nothing is replaced any more
UNTOLD = 65_536  # messages whose handling the host has not told of
_EPHEMERAL = (wire.Heartbeat, wire.Hello, wire.Goodbye, wire.Mode, wire.Sync, wire.Recount)


class RecordingClient(RecallingClient):
    """See BridgeClient.

    sessions: how many there have been, each of a host that was started anew. noted: entries of the log of the
    one that is, as they are told, oldest first. known: whether they are all of it; a session whose engine was
    replaced is known no more, and neither is one that has leapt.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.noted: deque[Noted] = deque(maxlen=UNTOLD)  # where nobody records, the oldest go
        self.known = True
        self.sessions = 0
        self._sent: deque[tuple[int, wire.Message]] = deque(maxlen=UNTOLD)
        self._made: Wave = np.zeros((self.channels, self.ring.capacity + self.sample_rate), np.float32)
        self._newest = -1  # epoch
        self._taken: int | None = None  # end of what was given out

    def made(self, everything: bool = False) -> tuple[int, Wave] | None:
        """Thread: audio. What was made since the last call, as (position, [C, n]); silence where nothing was.

        A quarter of a second behind the playhead, or up to it. None while there is nothing.
        """
        until = self.playhead - (0 if everything else round(BEHIND_SECONDS * self.sample_rate))
        if self._taken is None or until == self._taken:
            return None
        if not 0 < until - self._taken <= self._made.shape[1]:
            if until > self._taken or self._taken - until > self.sample_rate:  # a leap
                self._taken = until
                self._made[:] = 0
            return None
        at, n, size = self._taken, until - self._taken, self._made.shape[1]
        out = np.empty((self.channels, n), np.float32)
        done = 0
        while done < n:
            place = (at + done) % size
            step = min(n - done, size - place)
            out[:, done : done + step] = self._made[:, place : place + step]
            self._made[:, place : place + step] = 0
            done += step
        self._taken = until
        return at, out

    def _queue(self, block: wire.Audio) -> None:
        super()._queue(block)
        if block.epoch < self._newest or block.wave.shape[0] not in (1, self.channels):
            return
        self._newest = block.epoch
        if self._taken is None:
            return
        size, at, n = self._made.shape[1], block.at_sample, block.wave.shape[1]
        done = max(0, self._taken - at)
        n = min(n, self._taken + size - at)
        while done < n:
            place = (at + done) % size
            step = min(n - done, size - place)
            self._made[:, place : place + step] = block.wave[:, done : done + step]
            done += step

    def _enter(self, welcome: wire.Welcome) -> None:
        self.known, self._newest = True, -1
        self.sessions += 1
        super()._enter(welcome)
        self._sent.clear()
        self.noted.clear()
        if self._taken is None:
            self._taken = self.playhead
        self._send(wire.Recount())

    def _posted(self, message: wire.Message, sequence: int) -> None:
        if not isinstance(message, _EPHEMERAL):
            self._sent.append((sequence, message))

    def _take(self, message: wire.Message) -> None:
        super()._take(message)
        if isinstance(message, wire.Noted) and message.session == self.session:
            self._note(message)
        elif isinstance(message, wire.Fault) and message.code == Code.ENGINE_LOST:
            self.known = False

    def _note(self, told: wire.Noted) -> None:
        self.known = self.known and told.complete and len(self.noted) < UNTOLD
        for line in told.entries.splitlines():
            kind, *words = line.split(" ")
            try:
                numbers = [int(word) for word in words]
                if kind == "restart":
                    at, changeable = numbers
                    self.noted.append(Noted(changeable, restart=at))
                elif kind == "ease":
                    rung, at, changeable = numbers
                    self.noted.append(Noted(changeable, ease=(at, rung)))
                else:
                    sequence, changeable = numbers
                    self._pair(sequence, changeable)
            except ValueError:  # a host that speaks otherwise
                self.known = False

    def _pair(self, sequence: int, changeable: int) -> None:
        """The message of that sequence was taken in; those before it, which were refused, never will be."""
        while self._sent:
            number, message = self._sent.popleft()
            if number == sequence:
                self.noted.append(Noted(changeable, wire.encode(message)))
                return
        self.known = False
