"""Real MIDI ports, played by a second program: what is sent comes, controllers come and go, lights return."""

import pytest

from descant.host.edge.midi_ports import MidiPorts
from descant.host.midi_words import Midi
from tests.rig.conftest import wait_for
from tests.rig.player import Player

pytestmark = pytest.mark.jack


def gather(found: list, more: list) -> list:
    found += more
    return found


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
        assert pads.read().split() == ["144", "36", "21"]
        knobs.unplug()
        went = []
        wait_for(lambda: gather(went, ports.look(now=True)[1]), "one that went")
        assert [name.split(":")[0] for name in went] == ["knobs"]
        pads.unplug()
    finally:
        ports.close()
