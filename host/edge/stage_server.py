"""The stage's end of the socket to its windows: reads what they want, answers each look with one view.

Thread: the owner's. Never waits: what cannot be sent at once is not sent, and the window asks again.
"""

from __future__ import annotations

import time
from contextlib import suppress

import msgspec
import zmq

from descant.host.edge import stage_words as words
from descant.host.edge.stage import Stage
from descant.host.errors import HostError
from descant.plugin_bridge.place import Place, check_free

WORDS_A_TURN = 64


class StageServer:
    """endpoint: an ipc:// path in a folder of the user's own. heard: when a window last spoke, on the
    monotonic clock. malformed: words that were none. Raises WireError when something is there already."""

    def __init__(self, endpoint: str, stage: Stage) -> None:
        check_free(endpoint)
        self.stage = stage
        self.heard = time.monotonic()
        self.malformed = 0
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, words.MAX_BYTES)
        self._socket.setsockopt(zmq.SNDHWM, 8)
        self._socket.setsockopt(zmq.RCVHWM, 256)
        self._socket.setsockopt(zmq.LINGER, 100)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise HostError(
                f"The stage cannot listen at {endpoint}: {error.strerror}.",
                "Nothing was started.",
                "Name an ipc path in a folder that is yours to write to.",
            ) from error
        self._place = Place.of(endpoint)

    def turn(self) -> None:
        """Take what has come and answer."""
        for _ in range(WORDS_A_TURN):
            try:
                who, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.heard = time.monotonic()
            try:
                if len(parts) != 1:
                    raise ValueError
                asked = words.read_asked(parts[0])
            except (msgspec.MsgspecError, ValueError, RecursionError):
                self.malformed += 1
                continue
            if isinstance(asked, words.Look):
                with suppress(zmq.ZMQError):  # it has gone, or reads nothing
                    self._socket.send_multipart([who, words.pack(self.stage.view(asked))], zmq.NOBLOCK)
            else:
                self.stage.obey(asked)

    def close(self) -> None:
        """Let go of the place."""
        self._socket.close()
        self._context.term()
        if getattr(self, "_place", None) is not None:
            assert self._place is not None
            self._place.clear()
