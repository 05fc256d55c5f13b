"""Who plays: the supervisor's table of clients and sessions, and what it takes to carry one over to another
engine.

Knows nothing about sockets or processes. A session survives its engine by three things kept here: its hello,
the engine's latest resume snapshot, and the messages the engine had not yet taken in when it made that
snapshot.
"""

from __future__ import annotations

import itertools
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from descant.plugin_bridge import wire

_COUNT = struct.Struct("<Q")
MAX_KEPT_MESSAGES = 4096
MAX_KEPT_BYTES = 32 * 2**20

Parts = tuple[bytes, ...]


@dataclass
class Session:
    """One client's performance.

    number: names the session on the wire. client: the router's identity of the bridge. hello: its wire parts.
    heard: seconds on the supervisor's clock of the last message. open: whether an engine holds it.
    welcome: what it was promised, once it was. greeting: whether it waits to hear that again.
    """

    number: int
    client: bytes
    hello: Parts
    heard: float
    open: bool = False
    welcome: wire.Welcome | None = None
    greeting: bool = False
    snapshot: bytes = b""
    _sent: int = 0
    _kept: deque[tuple[int, Parts]] = field(default_factory=deque)
    _kept_bytes: int = 0
    _clock: Parts = ()

    def same_hello(self, parts: Parts) -> bool:
        """Whether a hello asks for what this session's did: said again, out of impatience or after a
        silence."""
        size = wire.HEADER.size  # which sequence and which session it is said in does not matter
        return (parts[0][size:], *parts[1:]) == (self.hello[0][size:], *self.hello[1:])

    def keep(self, parts: Parts) -> None:
        """Note a message on its way to the engine, to be said again if that engine dies. The oldest are
        forgotten
        when there are too many: an engine that takes in nothing for so long will not be resumed in time
        anyway."""
        self._sent += 1
        self._kept.append((self._sent, parts))
        self._kept_bytes += sum(map(len, parts))
        while len(self._kept) > MAX_KEPT_MESSAGES or self._kept_bytes > MAX_KEPT_BYTES:
            self._forget()

    def keep_clock(self, parts: Parts) -> None:
        """Note the client's latest heartbeat: only the last of them is said again."""
        self._clock = parts

    def taken(self, snapshot: bytes, count: int) -> None:
        """The engine can go on from `snapshot`, which holds the effect of the first `count` kept messages."""
        self.snapshot = snapshot
        while self._kept and self._kept[0][0] <= count:
            self._forget()

    def replay(self) -> Iterator[Parts]:
        """What to say to an engine that has just reopened the session. Counting begins anew with it."""
        again = [parts for _, parts in self._kept]
        self._kept.clear()
        self._kept_bytes = 0
        self._sent = 0
        for parts in again:
            self.keep(parts)
            yield parts
        if self._clock:
            yield self._clock

    def drop_past(self, snapshot_too: bool) -> None:
        """Forget what may have killed the engine: the kept messages, and the snapshot if those were not
        it."""
        self._kept.clear()
        self._kept_bytes = 0
        if snapshot_too:
            self.snapshot = b""

    def _forget(self) -> None:
        self._kept_bytes -= sum(map(len, self._kept.popleft()[1]))


class SessionTable:
    """All sessions by number and by client; numbers are never used twice."""

    def __init__(self, first: int = 1) -> None:
        self._numbers = itertools.count(first)
        self._by_number: dict[int, Session] = {}
        self._by_client: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._by_number.values()))

    def add(self, client: bytes, hello: Parts, now: float) -> Session:
        """A new session for a client that has none."""
        if client in self._by_client:
            raise ValueError("the client has a session already")
        session = Session(next(self._numbers), client, hello, now)
        self._by_number[session.number] = session
        self._by_client[client] = session
        return session

    def of_client(self, client: bytes) -> Session | None:
        return self._by_client.get(client)

    def of_number(self, number: int) -> Session | None:
        return self._by_number.get(number)

    def remove(self, session: Session) -> None:
        """Forget a session; harmless when it is gone already."""
        self._by_number.pop(session.number, None)
        self._by_client.pop(session.client, None)

    def silent(self, now: float, limit: float) -> list[Session]:
        """Sessions whose client has said nothing for more than `limit` seconds."""
        return [session for session in self if now - session.heard > limit]


def pack_resume(count: int, snapshot: bytes) -> Parts:
    """The parts of a resume frame: how many kept messages the snapshot includes, and the snapshot."""
    return (_COUNT.pack(count), snapshot)


def unpack_resume(parts: Parts) -> tuple[int, bytes]:
    """The inverse of `pack_resume`."""
    (count,) = _COUNT.unpack(parts[0])
    return count, parts[1]
