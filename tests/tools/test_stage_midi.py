"""What the stage's MIDI measure makes of a script and a trace: what is lost or out of order is said."""

from descant.host.edge.midi_trace import MidiTrace
from descant.host.midi_words import read_midi
from tools.stage_midi import flood, judged, keys, report

SAID = "playing\n900 blocks, 2 xruns, 3 underruns (1 of our feeding), 0 restarts, 7 events"


def traced(tmp_path, script, order):
    trace = MidiTrace()
    for index in order:
        at, data = script[index]
        trace.told([(at + 0.002, 'a "port"', read_midi(data))], lambda seconds: 48000 * seconds)
    trace.write(tmp_path / "trace.csv")
    return judged(script, [at for at, _ in script], tmp_path / "trace.csv", SAID)


def test_all_that_came_in_order_is_said_to(tmp_path):
    script = keys(1.0)
    found = traced(tmp_path, script, range(len(script)))
    assert (found.sent, found.came, found.left_out) == (len(script), len(script), 0)
    assert (found.disordered, found.unended, found.doubled) == (0, 0, 0)
    assert (found.blocks, found.xruns, found.underruns, found.unfed) == (900, 2, 3, 1)
    assert abs(found.port_ms - 2).max() < 0.01 and len(found.told_ms) == len(script)
    assert "0 out of order" in report(found) and "p99" in report(found).splitlines()[2]


def test_what_is_missing_or_late_is_said(tmp_path):
    script = [(0.0, [0x90, 100, 1]), (0.1, [0x90, 101, 1]), (0.2, [0x80, 100, 0]), (0.3, [0x80, 101, 0])]
    found = traced(tmp_path, script, [1, 0, 2])
    assert (found.came, found.disordered, found.unended) == (3, 1, 1)
    assert traced(tmp_path, script, [0, 0]).doubled == 1


def test_a_flood_is_what_it_says():
    script = flood(1.0, 10_000)
    assert len(script) == 10_000 and script[-1][0] < 1.0
    assert {data[0] for _, data in script} == {0x90, 0x80, 0xB0}
    assert sum(data[0] == 0x90 for _, data in script) == sum(data[0] == 0x80 for _, data in script) == 250
