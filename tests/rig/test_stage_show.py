"""A short form of the three minutes on stage on real parts: loops and sound are there."""

import shutil

import pytest

from tools.stage_show import perform, report

pytestmark = [pytest.mark.jack, pytest.mark.slow]


def test_two_controllers_a_hum_and_loops_on_the_real_command():
    if shutil.which("jackd") is None or shutil.which("jack_lsp") is None:
        pytest.skip("jackd is not installed: tools/setup test would like it")
    shown = perform(60.0)
    print(report(shown))
    assert shown.loops >= 2 and shown.unfed == 0 and shown.restarts == 0
    assert abs(shown.wave).max() > 0.01 and shown.events > shown.presses
