"""The clock's measure: an even row is even, a late tick is seen, messages keep their place."""

import pytest

from tools.stage_clock import START, STOP, TICK, report, ticks


def test_ticks_are_counted_and_a_late_one_is_seen():
    row = [(10 + number / 48, [TICK]) for number in range(97)]
    even = ticks([(9.9, [START]), *row, (13.0, [STOP])])
    assert even.tempo == pytest.approx(120) and abs(even.off_ms).max() < 0.001
    assert even.said == ((0, (START,)), (97, (STOP,)))
    row[50] = (row[50][0] + 0.004, [TICK])
    late = ticks(row)
    assert abs(late.off_ms).max() == pytest.approx(4, abs=0.2) and "FA" not in report(late)
