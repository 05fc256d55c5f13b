"""Live from pad to sound on real parts: another program's controller, the embedded model, jackd, kills."""

import os
import signal
import subprocess
import sys

import pytest

from descant.host.controller import Binding, Profile
from descant.host.edge.audio_server import AudioServer
from descant.host.edge.host_process import running_host
from descant.host.edge.live import Live
from descant.host.edge.midi_ports import MidiPorts
from descant.host.edge.recall import RecallingClient
from tests.rig.conftest import wait_for
from tests.rig.player import Player

pytestmark = [pytest.mark.jack, pytest.mark.slow]

PADS = Profile(
    "pads",
    "pads",
    (Binding("note 40", "loop 1 capture"), Binding("note 41", "panic"), Binding("note 42", "slot 2")),
    {"playing": 21, "queued": 3, "generating": 7, "empty": 0},
)


def test_a_pad_plays_a_loop_is_captured_and_outlives_everything(jack):
    said: list[str] = []
    with running_host(threads=1) as host, AudioServer(slots=2, pool_seconds=60) as audio:
        client = RecallingClient(host.endpoint, 48000, 256, 2, name="live")
        client.connect()
        ports, pads = MidiPorts(), Player("pads")
        try:

            def settled():
                audio.turn()
                return audio.fit.settled

            wait_for(settled, "time")
            live = Live(client, audio, ports, [PADS], 100.0, said.append)

            def playing(condition, what):
                def turned():
                    live.turn()
                    return condition()

                return wait_for(turned, what, 120)

            playing(lambda: any("pads" in line for line in said), "the controller")
            pads.send(0x90, 36, 100)  # not in the profile: the preset's first pad
            playing(lambda: audio.memory.levels[1, 0, 1] > 0.01, "music")
            assert any("jazz" in line for line in said)
            start = audio.memory.position
            playing(lambda: audio.memory.position > start + 5 * 48000, "a bar or two of it")
            pads.send(0x90, 40, 100)
            playing(lambda: audio.status and audio.status[0].state == "playing", "a loop of it")
            assert audio.status[0].length == 4 * 60 / 100 * 48000
            host.process.kill()  # the engine and its host are gone: the loop plays on
            start = audio.memory.position
            playing(lambda: audio.memory.position > start + 3 * 48000, "time")
            playing(lambda: audio.memory.levels[1, 0, 0] > 0.001, "the loop without a host")
            os.kill(audio.pid, signal.SIGKILL)
            playing(lambda: audio.restarts >= 1 and audio.memory.sounding, "another audio process")
            playing(lambda: audio.status and audio.status[0].state == "playing", "the loop again")
            pads.send(0x90, 41, 100)
            playing(lambda: audio.status[0].state == "stopped", "panic")
        finally:
            pads.unplug()
            ports.close()
            client.close()


def test_the_command_plays_live(jack):
    words = [sys.executable, "-m", "descant.host.cli", "play", "--seconds", "4", "--threads", "1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "playing"
    assert " blocks, " in done.stderr
