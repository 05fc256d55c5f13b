"""The link between supervisor and engine: frames arrive whole and in order, and sending never waits."""

from pathlib import Path

from descant.host.edge.link import Frame, Kind, Link


def test_frames_arrive_whole_and_in_order(tmp_path: Path) -> None:
    upper = Link.bind(f"ipc://{tmp_path}/l")
    lower = Link.connect(upper.endpoint)
    sent = [
        Frame(Kind.MESSAGE, 2**63, (b"a", b"", bytes(5000))),
        Frame(Kind.BEAT, 0, (b"0",)),
        Frame(Kind.STOP),
    ]
    for frame in sent:
        assert lower.send(*frame)
    got = []
    while len(got) < len(sent):
        assert upper.wait(5)
        while (frame := upper.receive()) is not None:
            got.append(frame)
    assert got == sent
    assert upper.send(Kind.CLOSE, 7)
    assert lower.wait(5) and lower.receive() == Frame(Kind.CLOSE, 7)
    assert lower.receive() is None
    upper.close()
    lower.close()


def test_nobody_at_the_other_end_or_nobody_reading_is_false_and_not_a_wait(tmp_path: Path) -> None:
    upper = Link.bind(f"ipc://{tmp_path}/l")
    assert not upper.send(Kind.STOP)
    lower = Link.connect(upper.endpoint)
    for _ in range(1_000_000):
        if not lower.send(Kind.MESSAGE, 1, (bytes(4096),)):
            break
    else:
        raise AssertionError("it never said stop")
    upper.close()
    lower.close()
