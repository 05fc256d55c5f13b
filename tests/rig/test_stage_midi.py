"""`descant play` under real ports: keys and floods arrive whole and in order, and no note hangs."""

import shutil

import pytest

from tools.stage_midi import flood, keys, measure, report

pytestmark = [pytest.mark.jack, pytest.mark.slow]


@pytest.mark.parametrize("script", [keys(3.0), flood(3.0)], ids=["keys", "flood"])
def test_nothing_is_lost_and_figures_are_made(script):
    if shutil.which("jackd") is None or shutil.which("jack_lsp") is None:
        pytest.skip("jackd is not installed: tools/setup test would like it")
    found = measure(script)
    print(report(found))
    assert found.came + found.left_out == found.sent
    assert (found.disordered, found.unended, found.doubled) == (0, 0, 0)
    assert len(found.told_ms) == found.came > 0 and found.unfed == 0
