"""The host is killed, stopped and started anew at random moments while a DAW plays: no click; back in bar."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.plugin_bridge.small_host import ipc_endpoint
from tests.plugin_native import rig
from tests.plugin_native.click_host import clicks
from tests.plugin_native.rig import ROOT, NativeDaw, Song
from tests.plugin_native.test_core_native import midi, until
from tests.plugin_native.test_real_hosts import Mini, vst3

RATE, BLOCK = 48000, 480
BEAT, BAR = RATE // 2, 2 * RATE  # of 120 quarter notes a minute
MOMENTS = 20
STEP = 10 ** (-60 / 20)
TONE = 0.01  # of the host's, between its clicks: a cut would be a step of -40 dBFS, a fade is none


class Core:
    """The plugin's core alone."""

    def __init__(self, built: Path, lib, endpoint: str) -> None:
        self.daw = NativeDaw(lib, endpoint, RATE, BLOCK)

    def block(self, frame: int, note: bool) -> np.ndarray:
        song = Song(True, frame, frame / RATE * 2, 120.0)
        return self.daw.process(BLOCK, song, [midi(0x90, 60, 100)] if note else None)[0]

    @property
    def live(self) -> bool:
        return self.daw.report["state"] == rig.LIVE

    def close(self) -> None:
        self.daw.close()


class InMinihost:
    """The VST3, in a host of others."""

    def __init__(self, built: Path, lib, endpoint: str) -> None:
        self.track = Mini(vst3(built, "descant"), RATE, BLOCK)

    def block(self, frame: int, note: bool) -> np.ndarray:
        self.track.plugin.set_transport(120.0, 4, 4, frame, frame / RATE * 2, True)
        return self.track.process([(0, 0x90, 60, 100)] if note else None)[0]

    @property
    def live(self) -> bool:
        index = self.track.plugin.find_param("Link")
        return self.track.plugin.param_to_text(index, self.track.plugin.get_param(index)) == "live"

    def close(self) -> None:
        self.track.plugin.close()


class Hosts:
    """One click host after another, each a process of its own. gone: what their preset says."""

    def __init__(self, endpoint: str, gone: str) -> None:
        self.endpoint, self.gone = endpoint, gone
        self._words = [sys.executable, "-m", "tests.plugin_native.click_host", endpoint, gone]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._words, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(params=["fade", "hold"])
def hosts(request, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    with ipc_endpoint() as endpoint:
        monkeypatch.setenv("DESCANT_ENDPOINT", endpoint)
        made = Hosts(endpoint, request.param)
        yield made
        made.end()


@pytest.mark.slow
@pytest.mark.parametrize(("player", "seed"), [(Core, 1), (InMinihost, 2)])
def test_whatever_happens_to_the_host_no_click_is_heard_and_it_is_back_in_bar(
    built, lib, hosts, player, seed
):
    chance = random.Random(seed)
    gone = hosts.gone
    daw = player(built, lib, hosts.endpoint)
    heard: list[np.ndarray] = []
    was_live, losses, noticed = False, 0, 0

    def play(blocks: int) -> None:
        nonlocal was_live, losses
        for _ in range(blocks):
            due, frame, before = time.monotonic() + BLOCK / RATE, len(heard) * BLOCK, was_live
            heard.append(daw.block(frame, frame % RATE == 0))
            was_live = daw.live
            losses += before and not was_live
            time.sleep(max(0.0, due - time.monotonic()))

    def gone_for(blocks: int) -> None:
        nonlocal noticed
        play(blocks)
        until(lambda: not was_live, lambda: play(1))
        noticed += 1

    def back() -> None:
        until(lambda: daw.live and heard[-1].any(), lambda: play(1), seconds=60)

    play(1)
    for _ in range(MOMENTS):
        back()
        play(chance.randrange(10, 60))
        match chance.choice(("kill", "stop", "restart")):
            case "kill":
                hosts.end()
                gone_for(chance.randrange(10, 80))
                hosts.start()
            case "stop":
                hosts.process.send_signal(signal.SIGSTOP)
                gone_for(chance.randrange(30, 80))
                hosts.process.send_signal(signal.SIGCONT)
            case "restart":
                hosts.end()
                hosts.start()
    back()
    undisturbed = len(heard) * BLOCK
    play(2 * BAR // BLOCK + 60)
    sound = np.concatenate(heard)
    quiet = np.abs(np.convolve(np.abs(sound) > 1.1 * TONE, np.ones(1024), "same")) < 0.5
    step = float(np.abs(np.diff(sound))[quiet[1:] & quiet[:-1]].max())
    clicked = clicks(sound)
    name, loudest = player.__name__, 20 * np.log10(step)
    print(f"{name}, {gone}: {losses} losses, step {loudest:.1f} dBFS, {len(clicked)} clicks in bar")
    assert step < STEP
    assert losses >= noticed >= MOMENTS // 2
    line = BAR if gone == "fade" else BEAT  # what is held is whole beats, if there was less than a bar
    assert all(abs((at + line // 2) % line - line // 2) <= 1 for at in clicked), clicked
    back_on = [at for at in clicked if at > undisturbed + RATE // 2]
    assert back_on and all(abs((at + BAR // 2) % BAR - BAR // 2) <= 1 for at in back_on)
    daw.close()
