"""What controllers said waits in order and within bounds; whatever is left out, no note sounds for ever."""

from hypothesis import given
from hypothesis import strategies as st

from descant.host.edge.midi_queue import MidiQueue
from descant.host.midi_words import Midi

ROOM = 8
steps = st.lists(st.one_of(st.integers(1, 6), st.tuples(st.booleans(), st.integers(0, 4))), max_size=120)


@given(steps)
def test_a_full_queue_loses_presses_and_never_a_release(done):
    """Played by whoever comes, taken some at a time: afterwards a key sounds only if it is down."""
    queue, down, sounding, number, sent = MidiQueue(ROOM), set(), set(), 0, []
    got = []

    def take(most):
        for when, port, midi in queue.take(most):
            got.append(when)
            assert port == "pads"
            (sounding.add if midi.kind == "note_on" else sounding.discard)(midi.number)

    for step in done:
        if isinstance(step, int):
            take(step)
            continue
        on, key = step
        (down.add if on else down.discard)(key)
        queue.put(float(number), "pads", Midi("note_on" if on else "note_off", 0, key, 100 if on else 0))
        sent.append(number)
        number += 1
        assert len(queue) <= 2 * ROOM + 5
    take(1000)
    assert sounding <= down and got == sorted(got)
    assert len(got) + queue.lost <= len(sent)
    if queue.lost == 0 and len(got) == len(sent):
        assert sounding == down


def test_orders_to_end_everything_find_room_once_each():
    queue = MidiQueue(1)
    for number in (74, 74, 123, 123, 120):
        queue.put(0.0, "pads", Midi("control", 2, number, 0))
    assert queue.lost == 1
    assert [midi.number for _, _, midi in queue.take(9)] == [74, 123, 120]
