"""`descant play --clock-out own` to a second program: a start, ticks without end at the tempo, a stop."""

import shutil

import pytest

from tools.stage_clock import START, STOP, measure, report

pytestmark = [pytest.mark.jack, pytest.mark.slow]


def test_a_second_program_hears_the_stages_clock():
    if shutil.which("jackd") is None or shutil.which("jack_lsp") is None:
        pytest.skip("jackd is not installed: tools/setup test would like it")
    heard = measure(5.0)
    print(report(heard))
    said = [data for _, data in heard.said]
    assert said[-1] == (STOP,) and said.count((START,)) <= 1
    assert len(heard.seconds) > 100 and 90 < heard.tempo < 110
