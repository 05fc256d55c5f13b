"""The audio server is killed under a loop and comes back, twice, and the loop with it; figures are made."""

import math
import shutil

import pytest

from tools.stage_kill import measure, report

pytestmark = [pytest.mark.jack, pytest.mark.slow]


def test_a_killed_server_comes_back_and_the_loop_with_it(monkeypatch):
    if shutil.which("jackd") is None or shutil.which("jack_lsp") is None:
        pytest.skip("jackd is not installed: tools/setup test would like it")
    for name in ("JACK_DEFAULT_SERVER", "JACK_NO_AUDIO_RESERVATION", "JACK_NO_START_SERVER"):
        monkeypatch.setenv(name, "")  # what the measure sets is taken back
    found = measure(2)
    print(report(found))
    assert len(found) == 2 and all(math.isfinite(row.phase_ms) for row in found)
    assert all(row.noticed > 0 and row.server < row.sounding for row in found)
