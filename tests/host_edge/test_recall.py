"""A session that another host takes over is as it was: numbers, words, melody, held keys, what plays."""

from __future__ import annotations

import numpy as np
import pytest

from descant.host.edge.host_keeper import HostKeeper
from descant.host.edge.recall import Recall, RecallingClient
from descant.host.errors import HostError
from descant.host.preset import ControllerRow, Preset, PromptSlot
from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import ipc_endpoint
from tests.plugin_native.engine_host import EngineHost

RATE, BLOCK = 48000, 480
PADS = (
    PromptSlot(text="calm jazz", key=36),
    PromptSlot(text="techno", key=37),
    PromptSlot(stop=True, key=40),
)
PRESETS = {
    "one": Preset(name="one", prompts=PADS, cc={"1": ControllerRow("temperature", (0.2, 1.8))}),
    "two": Preset(name="two", prompts=PADS, keys="chords", quantise="beat"),
}
HUM = (0.3 * np.sin(np.arange(30_000) * 0.03))[None].astype(np.float32)


class Performance:
    """Plays a host of which only the session is lost, as when its process is another one."""

    def __init__(self, endpoint):
        self.host = EngineHost(endpoint, PRESETS)
        self.client = RecallingClient(
            endpoint, RATE, BLOCK, 2, preset="one", seed=9, clock=self.host.clock,
            recall=Recall(PRESETS, PRESETS["one"]),
        )  # fmt: skip
        self.client.connect(meanwhile=self.host.serve)

    def play(self, seconds=0.3):
        for _ in range(round(seconds * RATE / BLOCK)):
            while True:
                self.client.pump(1)
                self.host.serve()
                if not self.host.engine.wants_work() and not self.client.pump(1):
                    break
            self.client.read(BLOCK)

    @property
    def score(self):
        return self.host.engine.session(self.client.session).score

    def lose_the_host(self):
        self.host.engine.close(self.client.session)
        self.host.sessions.clear()
        self.client.hello()
        while self.client.state != "live":
            self.client.pump(1)
            self.host.serve()

    def resume(self):
        at = self.client.playhead
        for message in self.client.recall.told(at):
            self.client.tell(message)
        self.play()


@pytest.fixture
def performance():
    with ipc_endpoint() as endpoint:
        playing = Performance(endpoint)
        yield playing
        playing.client.close()
        playing.host.server.close()


def heard(score, at):
    scene = score.schedule.scene(at)
    melody = None if scene.melody is None else scene.melody.chroma
    return (
        score.pads.texts,
        score.pads.keys,
        score.pads.mix(),
        scene.text,
        scene.temperature,
        scene.chords,
        melody,
    )


def test_a_new_host_is_told_all_and_the_same_plays(performance):
    client = performance.client
    client.control(1, 64)  # is overruled by the next preset
    client.preset("two")
    client.parameter("temperature", 0.7)
    client.prompt("slow strings", 1)
    client.key_prompt("a choir", 50)
    client.mix((0.5, 0.5))
    client.capture(HUM, RATE)
    client.note_on(60)
    client.note_on(64)
    client.note_off(64)
    client.note_on(50)
    performance.play(1.5)
    before = heard(performance.score, client.playhead + RATE)
    assert before[3] == "a choir" and before[5] == (0,) and before[6] is not None
    first = performance.score
    performance.lose_the_host()
    assert performance.score is not first and performance.score.pads.texts != before[0]
    performance.resume()
    performance.play(1.5)
    after = heard(performance.score, client.playhead + RATE)
    assert after[:6] == before[:6]
    np.testing.assert_array_equal(after[6], before[6])
    assert performance.host.engine.session(client.session).hello.seed == 9


def test_what_was_stopped_stays_silent(performance):
    client = performance.client
    client.prompt("slow strings", 1)
    client.capture(HUM, RATE)
    client.note_on(36)
    performance.play()
    client.control(123, 0)
    performance.play()
    performance.lose_the_host()
    performance.resume()
    session = performance.host.engine.session(client.session)
    assert session.score.pads.texts[1] == "slow strings"
    assert not session.score.schedule.sounding(client.playhead + 4 * RATE)
    assert not np.abs(client.read(BLOCK)).max()


def test_what_no_session_follows_is_not_recalled():
    recall = Recall(PRESETS, PRESETS["one"])
    for message in (
        wire.Preset("three"), wire.Prompt(99, "no such pad"), wire.Prompt(2, "a stop"), wire.Trigger(77),
        wire.Parameter("nonsense", 1.0), wire.Parameter("temperature", 99.0), wire.NoteOn(0, 61, 100),
        wire.Capture(1, RATE, 1, True, "melody", HUM),
    ):  # fmt: skip
        recall.note(message)
    assert recall.told(77) == []
    recall.note(wire.Trigger(1))
    recall.note(wire.NoteOn(0, 40, 100))  # the pad that stops
    assert recall.told(77) == []


def test_all_notes_off_lets_a_held_chord_go_and_all_sound_off_does_not(performance):
    client = performance.client
    client.preset("two")
    client.note_on(60)
    performance.play(0.05)
    client.control(120, 0)
    performance.play(0.05)
    assert performance.score.schedule.scene(client.playhead + RATE).chords == (0,)
    client.control(123, 0)
    performance.play(0.05)
    assert performance.score.schedule.scene(client.playhead + RATE).chords == ()


def test_a_host_that_cannot_be_is_said_and_its_keeper_ends_at_once():
    keeper = HostKeeper("no such model", 1, ())
    try:
        with pytest.raises(HostError, match="no such model"):
            keeper.await_host()
    finally:
        keeper.close()
