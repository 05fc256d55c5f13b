"""The host's end: typed refusals, bounded everything, keys; nothing a peer does stops it."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import zmq

from descant.plugin_bridge import BridgeClient, BridgeServer, CurveKeys, WireError, wire
from descant.plugin_bridge.curve import is_private
from descant.plugin_bridge.errors import Code
from tests.plugin_bridge.small_host import SmallHost, ipc_endpoint, joined, until


@pytest.fixture
def endpoint():
    with ipc_endpoint() as address:
        yield address


@pytest.fixture
def host(endpoint):
    host = SmallHost(endpoint, max_clients=3)
    yield host
    host.server.close()


class Stranger:
    """A bare socket that may send anything."""

    def __init__(self, endpoint: str) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.context.term()

    def send(self, *parts: bytes) -> None:
        self.socket.send_multipart(parts)

    def answer(self, host: SmallHost) -> wire.Message:
        until(lambda: self.socket.poll(1), host.serve)
        return wire.decode(self.socket.recv_multipart())


def hello(**fields) -> list[bytes]:
    return wire.encode(wire.Hello(48000, 256, 2, "stranger", **fields))


def test_a_malformed_message_is_refused_with_its_code_and_sequence(host):
    with Stranger(host.endpoint) as stranger:
        stranger.send(*hello())
        assert isinstance(stranger.answer(host), wire.Welcome)
        head = wire.encode(wire.NoteOn(0, 60, 1), session=host.session, sequence=77)[0]
        stranger.send(head[:-1] + b"\x80")
        answer = stranger.answer(host)
        assert isinstance(answer, wire.Refused)
        assert (answer.code, answer.refers_to) == (Code.RANGE, 77)
        assert host.got[-1][1].code == Code.RANGE and host.server.malformed == 1
        stranger.send(head)
        until(lambda: host.of(wire.NoteOn), host.serve)


def test_another_version_is_told_which_would_work(host):
    with Stranger(host.endpoint) as stranger:
        head, *rest = hello()
        stranger.send(bytes([9]) + head[1:], *rest)
        answer = stranger.answer(host)
        assert isinstance(answer, wire.Refused) and answer.code == Code.VERSION
        assert (answer.version_low, answer.version_high) == wire.VERSIONS
        assert "9" in answer.what and "Version 1 works" in answer.still


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"], Code.NOT_DESCANT),
        ([b""], Code.SIZE),
        ([b"\0" * 24] * 1000, Code.NOT_DESCANT),
        (wire.encode(wire.Heartbeat()), Code.SESSION),  # before any hello
        (wire.encode(wire.Audio(0, np.zeros((1, 1), np.float32))), Code.DIRECTION),
        ([*wire.encode(wire.Heartbeat()), *[b"x"] * 500], Code.PARTS),
    ],
)
def test_what_is_out_of_place_is_refused(host, parts, code):
    with Stranger(host.endpoint) as stranger:
        stranger.send(*parts)
        answer = stranger.answer(host)
        assert isinstance(answer, wire.Refused) and answer.code == code
        assert host.server.clients == ()


def test_the_session_of_another_is_refused(host):
    with Stranger(host.endpoint) as stranger:
        stranger.send(*hello())
        assert isinstance(stranger.answer(host), wire.Welcome)
        stranger.send(*wire.encode(wire.Goodbye(), session=host.session + 5))
        answer = stranger.answer(host)
        assert isinstance(answer, wire.Refused) and answer.code == Code.SESSION
        assert len(host.server.clients) == 1


def test_a_prompt_of_100000_characters_is_refused_and_a_2_mb_part_ends_only_its_connection(host):
    with Stranger(host.endpoint) as stranger, Stranger(host.endpoint) as other:
        for each in (stranger, other):
            each.send(*hello())
            assert isinstance(each.answer(host), wire.Welcome)
        head, _ = wire.encode(wire.Prompt(0, "x"), session=0)
        stranger.send(head, b"y" * 100_000)
        answer = stranger.answer(host)
        assert isinstance(answer, wire.Refused) and answer.code == Code.TEXT
        stranger.send(head, b"y" * 2_000_000)
        other.send(head, b"brass")
        until(lambda: host.of(wire.Prompt), host.serve)
        assert [message.text for message in host.of(wire.Prompt)] == ["brass"]


def test_clients_are_bounded_and_the_silent_make_room(host):
    with Stranger(host.endpoint) as a, Stranger(host.endpoint) as b, Stranger(host.endpoint) as c:
        for stranger in (a, b, c):
            stranger.send(*hello())
            assert isinstance(stranger.answer(host), wire.Welcome)
        with Stranger(host.endpoint) as late:
            late.send(*hello())
            answer = late.answer(host)
            assert isinstance(answer, wire.Refused) and answer.code == Code.BUSY
            host.clock.now += 4
            for stranger in (b, c):
                stranger.send(*wire.encode(wire.Heartbeat()))
            until(lambda: len(host.of(wire.Heartbeat)) == 2, host.serve)
            late.send(*hello())
            assert isinstance(late.answer(host), wire.Welcome)
            a.send(*wire.encode(wire.Heartbeat()))
            answer = a.answer(host)
            assert isinstance(answer, wire.Refused) and answer.code == Code.SESSION
            b.send(*wire.encode(wire.Goodbye()))
            until(lambda: len(host.server.clients) == 2, host.serve)


def test_sending_never_waits_and_never_raises(host):
    assert host.server.send(b"nobody", wire.Heartbeat()) is False
    with Stranger(host.endpoint) as deaf:
        deaf.send(*hello())
        until(lambda: host.hellos, host.serve)
        block = wire.Audio(0, np.zeros((8, 16384), np.float32))
        sent = [host.server.send(host.client, block) for _ in range(3000)]
        assert not sent[-1] and sum(sent) < 2500
        assert host.server.unsent >= 500
        assert host.server.send(host.client, wire.Control(99, 0, 0)) is False
        assert host.server.last_error is not None and host.server.last_error.code == Code.RANGE


def test_one_poll_is_bounded(host):
    with Stranger(host.endpoint) as stranger:
        for _ in range(200):
            for _ in range(20):
                stranger.send(b"x")
            came = host.server.poll(1)
            assert len(came) <= 512
            if host.server.malformed > 2000:
                break
        assert host.server.malformed > 1000


@pytest.mark.parametrize(
    ("endpoint", "private"),
    [
        ("ipc:///tmp/x", True),
        ("inproc://x", True),
        ("tcp://127.0.0.1:5555", True),
        ("tcp://127.8.9.1:5555", True),
        ("tcp://localhost:5555", True),
        ("tcp://[::1]:5555", True),
        ("tcp://0.0.0.0:5555", False),
        ("tcp://*:5555", False),
        ("tcp://192.168.1.7:5555", False),
        ("tcp://eth0:5555", False),
        ("tcp://[::]:5555", False),
        ("tcp://127.0.0.1.evil.example:5555", False),
        ("tcp://127.0.0.1;192.168.1.7:5555", False),
    ],
)
def test_only_this_machines_addresses_need_no_keys(endpoint, private):
    assert is_private(endpoint) is private
    if not private:
        for kind in (BridgeServer, BridgeClient):
            with pytest.raises(WireError) as caught:
                kind(endpoint)
            assert caught.value.code == Code.ENDPOINT


@pytest.mark.parametrize("port", ["0", "-1", "65536", "65537", "99999", "9" * 5000, "", "http", "¹", "1 "])
def test_a_tcp_port_that_is_none_is_refused_at_both_ends(port):
    for kind in (BridgeServer, BridgeClient):
        with pytest.raises(WireError, match="65535") as caught:
            kind(f"tcp://127.0.0.1:{port}")
        assert caught.value.code == Code.ENDPOINT and len(str(caught.value).splitlines()) == 3


def test_an_address_in_use_or_absurd_is_a_typed_error(host):
    tcp = BridgeServer("tcp://127.0.0.1:*")
    for endpoint in (tcp.endpoint, "udp://127.0.0.1:1", "nonsense", "ipc:///nowhere/at/all/x"):
        with pytest.raises(WireError) as caught:
            BridgeServer(endpoint)
        assert caught.value.code == Code.ENDPOINT
    tcp.close()
    tcp.close()


def test_with_keys_friends_come_in_over_tcp_and_strangers_do_not():
    keys, friend, stranger = CurveKeys.make(), CurveKeys.make(), CurveKeys.make()
    host = SmallHost("tcp://127.0.0.1:*", curve=keys.trusting(friend.public))
    client = BridgeClient(host.endpoint, curve=friend.trusting(keys.public))
    joined(client, host)
    assert client.note_on(60)
    until(lambda: host.of(wire.NoteOn), host.serve)
    for curve in (stranger.trusting(keys.public), friend.trusting(stranger.public), None):
        other = BridgeClient(host.endpoint, curve=curve)
        with pytest.raises(WireError) as caught:
            other.connect(timeout_ms=300, meanwhile=host.serve)
        assert caught.value.code == Code.TIMEOUT
    assert host.server.refused_keys >= 1
    assert len(host.hellos) == 1
    assert client.note_on(61)
    until(lambda: len(host.of(wire.NoteOn)) == 2, host.serve)
    client.close()
    host.server.close()


def test_with_keys_any_address_may_be_opened():
    keys = CurveKeys.make()
    friend = CurveKeys.make([keys.public])
    host = SmallHost("tcp://0.0.0.0:*", curve=keys.trusting(friend.public))
    client = BridgeClient(host.endpoint.replace("0.0.0.0", "127.0.0.1"), curve=friend)
    joined(client, host)
    assert client.state == "live"
    client.close()
    host.server.close()


def test_keys_that_cannot_be_keys_are_a_typed_error():
    with pytest.raises(WireError):
        CurveKeys(b"short", b"x" * 40, frozenset())
    with pytest.raises(WireError):
        BridgeServer("tcp://127.0.0.1:*", curve=CurveKeys(b"x" * 40, b"\x00" * 40, frozenset()))
    with pytest.raises(WireError):
        BridgeClient("tcp://127.0.0.1:9", curve=CurveKeys.make()).connect(10)


def test_a_server_takes_over_a_dead_socket_and_nothing_else(tmp_path):
    endpoint, place = f"ipc://{tmp_path}/w", tmp_path / "w"
    place.write_text("mine")
    with pytest.raises(WireError) as caught:
        BridgeServer(endpoint)
    assert caught.value.code == Code.ENDPOINT and "a file is there" in caught.value.what
    assert place.read_text() == "mine"
    place.unlink()
    with socket.socket(socket.AF_UNIX) as somebody:
        somebody.bind(str(place))
        somebody.listen()
        with pytest.raises(WireError, match="a program listens there"):
            BridgeServer(endpoint)
    assert place.is_socket()  # nobody's now
    BridgeServer(endpoint).close()
    assert not place.exists()
