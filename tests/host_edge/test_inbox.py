"""What waits for the work loop: every event in its order, of heartbeats those that still matter."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from descant.host.edge.inbox import MOST, Inbox
from descant.host.edge.link import Frame, Kind
from descant.plugin_bridge import wire


class Link:
    """What of a link an inbox uses."""

    def __init__(self):
        self.frames = deque()

    def send(self, kind, session, message=None):
        self.frames.append(Frame(kind, session, tuple(wire.encode(message)) if message else ()))

    def receive(self):
        return self.frames.popleft() if self.frames else None


def taken(inbox):
    out = []
    while (waiting := inbox.take()) is not None:
        out.append((waiting.frame.session, waiting.frame.kind, waiting.message))
    return out


steps = st.lists(
    st.one_of(
        st.tuples(st.just("beat"), st.integers(1, 2), st.integers(0, 2)),
        st.tuples(st.just("note"), st.integers(1, 2), st.integers(0, 127)),
        st.tuples(st.just("reopen"), st.integers(1, 2), st.none()),
        st.tuples(st.just("take"), st.none(), st.none()),
    ),
    max_size=60,
)


@given(steps)
def test_events_keep_their_order_and_meet_the_newest_playhead(steps):
    link = Link()
    inbox = Inbox(link)
    sent, got = [], []
    for number, (kind, session, value) in enumerate(steps):
        if kind == "take":
            inbox.collect()
            got += taken(inbox)
            continue
        if kind == "beat":
            link.send(Kind.MESSAGE, session, wire.Heartbeat(number, 9, value))
        elif kind == "note":
            link.send(Kind.MESSAGE, session, wire.NoteOn(0, value, 1, at_sample=number))
        else:
            link.send(Kind.REOPEN, session)
        sent.append((kind, session, number, value))
    inbox.collect()
    got += taken(inbox)
    for session in (1, 2):
        mine = [(kind, message) for of, kind, message in got if of == session]
        events = [m.at_sample for _, m in mine if isinstance(m, wire.NoteOn)]
        assert events == [n for kind, of, n, _ in sent if (kind, of) == ("note", session)]
        beats = [m for _, m in mine if isinstance(m, wire.Heartbeat)]
        said = [(n, jumps) for kind, of, n, jumps in sent if (kind, of) == ("beat", session)]
        assert [beat.playhead for beat in beats] == sorted(beat.playhead for beat in beats)
        assert bool(beats) == bool(said)
        if said:
            assert (beats[-1].playhead, beats[-1].jumps) == said[-1]
        for place, (_, message) in enumerate(mine):  # no event is taken before a heartbeat that came first
            if isinstance(message, wire.Heartbeat):
                earlier = [m.at_sample for _, m in mine[:place] if isinstance(m, wire.NoteOn)]
                assert all(at < message.playhead for at in earlier)


def test_hundreds_of_heartbeats_are_one_and_what_waits_is_bounded():
    link = Link()
    inbox = Inbox(link)
    for at in range(500):
        link.send(Kind.MESSAGE, 1, wire.Heartbeat(480 * at, 9600))
    link.send(Kind.MESSAGE, 1, wire.Heartbeat(100, 9600, jumps=1))
    link.send(Kind.MESSAGE, 1, wire.Heartbeat(580, 9600, jumps=1))
    inbox.collect()
    assert [message.playhead for _, _, message in taken(inbox)] == [480 * 499, 580]
    for at in range(5000):
        link.send(Kind.MESSAGE, 1, wire.NoteOn(0, 60, 1, at_sample=at))
    inbox.collect()
    assert len(inbox) == MOST and len(link.frames) == 5000 - MOST
