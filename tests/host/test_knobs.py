"""Fast knobs: the newest value gets through, presses pass at once, and order holds."""

from descant.host.controller import Do
from descant.host.knobs import REST_SECONDS, Knobs
from descant.host.midi_words import Midi


def turned(value, at=0, name="guidance"):
    return (Do(f"parameter {name}", True, value), at, 0.0)


PRESS = (Do("slot 1"), 0, 0.0)
END = (Midi("control", 0, 123, 0), 0, 0.0)


def cc(value, number=7, channel=0):
    return (Midi("control", channel, number, value), 0, 0.0)


def test_of_values_that_come_together_the_newest_is_passed_and_one_after_the_other_waits():
    knobs = Knobs()
    assert knobs.passed([turned(1.0), turned(2.0, 5), cc(3), cc(4), cc(5, channel=1)], 10.0) == [
        turned(2.0, 5), cc(4), cc(5, channel=1)]  # fmt: skip
    assert knobs.passed([turned(3.0), turned(4.0)], 10.0 + REST_SECONDS / 2) == []
    assert knobs.passed([], 10.0 + REST_SECONDS / 1.5) == []
    assert knobs.passed([], 10.001 + REST_SECONDS) == [turned(4.0)]
    assert knobs.passed([], 99.0) == []


def test_presses_never_wait_and_values_before_them_come_first_where_they_may():
    knobs = Knobs()
    assert knobs.passed([turned(1.0), PRESS, turned(2.0)], 5.0) == [turned(1.0), PRESS]
    assert knobs.passed([PRESS, END], 5.001) == [PRESS, END]
    assert knobs.passed([], 6.0) == [turned(2.0)]
