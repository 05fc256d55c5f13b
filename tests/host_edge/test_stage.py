"""The stage without window and host: it answers, refuses what makes no sense, and plays a tone."""

import msgspec
import numpy as np
import pytest
import zmq

from descant.host.edge import stage_words as words
from descant.host.edge.audio_memory import AudioMemory, Layout
from descant.host.edge.loop_outlines import LoopOutlines
from descant.host.edge.stage import Stage, StageOrder
from descant.host.edge.stage_client import TONE_LEVEL, StageClient
from descant.host.edge.stage_server import StageServer
from descant.plugin_bridge import WireError


@pytest.fixture
def served(tmp_path):
    stage = Stage(StageOrder(endpoint=f"ipc://{tmp_path / 'nobody'}"))
    server = StageServer(f"ipc://{tmp_path / 'stage'}", stage)
    with zmq.Context() as context, context.socket(zmq.DEALER) as window:
        window.setsockopt(zmq.LINGER, 0)
        window.connect(f"ipc://{tmp_path / 'stage'}")

        def say(*said):
            for each in said:
                window.send(each if isinstance(each, bytes) else words.pack(each))
            while not window.poll(5):
                stage.turn()
                server.turn()
            return words.read_view(window.recv())

        yield say, server, tmp_path
    server.close()
    stage.close()


def test_a_look_is_answered_and_nonsense_is_not(served):
    say, server, folder = served
    view = say(words.Look())
    assert view.phase in ("starting", "loading") and view.slot == -1
    assert view.furniture.preset == "first-light" and len(view.furniture.pads) == 8
    assert say(words.Look(furniture=view.furniture.version)).furniture is None
    view = say(b"", b"\xc1", b"\x81" * 5000, words.Act("slot 1"), words.Look())
    assert server.malformed == 3
    assert view.notices[-1].what == "The host is not ready yet: that was not kept."
    view = say(words.Listen(str(folder / "take.wav")), words.Look())
    assert view.notices[-1].number == 2 and view.listened == ""  # nobody could hear it yet
    with pytest.raises(WireError):
        StageServer(f"ipc://{folder / 'stage'}", server.stage)


@pytest.mark.parametrize(
    "asked",
    [
        words.Plane((), 2.0, 0.0),
        words.Plane(((0.0, 0.0),) * 7, 0.5, 0.5),
        words.Tempo(5.0),
        words.Words(0, ""),
        words.Act(""),
        words.Listen("x" * 4097),
    ],
)
def test_words_out_of_range_are_none(asked):
    with pytest.raises(Exception, match="Expected"):
        words.read_asked(words.pack(asked))


def test_an_outline_shows_where_a_loop_is_loud():
    memory = AudioMemory.made(Layout(48000, 2, 4096, 8))
    memory.pages[3] = 0.25
    memory.pages[5, 1, :2048] = 1.0
    slot = {"versions": [{"pages": [0, 3, 5], "length": "6144"}], "at": 0}
    memory.write_state(msgspec.json.encode({"slots": [slot, {"versions": [], "at": 0}]}))
    outlines = LoopOutlines(memory)
    outlines.turn()
    outlines.turn()
    shown = np.frombuffer(outlines.newer_than(0)[0], np.uint8)
    assert (shown[:150] == 127).all() and (shown[165:] == 255).all() and outlines.version == 1
    assert outlines.newer_than(1) == {}
    memory.write_state(b"{")
    outlines.turn()
    assert outlines.version == 1
    memory.close()


def test_the_test_tone_comes_and_goes_without_a_click(tmp_path):
    client = StageClient(f"ipc://{tmp_path / 'nobody'}")
    client.tone = True
    heard = [client.read(256) for _ in range(8)]
    client.tone = False
    heard.append(client.read(256))
    wave = np.concatenate([*heard, client.read(256)], axis=1)[0]
    assert abs(float(np.abs(wave).max()) - TONE_LEVEL) < 1e-4 and not wave[-256:].any()
    assert np.abs(np.diff(wave)).max() < 2 * np.pi * 440 / 48000 * TONE_LEVEL * 1.1
