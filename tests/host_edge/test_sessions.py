"""A session's past is kept exactly as long as an engine may have to be told it again."""

from hypothesis import given
from hypothesis import strategies as st

from descant.host.edge import sessions
from descant.host.edge.sessions import SessionTable, pack_resume, unpack_resume
from descant.plugin_bridge import wire


def test_numbers_are_never_used_twice_and_clients_have_one_session() -> None:
    table = SessionTable()
    first = table.add(b"a", (b"hello",), 0.0)
    table.remove(first)
    second = table.add(b"a", (b"hello",), 1.0)
    assert second.number != first.number
    assert table.of_client(b"a") is second
    assert table.of_number(first.number) is None
    assert len(table) == 1


def test_silent_sessions_are_those_past_the_limit() -> None:
    table = SessionTable()
    quiet, talking = table.add(b"q", (), 0.0), table.add(b"t", (), 0.0)
    talking.heard = 2.5
    assert table.silent(3.1, 3.0) == [quiet]


@given(st.lists(st.binary(max_size=6), max_size=40), st.integers(0, 45), st.integers(0, 45))
def test_replay_says_what_the_snapshot_does_not_hold_once_and_in_order(
    messages: list[bytes], first: int, second: int
) -> None:
    session = SessionTable().add(b"c", (b"hello",), 0.0)
    for message in messages:
        session.keep((message,))
    session.taken(b"snapshot", first)
    left = messages[first:]
    assert [parts[0] for parts in session.replay()] == left
    session.taken(b"snapshot", second)  # counted from the reopening on
    assert [parts[0] for parts in session.replay()] == left[second:]


def test_only_the_latest_clock_is_said_again_and_last() -> None:
    session = SessionTable().add(b"c", (), 0.0)
    session.keep_clock((b"1",))
    session.keep((b"note",))
    session.keep_clock((b"2",))
    assert list(session.replay()) == [(b"note",), (b"2",)]


def test_memory_is_bounded() -> None:
    session = SessionTable().add(b"c", (), 0.0)
    for _ in range(sessions.MAX_KEPT_MESSAGES + 10):
        session.keep((b"x",))
    assert len(list(session.replay())) == sessions.MAX_KEPT_MESSAGES
    for _ in range(5):
        session.keep((bytes(sessions.MAX_KEPT_BYTES // 3),))
    assert sum(len(parts[0]) for parts in session.replay()) <= sessions.MAX_KEPT_BYTES


@given(st.integers(0, 2**64 - 1), st.binary())
def test_resume_frames_round_trip(count: int, snapshot: bytes) -> None:
    assert unpack_resume(pack_resume(count, snapshot)) == (count, snapshot)


def test_a_hello_said_again_is_the_same_whatever_its_header() -> None:
    hello = wire.Hello(48000, 256, 2, "daw")
    session = SessionTable().add(b"c", tuple(wire.encode(hello)), 0.0)
    assert session.same_hello(tuple(wire.encode(hello, session=7, sequence=9)))
    assert not session.same_hello(tuple(wire.encode(wire.Hello(44100, 256, 2, "daw"))))
    assert not session.same_hello(tuple(wire.encode(wire.Hello(48000, 256, 2, "dax"))))
