"""What is played on a stage is recorded as by `descant play`: made again, it is the same, bit for bit."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from descant.host.edge import stage_words as words
from descant.host.edge.stage import StageOrder
from descant.host.edge.stage_process import Start, start_stage
from descant.host.edge.take_store import TakeStore
from tests.rig.eye import Eye
from tests.rig.singer import Singer
from tools.hum_synth import HumNote, hum

pytestmark = [pytest.mark.jack, pytest.mark.slow]


@pytest.fixture
def begun(jack, tmp_path):
    """Starts stages on one place; who looks at it, and the process."""
    eye, processes = Eye(f"ipc://{tmp_path / 'stage'}"), []

    def start(**order):
        order = StageOrder(midi=("no port of this name",), threads=1, seed=6, **order)
        processes.append(start_stage(Start(f"ipc://{tmp_path / 'stage'}", order)))
        eye.until(lambda view: view.phase == "ready" and view.device, "a stage that is ready")
        return eye, processes[-1]

    yield start
    eye.close()
    for process in processes:
        process.terminate()
        process.wait(30)


def test_a_performance_with_two_presets_and_other_words_is_a_take_that_can_be_made_again(begun, tmp_path):
    eye, process = begun(takes=str(tmp_path / "takes"))
    furniture = eye.look().furniture
    assert furniture.takes == str(tmp_path / "takes")
    eye.tell(words.Act("slot 1"), words.Tempo(150.0))
    eye.until(lambda view: view.takes == 1, "a take")
    other = next(row for row in furniture.presets if row.name != furniture.preset)
    eye.tell(words.Choose(other.name), words.Words(0, "slow jazz piano"))
    begun_at = eye.until(lambda view: any("slow jazz" in row.text for row in view.plan), "other words")
    eye.until(lambda view: view.position > begun_at.position + 5 * 48_000, "some of it")
    eye.tell(words.Quit())
    assert process.wait(60) == 0
    with TakeStore(tmp_path / "takes") as store:
        assert store.said == []  # it was closed as it should be
        (take,) = store.find()
    assert take.seed == 6 and take.model == "embedded" and take.weights_hash
    assert furniture.pads[0].text in take.prompt and "slow jazz piano" in take.prompt
    again = tmp_path / "again.wav"
    words_ = ["takes", "render", str(take.number), "--out", str(again), "--takes", str(tmp_path / "takes")]
    made = subprocess.run(
        [sys.executable, "-m", "descant.host.cli", *words_], capture_output=True, text=True, timeout=300
    )
    assert made.stdout.strip().endswith("the recording bit for bit"), made.stdout + made.stderr
    wave = soundfile.read(tmp_path / "takes" / take.file, dtype="float32")[0]
    assert np.abs(wave).max() > 0.01
    np.testing.assert_array_equal(soundfile.read(again, dtype="float32")[0], wave)


def test_a_hum_is_kept_as_a_take(begun, jack, tmp_path):
    eye, process = begun(takes=str(tmp_path / "takes"))
    wave = hum([HumNote(0.1, 0.9, 60), HumNote(1.0, 1.9, 64)], 2.0, 48000, 4)
    singer = Singer(jack, [wave], tmp_path)
    try:
        sung = eye.look().position
        singer.sing(0)
        eye.until(lambda view: view.position > sung + 3 * 48_000, "the hum")
        eye.tell(words.Act("hum last"))
        eye.until(lambda view: view.takes == 1, "a take of it")
    finally:
        singer.close()
    eye.tell(words.Quit())
    assert process.wait(60) == 0
    with TakeStore(tmp_path / "takes") as store:
        (take,) = store.find("hum")
    assert take.seconds > 1.0


def test_nothing_is_recorded_where_that_is_not_wanted(begun, tmp_path):
    eye, process = begun()
    assert eye.look().furniture.takes == ""
    eye.tell(words.Act("slot 1"))
    eye.until(lambda view: view.phase in ("generating", "late"), "music")
    assert eye.look().takes == 0
    eye.tell(words.Quit())
    assert process.wait(60) == 0 and not list(tmp_path.rglob("*.wav"))
