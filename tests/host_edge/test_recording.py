"""A performance on record: made again from what was kept of it, it is the same to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from descant.host.edge.recording import Recording
from descant.host.edge.recording_client import RecordingClient
from descant.host.edge.take_log import Noted, pack, unpack, unpack_opened
from descant.host.edge.take_recorder import TakeRecorder
from descant.host.edge.take_store import TakeStore
from descant.host.errors import TakeError
from descant.host.events import Capture, NoteOn
from descant.host.render import replay
from descant.host.takelog import Ease, LogEntry, Restart
from descant.model import tiny_model
from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import ipc_endpoint
from tests.plugin_native.engine_host import PRESETS, EngineHost

RATE, BLOCK = 48000, 480
HUM = (0.3 * np.sin(np.arange(20_000) * 0.06))[None].astype(np.float32)


class Stage:
    """A host, a client on record, and time that passes as blocks are read."""

    def __init__(self, endpoint, folder):
        self.host = EngineHost(endpoint)
        self.client = RecordingClient(endpoint, RATE, BLOCK, 2, preset="pads", seed=5, clock=self.host.clock)
        self.client.seek(12_345)
        self.client.connect(meanwhile=self.host.serve)
        self.recording = Recording(
            self.client, TakeRecorder(folder, RATE, 2, 120.0), PRESETS["pads"], seed=5, model="tiny"
        )

    def settle(self):
        """Until the host has made all it may."""
        while True:
            self.client.pump(1)
            self.host.serve()
            if not self.host.engine.wants_work() and not self.client.pump(1):
                return

    def play(self, seconds):
        for _ in range(round(seconds * RATE / BLOCK)):
            self.settle()
            self.client.read(BLOCK)
            self.recording.turn()

    def close(self):
        self.recording.close()
        self.client.close()
        self.host.server.close()


@pytest.fixture
def stage(tmp_path):
    with ipc_endpoint() as endpoint:
        playing = Stage(endpoint, tmp_path / "takes")
        yield playing
        playing.close()


def kept(folder):
    """(take, its log, whether that is all, what was recorded)."""
    with TakeStore(folder) as store:
        (take,) = [store.get(found.number) for found in store.find()]
        entries, known = unpack(store.noted(take.session))
    return take, entries, known, soundfile.read(folder / take.file, dtype="float32")[0].T


def test_a_take_made_again_is_the_recording_to_the_last_bit(stage, tmp_path):
    client = stage.client
    client.transport(240.0, 0.5)
    client.note_on(36)
    stage.play(0.8)
    for value in (3, 90, 127):
        client.control(1, value)
    client.capture(HUM, RATE)
    stage.play(0.5)
    client.parameter("nonsense", 1.0)  # is refused
    client.note_on(38)
    stage.play(0.7)
    client.note_on(37)
    stage.play(0.5)
    stage.close()
    take, entries, known, wave = kept(tmp_path / "takes")
    opened = unpack_opened(take.events)
    assert known and opened.model == "tiny" and opened.begin >= 12_345
    assert [type(entry.event) for entry in entries].count(NoteOn) == 3
    captured = [entry.event.part for entry in entries if isinstance(entry.event, Capture)]
    np.testing.assert_array_equal(np.concatenate(captured, axis=1), HUM)
    again = replay(tiny_model(), PRESETS, entries, take.seconds, opened.hello, opened.begin).wave
    assert wave.shape == again.shape and wave.shape[1] > RATE and np.abs(wave).max() > 0.01
    np.testing.assert_array_equal(again, wave)


def test_a_take_whose_owner_was_late_is_still_made_again_to_the_last_bit(stage, tmp_path):
    stage.play(0.1)
    stage.client.skip(9_000)  # in silence
    stage.play(0.1)
    stage.client.note_on(38)
    stage.play(0.3)
    stage.client.skip(3_000)  # while it sounds
    stage.play(0.3)
    stage.close()
    take, entries, known, wave = kept(tmp_path / "takes")
    opened = unpack_opened(take.events)
    assert known and wave.shape[1] > RATE // 4 and np.abs(wave).max() > 0.01
    again = replay(tiny_model(), PRESETS, entries, take.seconds, opened.hello, opened.begin).wave
    np.testing.assert_array_equal(again, wave)


def test_a_take_of_which_something_was_not_made_in_time_is_known_as_such(stage, tmp_path):
    stage.client.note_on(38)
    stage.play(0.4)
    stage.client.skip(60_000)  # farther than was made ahead
    stage.play(0.2)
    stage.close()
    assert not kept(tmp_path / "takes")[2]


def test_a_take_that_leapt_in_time_is_known_as_such(stage, tmp_path):
    stage.client.note_on(38)
    stage.play(0.4)
    stage.client.seek(stage.client.playhead + 10 * RATE)
    stage.play(0.2)
    stage.close()
    assert not kept(tmp_path / "takes")[2]


def test_another_session_is_another_take_that_is_known(stage, tmp_path):
    stage.client.note_on(38)
    stage.play(0.4)
    stage.host.engine.close(stage.client.session)  # the host is started anew
    stage.host.sessions.clear()
    stage.client.hello()
    while stage.client.state != "live":
        stage.client.pump(1)
        stage.host.serve()
    stage.client.note_on(38)
    stage.play(0.4)
    stage.close()
    with TakeStore(tmp_path / "takes") as store:
        second, first = store.find()
        assert first.session != second.session
        assert unpack(store.noted(second.session))[1]
        assert len(unpack(store.noted(second.session))[0]) == 1


def test_a_log_comes_back_as_it_was():
    note = wire.encode(wire.NoteOn(3, 60, 100, at_sample=77))
    pieces = [pack([Noted(5, note), Noted(6, restart=9)], True), pack([Noted(7, ease=(8, 2))], True)]
    assert unpack(pieces) == (
        [LogEntry(5, NoteOn(77, 60, 100, 3)), LogEntry(6, Restart(9)), LogEntry(7, Ease(8, 2))],
        True,
    )
    assert unpack([*pieces, pack([], False)])[1] is False


@pytest.mark.parametrize("wrong", [b"", b"\x00", pack([Noted(5, [b"no message"])], True), b"\x92\xc3\xa1x"])
def test_a_log_that_is_none_is_refused_in_three_lines(wrong):
    with pytest.raises(TakeError, match="cannot be read"):
        unpack([wrong])
    with pytest.raises(TakeError, match="cannot be read"):
        unpack_opened(wrong)
