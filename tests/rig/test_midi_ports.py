"""Real MIDI ports, played by a second program: what is sent comes, controllers come and go, lights return."""

import subprocess
import sys

import pytest

from descant.host.edge.midi_ports import MidiPorts
from descant.host.midi_words import Midi
from tests.rig.conftest import wait_for

pytestmark = pytest.mark.jack

# A controller in a process of its own: one line in is one message out; what it is sent, it prints.
PLAYER = """
import sys, rtmidi
name = sys.argv[1]
out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name=name); out.open_virtual_port("keys")
back = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name=name); back.open_virtual_port("lights")
back.set_callback(lambda event, data: print(*event[0], flush=True))
print("ready", flush=True)
for line in sys.stdin:
    words = [int(word) for word in line.split()]
    for _ in range(words[0]):
        out.send_message(words[1:])
"""


def gather(found: list, more: list) -> list:
    found += more
    return found


class Player:
    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PLAYER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "ready\n"

    def send(self, *data: int, times: int = 1) -> None:
        self.process.stdin.write(" ".join(map(str, (times, *data))) + "\n")
        self.process.stdin.flush()

    def unplug(self) -> None:
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def test_controllers_come_and_go_and_what_they_say_arrives(jack):
    ports = MidiPorts()
    try:
        ports.look(now=True)
        assert not any("pads" in name or "knobs" in name for name in ports.names)
        pads, knobs = Player("pads"), Player("knobs")
        came = []
        wait_for(lambda: len(gather(came, ports.look(now=True)[0])) >= 2, "two controllers")
        assert {name.split(":")[0] for name in came} == {"pads", "knobs"}
        pads.send(0x90, 36, 100)
        knobs.send(0xB0, 74, 5, times=300)
        got = []
        wait_for(lambda: len(gather(got, ports.take())) >= 301, "every message")
        of_pads = [(name.split(":")[0], midi) for _, name, midi in got if "pads" in name]
        assert of_pads == [("pads", Midi("note_on", 0, 36, 100))]
        assert [midi for _, name, midi in got if "knobs" in name] == [Midi("control", 0, 74, 5)] * 300
        assert ports.lost == 0
        name = next(name for name in ports.names if "pads" in name)
        ports.send(name, Midi("note_on", 0, 36, 21))
        assert pads.process.stdout.readline().split() == ["144", "36", "21"]
        knobs.unplug()
        went = []
        wait_for(lambda: gather(went, ports.look(now=True)[1]), "one that went")
        assert [name.split(":")[0] for name in went] == ["knobs"]
        pads.unplug()
    finally:
        ports.close()
