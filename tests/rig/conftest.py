"""A real audio and MIDI system without a sound card: jackd's dummy driver, a server a process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tools import stage_rig
from tools.stage_rig import PATIENCE, Jack


def wait_for(condition, what: str, patience: float = PATIENCE) -> float:
    """Until a condition holds; how long that took. Fails by name when it never does."""
    try:
        return stage_rig.wait_for(condition, what, patience)
    except TimeoutError as error:
        pytest.fail(str(error))


@pytest.fixture
def jack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jack]:
    if shutil.which("jackd") is None or shutil.which("jack_lsp") is None:
        pytest.skip("jackd is not installed: tools/setup test would like it")
    server = Jack()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    yield server
    if server.process is not None:
        server.stop()
