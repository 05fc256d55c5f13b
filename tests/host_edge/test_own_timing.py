"""A preset over a real socket: its lead and commit window hold unless the client wants others."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from descant.host.edge.host_process import HostProcess, running_host
from descant.host.edge.listening import ListeningClient

RATE, BLOCK = 48_000, 256
COMMIT = 600.0
PRESET = f"""
quantise = "off"
lead_ms = 1500
commit_ms = {COMMIT}
[[prompts]]
text = "piano"
[cc.1]
parameter = "temperature"
range = [0.5, 1.5]
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    folder = tmp_path_factory.mktemp("presets")
    (folder / "deep.toml").write_text(PRESET)
    (folder / "bad.toml").write_text("prompts = [")
    with running_host("tiny", 1, (str(folder),)) as running:
        yield running


def control_delay(host: HostProcess, **wanted: int) -> float:
    """ms from a controller to the first sample it changed, as a client that reads in real time sees it."""
    client = ListeningClient(host.endpoint, RATE, BLOCK, 1, preset="deep", **wanted)
    client.connect(20_000)
    began = time.monotonic()

    def play(seconds: float) -> bool:
        """Until an epoch begins, for so long at most."""
        end = time.monotonic() + seconds
        while not client.epochs and time.monotonic() < end:
            client.pump(1)
            while client.playhead < (time.monotonic() - began) * RATE:
                client.read(BLOCK)
        return bool(client.epochs)

    client.trigger(0)
    assert play(20)
    for value in range(20):
        client.epochs.clear()
        at = client.playhead
        client.control(1, 6 * value, at_sample=at)
        if play(2.0):
            break
    first = client.epochs[0].from_sample
    client.close()
    return 1000 * (first - at) / RATE


def test_a_presets_commit_window_holds_where_the_client_wants_none(host: HostProcess) -> None:
    assert control_delay(host) > COMMIT - 100  # counted from the playhead the host has heard of last


def test_a_clients_own_commit_window_holds_instead(host: HostProcess) -> None:
    assert control_delay(host, commit_ms=100) < COMMIT - 100


def test_a_broken_preset_beside_it_is_left_out_with_a_word(host: HostProcess) -> None:
    assert "bad.toml, line 1, column" in host.said() and "it is left out" in host.said()
