"""The host's end of the wire: one ROUTER socket, typed messages in and out; nothing can block or grow.

Knows nothing about music or sessions' contents. One thread owns a server; only `poll` waits.
What each peer may cost: one slot among `max_clients` after a hello, and two high-water marks of messages.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq

from descant.plugin_bridge import wire
from descant.plugin_bridge.curve import AllowList, CurveKeys, check_endpoint
from descant.plugin_bridge.errors import Code, WireError
from descant.plugin_bridge.place import Place, check_free

HIGH_WATER = 256
"""Messages waiting in each direction for each peer; what does not fit is not taken (`send` gives False)."""
HANDSHAKE_MS = 2000
MESSAGES_A_POLL = 512
"""Most messages taken in one poll, so that a flood cannot keep the caller from its other work."""
SILENT_S = 3.0
"""A client silent for this long gives up its slot when another wants one."""


@dataclass
class _Client:
    sessions: tuple[int, ...]  # what its messages may say: 0, that of its hello, that of its welcome (last)
    heard: float
    sent: int = 0


class BridgeServer:
    """A bound ROUTER socket that speaks the table.

    endpoint: ipc://, inproc:// or tcp://; anything but this machine's own addresses needs curve. curve: the
    host's keys and allow-list. max_clients: how many may be in at once. clock: seconds, only for silence.
    Raises WireError (ENDPOINT) when it cannot be opened. Counters: `malformed` (of peers), `refused_keys`,
    `unsent` (full or gone). last_error: why the last message that this host itself could not encode was not
    sent.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        curve: CurveKeys | None = None,
        max_clients: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_endpoint(endpoint, curve)
        self.malformed = 0
        self.unsent = 0
        self.last_error: WireError | None = None
        self._max_clients = max_clients
        self._clock = clock
        self._clients: dict[bytes, _Client] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        self._allow: AllowList | None = None
        self._place: Place | None = None
        self._socket = self._context.socket(zmq.ROUTER)
        try:
            check_free(endpoint)
            self._open(endpoint, curve)
        except WireError:
            self.close()
            raise
        except (zmq.ZMQError, ValueError) as error:
            self.close()
            raise WireError(
                Code.ENDPOINT,
                f"{endpoint} cannot be opened: {error}.",
                "Nothing was opened.",
                "Stop what uses that address, or choose another.",
            ) from error

    def _open(self, endpoint: str, curve: CurveKeys | None) -> None:
        socket = self._socket
        socket.linger = 0
        socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_PART_BYTES)
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER)
        socket.setsockopt(zmq.RCVHWM, HIGH_WATER)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        if curve is not None:
            self._allow = AllowList(self._context, curve.peers)
            socket.setsockopt(zmq.CURVE_SERVER, 1)
            socket.setsockopt(zmq.CURVE_SECRETKEY, curve.secret)
            socket.setsockopt(zmq.ZAP_DOMAIN, b"descant")
        socket.bind(endpoint)
        self._place = Place.of(endpoint)
        self.endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.register(self._poller)

    @property
    def refused_keys(self) -> int:
        """Connections turned away by the allow-list."""
        return self._allow.refused if self._allow else 0

    @property
    def clients(self) -> tuple[bytes, ...]:
        """Those who said hello and neither left nor were forgotten."""
        return tuple(self._clients)

    def register(self, poller: zmq.Poller) -> None:
        """Thread: server. Let another poller wait for this server's sockets too; `poll` when it wakes."""
        if self._allow is not None:
            poller.register(self._allow.socket, zmq.POLLIN)
        poller.register(self._socket, zmq.POLLIN)

    def poll(self, timeout_ms: int = 0) -> list[tuple[bytes, wire.Message | WireError]]:
        """Thread: server. What arrived, waiting up to timeout_ms for the first; at most MESSAGES_A_POLL.

        A message that is malformed, out of place or one client too many has been answered with a typed
        `refused` and stands in the list as its WireError. Never raises for anything a peer can do.
        """
        ready = self._poller.poll(timeout_ms)
        if self._allow is not None and any(socket is self._allow.socket for socket, _ in ready):
            self._allow.answer()
        came: list[tuple[bytes, wire.Message | WireError]] = []
        while len(came) < MESSAGES_A_POLL and (received := self._receive()):
            client, parts = received
            header = wire.peek(parts[0]) if parts else None
            try:
                message: wire.Message | WireError = self._admit(client, wire.decode(parts))
            except WireError as error:
                self.malformed += 1
                message = error
                sequence, session = (header.sequence, header.session) if header else (0, 0)
                self._post(client, wire.refusal(error, sequence, session))
            came.append((client, message))
        return came

    def send(self, client: bytes, message: wire.Message) -> bool:
        """Thread: server. Send; False if the client is gone or its queue is full. Never raises or waits.

        The sequence is stamped here; the session too when the message has none. A welcome fixes the client's
        session.
        """
        known = self._clients.get(client)
        if known is not None and isinstance(message, wire.Welcome):
            known.sessions = (0, known.sessions[1], message.session)
        return self._post(client, message)

    def forget(self, client: bytes) -> None:
        """Thread: server. Free the client's slot; it must say hello again."""
        self._clients.pop(client, None)

    def close(self) -> None:
        """Thread: server. Close at once; what was not sent is dropped, an ipc socket is removed.
        Harmless when repeated."""
        if self._place is not None:
            self._place.clear()
            self._place = None
        if self._allow is not None:
            self._allow.socket.close()
        self._socket.close()
        self._context.term()

    def _receive(self) -> tuple[bytes, list[bytes]] | None:
        """The next message and who sent it. Parts beyond the longest message are dropped as they are read."""
        try:
            client = self._socket.recv(zmq.DONTWAIT)
            parts: list[bytes] = []
            while self._socket.getsockopt(zmq.RCVMORE):
                part = self._socket.recv(zmq.DONTWAIT)
                if len(parts) <= wire.MAX_PARTS:
                    parts.append(part)
        except zmq.ZMQError:
            return None
        return client, parts

    def _admit(self, client: bytes, message: wire.Message) -> wire.Message:
        """The message, if this client may send it now. Raises WireError."""
        entry = wire.BY_CLASS[type(message)]
        if entry.sender == "host":
            raise WireError(
                Code.DIRECTION,
                f"{entry.name} is for the host to send.",
                "It was ignored.",
                "Connect to a host.",
            )
        now = self._clock()
        known = self._clients.get(client)
        if isinstance(message, wire.Hello):
            if known is None:
                self._make_room(now)
            self._clients[client] = _Client((0, message.session), now, known.sent if known else 0)
            return message
        if known is None or message.session not in known.sessions:
            raise WireError(
                Code.SESSION,
                f"{entry.name} came for a session that is not open here.",
                "The music made so far goes on playing.",
                "Say hello again.",
            )
        known.heard = now
        if isinstance(message, wire.Goodbye):
            self.forget(client)
        return message

    def _make_room(self, now: float) -> None:
        if len(self._clients) < self._max_clients:
            return
        client, quiet = min(self._clients.items(), key=lambda item: item[1].heard)
        if now - quiet.heard < SILENT_S:
            raise WireError(
                Code.BUSY,
                f"The host already serves {self._max_clients} clients.",
                "They go on undisturbed.",
                "Close one, or start another host at another address.",
            )
        self.forget(client)

    def _post(self, client: bytes, message: wire.Message) -> bool:
        known = self._clients.get(client)
        sequence = known.sent if known else message.sequence
        session = message.session or (known.sessions[-1] if known else 0)
        try:
            parts = wire.encode(message, session=session, sequence=sequence)
            self._socket.send_multipart([client, *parts], zmq.DONTWAIT)
        except WireError as error:
            self.last_error = error
            return False
        except zmq.ZMQError:  # full or gone, said before the first part is taken: never half a message
            self.unsent += 1
            return False
        if known:
            known.sent = (known.sent + 1) % 2**32
        return True
