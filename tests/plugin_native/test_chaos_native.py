"""The host is killed, stopped and started anew at random moments while a DAW plays: no click, and back."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.plugin_bridge.small_host import ipc_endpoint
from tests.plugin_native import rig
from tests.plugin_native.rig import ROOT, NativeDaw, Song
from tests.plugin_native.test_core_native import midi, until

RATE, BLOCK = 48000, 480


def start(endpoint: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.plugin_native.click_host", endpoint]
    host = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert host.stdout.readline() == "ready\n"
    return host


def end(host: subprocess.Popen[str]) -> None:
    host.kill()
    host.wait()
    host.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_to_the_host_the_sound_only_fades(lib, seed):
    chance = random.Random(seed)
    with ipc_endpoint() as endpoint:
        host = start(endpoint)
        daw = NativeDaw(lib, endpoint, RATE, BLOCK)
        frame, heard = 0, []

        def play(blocks: int) -> None:
            nonlocal frame
            for _ in range(blocks):
                due = time.monotonic() + BLOCK / RATE
                song = Song(True, frame, frame / RATE * 2, 120.0)
                heard.append(
                    daw.process(BLOCK, song, [midi(0x90, 60, 100)] if frame % RATE == 0 else None)[0]
                )
                frame += BLOCK
                time.sleep(max(0.0, due - time.monotonic()))

        for _ in range(10):
            until(lambda: daw.report["state"] == rig.LIVE, lambda: play(1), seconds=60)
            play(chance.randrange(10, 60))
            match chance.choice(("kill", "stop", "restart")):
                case "kill":
                    end(host)
                    play(chance.randrange(10, 80))
                    host = start(endpoint)
                case "stop":
                    host.send_signal(signal.SIGSTOP)
                    play(chance.randrange(30, 80))
                    host.send_signal(signal.SIGCONT)
                case "restart":
                    end(host)
                    host = start(endpoint)
        until(lambda: daw.report["state"] == rig.LIVE and heard[-1].any(), lambda: play(1), seconds=60)
        sound = np.concatenate(heard)
        # Between the clicks there is a tone of 0.01: a cut would be a step of -40 dBFS, a fade is none.
        quiet = np.abs(np.convolve(np.abs(sound) > 0.011, np.ones(1024), "same")) < 0.5
        steps = np.abs(np.diff(sound))[quiet[1:] & quiet[:-1]]
        assert steps.max() < 10 ** (-60 / 20)
        assert daw.report["losses"] >= 5 and sound.any()
        daw.close()
        end(host)
