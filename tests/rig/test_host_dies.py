"""The host is killed in the middle of a live performance: another one is told all, and the music is back."""

import os
import signal

import pytest

from descant.host.controller import Binding, Do, Profile
from descant.host.edge.audio_server import AudioServer
from descant.host.edge.host_keeper import HostKeeper
from descant.host.edge.live import Live, live_start
from descant.host.edge.preset_files import choose_preset
from descant.host.edge.recall import Recall
from descant.host.edge.recording_client import RecordingClient
from descant.host.midi_words import Midi
from descant.plugin_bridge import wire
from tests.rig.conftest import wait_for

pytestmark = pytest.mark.slow
PROFILE = Profile("pads", "pads", (Binding("note 36", "slot 2", mode="gate"), Binding("note 41", "panic")))


class Pads:
    """A controller without a port: its messages are put in here."""

    names = ("pads",)

    lost = 0

    def __init__(self):
        self.came, self.played = ["pads"], []

    def look(self):
        came, self.came = self.came, []
        return came, []

    def take(self, most):
        played, self.played = self.played, []
        return played

    def send(self, name, midi):
        pass


def test_a_killed_host_is_replaced_and_the_session_goes_on():
    presets, preset = choose_preset((), "", "Nothing.")
    said: list[str] = []
    with AudioServer(slots=1, pool_seconds=5, devices=("no device has this name",)) as audio:
        keeper = HostKeeper("embedded", 1, ())
        client = RecordingClient(
            keeper.endpoint, 48000, 256, 2, preset=preset.name, seed=11, recall=Recall(presets, preset)
        )
        try:
            keeper.await_host()

            def settled():
                audio.turn()
                return audio.fit.settled

            wait_for(settled, "time")
            client.seek(live_start(audio))
            client.connect()
            pads = Pads()
            live = Live(client, audio, pads, [PROFILE], 97.0, said.append)

            def until(condition, what):
                def turned():
                    live.turn()
                    return condition()

                return wait_for(turned, what, 60)

            live.do(Do("parameter temperature", True, 0.8))
            client.prompt("slow strings", 2)
            pads.played.append((0.0, "pads", Midi("note_on", 0, 36, 100)))
            until(lambda: any("bar" in line for line in said), "a plan")
            text = client.recall.pads.words(1)
            until(lambda: audio.memory.levels[1, 0, 1] > 0.01, "music")
            before, pid = len(said), keeper.pid
            os.kill(pid, signal.SIGKILL)
            until(lambda: client.state == "lost", "a host that is gone")
            lost_at = audio.memory.position
            until(lambda: client.reconnects, "another host")
            back_at = audio.memory.position
            assert keeper.pid != pid and keeper.starts == 2
            until(lambda: any(line.startswith("Another host is there") for line in said), "word of it")
            until(lambda: any(text in line for line in said[before:]), "the words that played")
            until(lambda: audio.memory.levels[1, 0, 0] > 0.01, "music again")
            music_at = audio.memory.position
            until(lambda: len(client.noted) >= 5, "what the new session took in")
            taken = [wire.decode(noted.message) for noted in client.noted if noted.message]
            assert next(m.tempo for m in taken if isinstance(m, wire.Transport)) == 97.0
            assert ("temperature", 0.8) in [(m.name, m.value) for m in taken if isinstance(m, wire.Parameter)]
            assert [(m.slot, m.text) for m in taken if isinstance(m, wire.Prompt)] == [(2, "slow strings")]
            assert [m.slot for m in taken if isinstance(m, wire.Trigger)] == [1]
            print(f"host back {(back_at - lost_at) / 48000:.1f} s after it was missed, "
                  f"music {(music_at - lost_at) / 48000:.1f} s after")  # fmt: skip
            pads.played.append((0.0, "pads", Midi("note_on", 0, 41, 100)))
            until(lambda: audio.memory.levels[1, 0, 0] == 0.0, "silence after panic")
            assert client.recall.playing is None
        finally:
            client.close()
            keeper.close()
