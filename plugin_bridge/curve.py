"""Who may talk to whom: which addresses need keys, and CURVE keys with an allow-list.

Knows nothing about messages.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

import zmq
from zmq.utils import z85

from descant.plugin_bridge.errors import Code, WireError

_ZAP_ENDPOINT = "inproc://zeromq.zap.01"
_KEY_LENGTH = 40


@dataclass(frozen=True)
class CurveKeys:
    """One end's key pair and whom it trusts. Keys are 40 bytes of Z85 text.

    peers: for the host the public keys of the bridges that may connect (the allow-list); for a bridge the
        host's
    public key, and only that. Raises WireError for keys that cannot be keys.
    """

    public: bytes
    secret: bytes
    peers: frozenset[bytes]

    def __post_init__(self) -> None:
        for key in (self.public, self.secret, *self.peers):
            if len(key) != _KEY_LENGTH:
                raise WireError(
                    Code.ENDPOINT,
                    f"A key has {len(key)} characters.",
                    "Nothing was opened.",
                    f"Use keys of {_KEY_LENGTH} characters, as `descant keys` makes them.",
                )

    @classmethod
    def make(cls, peers: Iterable[bytes] = ()) -> CurveKeys:
        """A new key pair."""
        public, secret = zmq.curve_keypair()
        return cls(public, secret, frozenset(peers))

    def trusting(self, *peers: bytes) -> CurveKeys:
        """The same pair with these peers."""
        return CurveKeys(self.public, self.secret, frozenset(peers))


def is_private(endpoint: str) -> bool:
    """Whether only this machine can reach the endpoint: ipc, inproc, or tcp on a loopback address."""
    scheme, _, rest = endpoint.partition("://")
    if scheme in ("ipc", "inproc"):
        return True
    host = rest.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return scheme == "tcp" and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_endpoint(endpoint: str, curve: CurveKeys | None) -> None:
    """Raise WireError (ENDPOINT) for what is no address, or can be reached by others when there are no keys.

    A tcp port is 1..65535 or, to bind to any free one, *; ZeroMQ itself would take 65537 for 1.
    """
    if not endpoint.startswith(("ipc://", "inproc://", "tcp://")):
        raise WireError(
            Code.ENDPOINT,
            f"{endpoint!r} is not an address for the wire.",
            "Nothing was opened.",
            "Use ipc://PATH or tcp://127.0.0.1:PORT.",
        )
    port = endpoint.rpartition(":")[2]
    if endpoint.startswith("tcp://") and port != "*" and not _is_port(port):
        raise WireError(
            Code.ENDPOINT,
            f"{endpoint[:200]!r} names no TCP port: {port[:20]!r}.",
            "Nothing was opened.",
            "Use a port from 1 to 65535.",
        )
    if curve is None and not is_private(endpoint):
        raise WireError(
            Code.ENDPOINT,
            f"{endpoint} can be reached by other machines, and there are no keys.",
            "Nothing was opened; addresses of this machine alone (ipc, 127.0.0.1) need none.",
            "Give both ends CURVE keys and the host an allow-list, or use ipc:// or tcp://127.0.0.1.",
        )


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535


class AllowList:
    """Answers libzmq's question, for each connection, whether its public key is among the trusted ones.

    Thread: the server's. Lives in the server's own context; `answer` is called when `socket` is readable.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], peers: frozenset[bytes]) -> None:
        self._allowed = frozenset(z85.decode(peer) for peer in peers)
        self.socket: zmq.Socket[bytes] = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_ZAP_ENDPOINT)
        self.refused = 0

    def answer(self) -> None:
        """Answer every waiting question (ZAP, ZeroMQ RFC 27)."""
        while True:
            try:
                parts = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            version, request_id, *_ = parts
            known = len(parts) == 7 and parts[5] == b"CURVE" and parts[6] in self._allowed
            self.refused += not known
            status, text = (b"200", b"OK") if known else (b"400", b"not on the allow-list")
            self.socket.send_multipart([version, request_id, status, text, b"", b""])
