"""A bridge's socket: one DEALER that never waits unless told to, stamps sequences, and can be nudged awake.

Knows nothing about sessions' states or audio. One thread owns it; only `nudge` may be called from others.
"""

from __future__ import annotations

import socket as sockets

import zmq

from descant.plugin_bridge import wire
from descant.plugin_bridge.curve import CurveKeys
from descant.plugin_bridge.errors import Code, WireError

HIGH_WATER = 256
"""Messages waiting in each direction."""


class Dealer:
    """endpoint, curve: as of BridgeClient. Raises WireError (ENDPOINT) when they cannot be used."""

    def __init__(self, endpoint: str, curve: CurveKeys | None) -> None:
        self.sequence = 0
        self._wake: tuple[sockets.socket, sockets.socket] | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_PART_BYTES)
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER)
        socket.setsockopt(zmq.RCVHWM, HIGH_WATER)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a host that is not there
        socket.setsockopt(zmq.HANDSHAKE_IVL, 2000)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        try:
            if curve is not None:
                (server,) = curve.peers
                socket.setsockopt(zmq.CURVE_SERVERKEY, server)
                socket.setsockopt(zmq.CURVE_PUBLICKEY, curve.public)
                socket.setsockopt(zmq.CURVE_SECRETKEY, curve.secret)
            socket.connect(endpoint)
        except (zmq.ZMQError, ValueError) as error:
            self.close()
            raise WireError(
                Code.ENDPOINT,
                f"{endpoint} cannot be used: {error}.",
                "Nothing was opened.",
                "Give the address the host printed, and the host's one public key if it wants keys.",
            ) from error
        self._wake = sockets.socketpair()
        for end in self._wake:
            end.setblocking(False)
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(self._wake[0], zmq.POLLIN)

    def post(self, message: wire.Message, session: int) -> bool:
        """Thread: I/O. Send one message if the socket takes it now."""
        parts = wire.encode(message, session=session, sequence=self.sequence)
        try:
            self._socket.send_multipart(parts, zmq.DONTWAIT)
        except zmq.ZMQError:
            return False
        self.sequence = (self.sequence + 1) % 2**32
        return True

    def receive(self) -> wire.Message | WireError | None:
        """Thread: I/O. The next message, or why it is none; None when nothing has come."""
        try:
            parts = self._socket.recv_multipart(zmq.DONTWAIT)
        except zmq.ZMQError:
            return None
        try:
            return wire.decode(parts)
        except WireError as error:
            return error

    def wait(self, timeout_ms: int) -> None:
        """Thread: I/O. Wait until a message or a nudge comes, at most timeout_ms."""
        assert self._wake is not None
        if any(ready != self._socket for ready, _ in self._poller.poll(timeout_ms)):
            self._wake[0].recv(4096)

    def nudge(self) -> None:
        """Thread: any but audio. Make `wait` return."""
        assert self._wake is not None
        try:
            self._wake[1].send(b"!")
        except BlockingIOError:
            return  # it has been nudged enough

    def close(self, linger_ms: int = 0) -> None:
        """Thread: I/O. Close, giving what was sent linger_ms to leave."""
        self._socket.close(linger_ms)
        self._context.term()
        for end in self._wake or ():
            end.close()
