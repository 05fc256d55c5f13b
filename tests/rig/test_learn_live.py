"""Learning with real ports: a terminal's key, then a second program's pad; it plays, is kept and undone."""

import pytest

from descant.host.edge.audio_server import AudioServer
from descant.host.edge.controller_files import load_profiles, profile_for
from descant.host.edge.live import Live
from descant.host.edge.midi_ports import MidiPorts
from descant.host.edge.recall import RecallingClient
from tests.rig.conftest import wait_for
from tests.rig.player import Player

pytestmark = [pytest.mark.jack, pytest.mark.slow]


def test_a_key_and_a_pad_are_bound_and_a_pad_that_is_unplugged_lets_go(jack, tmp_path):
    said: list[str] = []
    client = RecallingClient(f"ipc://{tmp_path}/nobody", 48000, 256, 2)
    with AudioServer(slots=2, pool_seconds=5) as audio:
        ports, pads = MidiPorts(("pads",)), Player("pads")
        try:
            live = Live(client, audio, ports, [], 120.0, said.append)
            live.learnt_folder = tmp_path

            def until(condition, what):
                def turned():
                    live.turn()
                    return condition()

                return wait_for(turned, what)

            def heard(words):
                return lambda: any(words in line for line in said)

            until(heard("is connected"), "the controller")
            live.key("W")
            pads.send(0x90, 50, 100)
            until(heard("note 50, channel 1 of pads does loop 2 press now"), "the binding")
            until(lambda: audio.status and audio.fit.settled, "a looper")
            pads.send(0x90, 50, 100)
            until(lambda: audio.status[1].state == "recording" or audio.status[1].queued, "the loop")
            profiles, broken = load_profiles((str(tmp_path),))
            assert broken == [] and profile_for("pads:keys", profiles).bindings[0].do == "loop 2 press"
            live.key("-")
            assert profile_for("pads:keys", load_profiles((str(tmp_path),))[0]).bindings == ()
            pads.send(0x90, 60, 100)
            events = live.events
            until(lambda: live.events > events, "a note that is held")
            pads.unplug()
            until(heard("its held notes end"), "that it went")
            assert live.events >= events + 2  # the note, and its end
        finally:
            pads.unplug()
            ports.close()
            client.close()
