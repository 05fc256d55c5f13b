"""Humming on real parts: another program hums into a JACK server, a real host follows the melody."""

import difflib

import numpy as np
import pytest

from descant.host.controller import Do
from descant.host.edge.audio_server import AudioServer
from descant.host.edge.host_keeper import HostKeeper
from descant.host.edge.hummer import Hummer
from descant.host.edge.key_played import classes_played
from descant.host.edge.live import Live, live_start
from descant.host.edge.midi_ports import MidiPorts
from descant.host.edge.preset_files import choose_preset
from descant.host.edge.recall import Recall, RecallingClient
from descant.host.edge.take_store import TakeStore
from tests.rig.conftest import wait_for
from tests.rig.singer import Singer
from tools.hum_synth import HumNote, hum

pytestmark = [pytest.mark.jack, pytest.mark.slow]
TEMPO = 120.0  # two seconds a bar
NOTES = [(0.0, 0.45, 60), (0.5, 0.95, 62), (1.0, 1.45, 64), (1.5, 1.95, 67)]  # seconds of a bar: C D E G


def alike(keys, wanted):
    """How many notes are the same in the same order: a loaded machine may lose some of the sound."""
    blocks = difflib.SequenceMatcher(None, keys, wanted, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)


@pytest.fixture
def playing(jack, tmp_path):
    presets, preset = choose_preset((), "", "Nothing.")
    said: list[str] = []
    bars = hum([HumNote(a + 2 * b, e + 2 * b, key) for b in range(2) for a, e, key in NOTES], 4.0, 48000, 4)
    low = hum([HumNote(a, e, 55) for a, e, _ in NOTES[:2]], 2.0, 48000, 5)
    loud = np.clip(8 * low, -1, 1)
    with AudioServer(slots=1, pool_seconds=5) as audio:
        keeper = HostKeeper("embedded", 1, ())
        client = RecallingClient(
            keeper.endpoint, 48000, 256, 2, preset=preset.name, seed=3, recall=Recall(presets, preset)
        )
        ports, singer, hummer = MidiPorts(("no port of this name",)), None, None
        try:

            def settled():
                audio.turn()
                return audio.fit.settled and audio.device

            wait_for(settled, "time")
            singer = Singer(jack, [bars, low, loud], tmp_path)
            keeper.await_host()
            client.seek(live_start(audio))
            client.connect()
            hummer = Hummer(
                client, audio, said.append, lambda: classes_played(client.recall), takes=tmp_path / "takes"
            )
            live = Live(client, audio, ports, [], TEMPO, said.append, None, hummer)

            def until(condition, what, patience=60):
                def turned():
                    live.turn()
                    return condition()

                return wait_for(turned, what, patience)

            yield live, hummer, audio, singer, said, until, tmp_path
        finally:
            if singer is not None:
                singer.close()
            if hummer is not None:
                hummer.close()
            ports.close()
            client.close()
            keeper.close()


def test_a_hum_is_recorded_against_the_click_read_mended_handed_in_and_followed(playing):
    live, hummer, audio, singer, said, until, folder = playing
    assert audio.inputs == 2 and audio.latency == audio.reported > 0
    live.do(Do("slot 1"))
    live.do(Do("hum arm"))
    assert hummer.view(live._now(), live.timeline).state == "counting"
    until(lambda: audio.memory.levels[1, 0, 1] > 0.05, "the click")
    until(lambda: live._now() >= hummer._recording.start - 600, "the bar line")
    singer.sing(0)
    until(
        lambda: hummer.state == "recording" and len(hummer.reading.trace) > 10, "a trace while it is hummed"
    )
    assert hummer.view(live._now(), live.timeline).bar >= 1
    until(lambda: hummer.state == "ready", "the take")
    keys = [note.key for note in hummer.reading.notes]
    assert alike(keys, [60, 62, 64, 67] * 2) >= 6, (keys, said)
    off = [note.start - (a + 2 * b) for note, (b, a) in zip(
        hummer.reading.notes, [(b, a) for b in range(2) for a, _, _ in NOTES])]  # fmt: skip
    print(f"notes lie {1000 * np.mean(off):.0f} ms from where they were hummed, at most "
          f"{1000 * np.abs(off).max():.0f}; in {hummer.view(0, live.timeline).key}")  # fmt: skip
    assert hummer.take.bars == 2 and hummer.take.at == hummer._recording.start
    assert {note.key % 12 for note in hummer.reading.notes} <= set(hummer.reading.moved_to.classes)
    until(lambda: any("The hum is take" in line for line in said), "a take that is kept")
    with TakeStore(folder / "takes") as store:
        (take,) = store.find()
        assert take.tempo == TEMPO and take.key and take.seconds > 3 and "hum" in take.name
    live.do(Do("hum listen"))
    assert hummer._aside.playing
    first = hummer.take.wave.copy()
    live.do(Do("hum redo 2"))
    until(lambda: live._now() >= hummer._recording.start - 600, "the bar line")
    singer.sing(1)
    until(lambda: hummer.state == "ready", "the bar again")
    np.testing.assert_array_equal(hummer.take.wave[: round(hummer.take.bar)], first[: round(hummer.take.bar)])
    again = [note.key for note in hummer.reading.notes]
    assert alike(again, [60, 62, 64, 67, 55, 55]) >= 4 and 55 in again, again
    live.do(Do("hum generate"))
    until(lambda: any("hummed melody" in line for line in said), "word of the melody")
    until(lambda: hummer.score is not None, "how it is followed")
    print([line for line in said if "follows" in line])
    assert 0 <= hummer.score.chance <= 1 and 0 < hummer.score.score <= 1


def test_what_was_just_hummed_becomes_a_take_and_a_bad_microphone_is_said(playing):
    live, hummer, audio, singer, said, until, _ = playing
    began = live._now() + 48_000
    until(lambda: live._now() > began, "the song")
    singer.sing(1)
    until(lambda: audio.memory.quiet == 0, "the hum")
    until(lambda: live._now() > began + 3 * 48000, "its end")
    live.do(Do("hum last"))
    until(lambda: hummer.state == "ready", "the take")
    assert {note.key for note in hummer.reading.notes} == {55}
    assert live.timeline.line(hummer.take.at, "bar") == hummer.take.at
    until(lambda: audio.memory.quiet > 48000, "silence")
    live.do(Do("hum arm"))
    armed = live._now()
    until(lambda: any("is silent" in line for line in said), "word of silence")
    assert live._now() - armed < 3 * 48000
    live.do(Do("hum arm"))  # is given up
    assert hummer.state == "ready" and hummer.take is not None
    live.do(Do("hum arm"))
    singer.sing(2)
    until(lambda: any("it clips" in line for line in said), "word of clipping", 3)
    live.do(Do("panic"))
    assert hummer.state == "ready"
    live.do(Do("hum redo 9"))
    assert any("no bar 9" in line for line in said)
