"""The frames between supervisor and engine: what each means, and one non-blocking socket to carry them.

A ZeroMQ PAIR socket over ipc in a private folder (loopback TCP on Windows). Sending never blocks: when the
other end does not read, the frame is refused and the sender decides. Payloads are the bridge's own wire
messages, unopened.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import zmq

_HEAD = struct.Struct("<BQ")  # kind, session
_FRAMES_IN_FLIGHT = 4096


class Kind(IntEnum):
    """What a frame is. Down: supervisor to engine. Up: engine to supervisor."""

    OPEN = 1  # down: open a session; parts: the hello's wire parts
    REOPEN = 2  # down: go on with a lost engine's session; parts: its snapshot, then the hello's wire parts
    MESSAGE = 3  # both ways: one wire message of the session
    CLOSE = 4  # down: the session is over
    STOP = 5  # down: finish
    READY = 6  # up: the model is loaded; parts: EngineInfo as JSON
    FAILED = 7  # up: the engine gives up; parts: what, still, do as UTF-8
    BEAT = 8  # up: the work loop turned; parts: seconds of silence it announces, as JSON (0: none)
    RESUME = 9  # up: the session's latest resume snapshot; parts: see sessions.pack_resume
    REOPENED = 10  # up: the session goes on; parts: "resumed" or "anew"
    CLOSED = 11  # up: the engine does not hold the session (any more)


class Frame(NamedTuple):
    """One frame: its kind, the session it belongs to (0: none) and its parts."""

    kind: Kind
    session: int = 0
    parts: tuple[bytes, ...] = ()


class Link:
    """One end of the pair.

    Thread: the one that made it. `bind` makes the supervisor's end, `connect` the engine's.
    """

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str) -> None:
        self.socket = socket
        self.endpoint = endpoint

    @classmethod
    def bind(cls, endpoint: str) -> Link:
        """Listen; port 0 of a TCP endpoint is replaced by a free one, see `endpoint`."""
        socket = _pair()
        socket.bind(endpoint)
        return cls(socket, socket.getsockopt_string(zmq.LAST_ENDPOINT))

    @classmethod
    def connect(cls, endpoint: str) -> Link:
        """Connect to a supervisor's end."""
        socket = _pair()
        socket.connect(endpoint)
        return cls(socket, endpoint)

    def send(self, kind: Kind, session: int = 0, parts: Sequence[bytes] = ()) -> bool:
        """Queue one frame without waiting; False when the other end has stopped reading."""
        try:
            self.socket.send_multipart([_HEAD.pack(kind, session), *parts], zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def receive(self) -> Frame | None:
        """The next frame, or None when there is none now."""
        try:
            head, *parts = self.socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None
        kind, session = _HEAD.unpack(head)
        return Frame(Kind(kind), session, tuple(parts))

    def wait(self, seconds: float) -> bool:
        """Whether a frame is there within that time."""
        return bool(self.socket.poll(int(seconds * 1000), zmq.POLLIN))

    def close(self, linger_ms: int = 0) -> None:
        """Close; what is queued is dropped unless the other end takes it within linger_ms, waited for at
        exit."""
        self.socket.close(linger=linger_ms)


def private_endpoint(folder: str) -> str:
    """Where a supervisor binds its link: inside `folder` (readable by its owner only), or a free loopback
    port."""
    return "tcp://127.0.0.1:*" if sys.platform == "win32" else f"ipc://{folder}/engine"


def _pair() -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PAIR)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, _FRAMES_IN_FLIGHT)
    socket.setsockopt(zmq.RCVHWM, _FRAMES_IN_FLIGHT)
    return socket
