"""What a window asks and sees of a stage on a JACK server: takes that are heard, controllers that play."""

import time

import numpy as np
import pytest
import soundfile
import zmq

from descant.host.controller import Binding, Profile
from descant.host.edge import stage_words as words
from descant.host.edge.controller_files import save_learnt
from descant.host.edge.stage import StageOrder
from descant.host.edge.stage_learning import LEFT_SECONDS
from descant.host.edge.stage_process import Start, start_stage
from tests.rig.conftest import wait_for
from tests.rig.player import Player

pytestmark = [pytest.mark.jack, pytest.mark.slow]
LEVELS = (0.25, 0.125)


@pytest.fixture
def stage(jack, tmp_path):
    """Says words to a stage of its own, and waits until its view is as wanted."""
    endpoint = f"ipc://{tmp_path / 'stage'}"
    order = StageOrder(midi=("pads",), controllers=(str(tmp_path),), threads=1)
    save_learnt("pads:keys", Profile("pads", bindings=(Binding("note 50", "loop 2 press"),)), tmp_path)
    process = start_stage(Start(endpoint, order))
    with zmq.Context() as context, context.socket(zmq.DEALER) as window:
        window.setsockopt(zmq.LINGER, 500)
        window.connect(endpoint)

        def until(wanted, what, *asked):
            for each in asked:
                window.send(words.pack(each))

            def so():
                window.send(words.pack(words.Look()))
                assert window.poll(30_000)
                return wanted(words.read_view(window.recv()))

            wait_for(so, what, 90)

        yield until
        window.send(words.pack(words.Quit()))
        assert process.wait(30) == 0


def peaks(view):
    return [row[0] for row in view.meters.outputs]


def silent(view):
    return not view.listened and max(peaks(view)) < 1e-3


def test_a_take_is_heard_beside_the_music_until_it_is_stopped_or_over(stage, tmp_path):
    for name, seconds in (("long", 60), ("short", 1)):
        wave = np.tile(np.array(LEVELS, np.float32), (44100 * seconds, 1))
        soundfile.write(tmp_path / f"{name}.wav", wave, 44100, subtype="FLOAT")
    long, short = str(tmp_path / "long.wav"), str(tmp_path / "short.wav")
    stage(lambda view: view.phase == "ready" and view.device, "a stage that is ready")
    for stop in (words.Listen(""), words.Act("panic")):
        stage(lambda view: peaks(view) == pytest.approx(LEVELS, abs=0.01), "the take", words.Listen(long))
        stage(lambda view: view.listened == long and view.listened_seconds > 0.3, "how far it is")
        stage(silent, "silence", stop)
    stage(lambda view: view.listened_seconds > 0.5, "a short one", words.Listen(short))
    stage(silent, "its end")
    gone = words.Listen(str(tmp_path / "none.wav"))
    stage(lambda view: any("is not there" in row.what for row in view.notices), "a fault", gone)


def test_a_controller_that_comes_is_seen_with_what_it_has_learnt_and_says(stage):
    furniture: list[words.Furniture] = []

    def bound(view):
        furniture.append(view.furniture)
        return view.furniture.controllers

    stage(lambda view: view.phase == "ready" and view.device, "a stage that is ready")
    pads = Player("pads")
    try:
        stage(bound, "the controller")
        learnt = words.Bound("note 50", "loop 2 press", learnt=True)
        assert furniture[-1].controllers == (words.Controls("pads:keys", "pads", (learnt,)),)
        pads.send(0x91, 60, 99)
        said = {"pads:keys": "note 60, velocity 99, channel 2"}
        stage(lambda view: view.said == said, "what it says")
    finally:
        pads.unplug()
    stage(lambda view: not view.said and not view.furniture.controllers, "that it went")
    assert furniture[-1].version > furniture[0].version


def test_what_a_window_that_died_began_to_learn_is_given_up_and_the_pad_plays(stage):
    stage(lambda view: view.phase == "ready" and view.device, "a stage that is ready")
    pads = Player("pads")
    try:
        stage(lambda view: view.furniture.controllers, "the controller")
        stage(lambda view: view.lesson.armed == "tap", "a lesson", words.Learn("arm", "tap"))
        wrong = words.Learn("arm", "dance")
        stage(lambda view: any('"dance"' in row.what for row in view.notices), "a refusal", wrong)
        began = time.monotonic()
        wait_for(lambda: time.monotonic() - began > 2 * LEFT_SECONDS, "somebody who looks")
        pads.send(0x90, 50, 99)
        stage(lambda view: view.loops[1].state != "empty" or view.loops[1].queued, "the loop")
        stage(lambda view: not view.lesson.armed and not view.lesson.last, "nothing learnt")
    finally:
        pads.unplug()
