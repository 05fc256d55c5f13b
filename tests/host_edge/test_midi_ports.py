"""Where there is no MIDI system, that is known in words, and it is looked for ever more rarely."""

from types import SimpleNamespace

import rtmidi

from descant.host.edge import midi_ports
from descant.host.edge.midi_clock import MidiClock
from descant.host.edge.midi_ports import LOOK_SECONDS, RARELY_SECONDS, MidiPorts
from descant.host.errors import DeviceError


def test_no_midi_system_is_told_and_looked_for_more_rarely(monkeypatch):
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "nobody-of-this-name")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    ports = MidiPorts(api=rtmidi.API_UNIX_JACK)
    rests = []
    for _ in range(6):
        assert ports.look(now=True) == ([], [])
        rests.append(ports._rest)
    assert rests[0] == 2 * LOOK_SECONDS and rests[-1] == RARELY_SECONDS and rests == sorted(rests)
    assert ports.why.startswith("MIDI does not work here") and ports.names == () and ports.take() == []
    ports.close()


def test_a_system_without_ports_is_asked_anew_ever_more_rarely_and_a_controller_still_found(monkeypatch):
    """Asking anew takes hundredths of a second, in the thread that feeds the sound."""
    asked, there, now = [], [], [100.0]

    class Probe:
        def get_ports(self):
            return list(there)

        def delete(self):
            pass

    def system(self):
        asked.append(now[0])
        return Probe(), Probe()

    monkeypatch.setattr(MidiPorts, "_system", system)
    monkeypatch.setattr(MidiPorts, "_opened", lambda self, index, name: Probe())
    monkeypatch.setattr(midi_ports, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=None))
    ports = MidiPorts()
    for _ in range(120):
        assert ports.look() == ([], [])
        now[0] += 1.0
    assert 8 <= len(asked) <= 14  # and not a hundred times
    there.append("a controller")
    assert ports.look() == (["a controller"], [])  # the next look


def test_no_output_for_a_clock_is_three_lines(monkeypatch):
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "nobody-of-this-name")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    try:
        MidiClock("a synthesizer", api=rtmidi.API_UNIX_JACK)
    except DeviceError as error:
        assert error.what.startswith("There is no MIDI output 'a synthesizer' to send a clock to")
        assert error.still == "Everything else works without it." and '"own"' in error.do
    else:
        raise AssertionError("a clock without an output")
