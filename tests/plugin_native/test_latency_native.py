"""The latency a DAW is told of is that of an impulse: through the effect, and from its address to the ear."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.plugin_bridge.small_host import ipc_endpoint
from tests.plugin_native.serving import Serving
from tests.plugin_native.test_core_native import until
from tests.plugin_native.test_real_hosts import Ahead, Mini, vst3

EVERY, FIRST = 4800, 100  # as in clap_host.cpp


class Impulses(Ahead):
    """Its music is an impulse at sample FIRST of each EVERY."""

    def wave(self, first: int, n: int) -> np.ndarray:
        at = (first + np.arange(n)) % EVERY == FIRST
        return np.stack([at, at]) * np.float32(0.5)


class Quiet(Ahead):
    """It answers, and makes silence."""

    def wave(self, first: int, n: int) -> np.ndarray:
        return np.zeros((2, n), np.float32)


def delays(heard: np.ndarray) -> set[int]:
    """Of the impulses in [n]: how many samples after their own each was heard."""
    return {int((at - FIRST) % EVERY) for at in np.flatnonzero(heard > 0.4)}


MUSIC = {"descant": Impulses, "descant-effect": Quiet}  # the effect's impulses are its input


@pytest.fixture(params=list(MUSIC))
def name(request) -> str:
    return request.param


@pytest.fixture
def serving(name, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    with ipc_endpoint() as endpoint:
        monkeypatch.setenv("DESCANT_ENDPOINT", endpoint)
        host: Ahead = MUSIC[name](endpoint)
        made = Serving(host, host.go_on)
        yield made
        made.close()


@pytest.mark.parametrize(("rate", "blocks"), [(44100, "512"), (48000, "1,4096,17,333"), (96000, "64")])
def test_a_clap_host_measures_the_latency_it_is_told_of(built, serving, name, tmp_path: Path, rate, blocks):
    out, clap_host = tmp_path / "out.raw", built / "rig" / "clap_host"
    counts = serving.run(
        clap_host, built / "native" / "bin" / f"{name}.clap", "play", 1.5, rate, blocks, 120, out
    )
    heard = np.fromfile(out, np.float32)
    assert np.count_nonzero(heard > 0.4) >= 3
    print(f"{name}, {rate} Hz: told {counts['latency']:.0f}, measured {delays(heard)} samples")
    assert delays(heard) == {counts["latency"]}


@pytest.mark.parametrize("block", [1, 256, 4096])
def test_minihost_measures_the_latency_it_is_told_of(built, serving, name, block):
    track = Mini(vst3(built, name), block=block)
    track.live()

    heard = np.zeros(0, np.float32)

    def play() -> None:
        nonlocal heard
        for _ in range(max(1, EVERY // block)):
            given = (len(track.heard) * block + np.arange(block)) % EVERY == FIRST
            track.process(given=np.stack([given, given]) * np.float32(0.5))
        heard = np.concatenate(track.heard, axis=1)[0]

    until(lambda: np.count_nonzero(heard > 0.4) >= 3, play, seconds=60)
    print(f"{name}, blocks of {block}: told {track.plugin.latency_samples}, measured {delays(heard)} samples")
    assert delays(heard) == {track.plugin.latency_samples}
    track.plugin.close()
