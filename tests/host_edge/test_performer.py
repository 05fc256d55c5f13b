"""A performance in simulated time, through the wire's bytes, a real engine and the playout ring."""

from collections.abc import Callable
from pathlib import Path

import mido
import numpy as np
import pytest

from descant.host.edge.cues import Hum, Performance
from descant.host.edge.local_bridge import LocalBridge
from descant.host.edge.midi_file import Song, read_midi_file
from descant.host.edge.performer import Performer, Recording, SimulatedClock
from descant.host.engine import Engine
from descant.host.errors import HostError
from descant.host.preset import Preset, parse_preset
from descant.model import MusicModel, tiny_model

RATE = 16_000
PRESET = """
name = "two-pads"
tempo = 240
quantise = "bar"
[[prompts]]
text = "piano"
key = 36
[[prompts]]
text = "drums"
key = 37
[[prompts]]
stop = true
key = 38
[cc.74]
parameter = "temperature"
range = [0.5, 1.5]
"""


@pytest.fixture(scope="module")
def model() -> MusicModel:
    return tiny_model()


@pytest.fixture(scope="module")
def presets() -> dict[str, Preset]:
    preset = parse_preset(PRESET)
    return {preset.name: preset}


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Song:
    """Bars of one second: a pad at bar 1, a controller within bar 1, another pad before bar 2, stop before
    bar 3."""
    path = tmp_path_factory.mktemp("song") / "a.mid"
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=250_000, time=0)])
    track.append(mido.Message("note_on", note=36, velocity=90, time=1344))
    track.append(mido.Message("control_change", control=74, value=100, time=1440))
    track.append(mido.Message("note_on", note=37, velocity=90, time=480))
    track.append(mido.Message("note_on", note=38, velocity=90, time=1920))
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(track)
    file.save(path)
    return read_midi_file(path)


Play = Callable[..., Recording]


@pytest.fixture
def play(model: MusicModel, presets: dict[str, Preset]) -> Play:
    def call(performance: Performance, seed: int = 3, block: int = 160, **how: bool) -> Recording:
        bridge = LocalBridge(Engine(model, presets), RATE, block, 2, seed=seed, **how)
        return Performer(bridge, performance, SimulatedClock()).play()

    return call


def test_the_music_begins_changes_and_stops_on_its_bars(song: Song, play: Play) -> None:
    recording = play(Performance(song, seconds=4))
    assert recording.faults == []
    assert [(plan.from_sample, plan.text) for plan in recording.plans] == [
        (RATE, "piano"),
        (2 * RATE, "drums"),
        (3 * RATE, ""),
    ]
    sounding = np.abs(recording.wave).max(axis=0) > 0
    assert not sounding[:RATE].any()
    assert sounding[RATE + 160 : 3 * RATE].mean() > 0.95
    assert not sounding[3 * RATE + RATE // 4 :].any()
    assert recording.underruns == 0  # the stop was asked for
    assert [sent.what for sent in recording.sent] == [
        "note 36 on (velocity 90)",
        "controller 74 = 100",
        "note 37 on (velocity 90)",
        "note 38 on (velocity 90)",
    ]


def test_the_same_performance_gives_the_same_samples_and_another_seed_others(song: Song, play: Play) -> None:
    once, again, other = (play(Performance(song, seconds=2), seed=seed).wave for seed in (3, 3, 4))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_paced_as_in_real_time_a_controller_acts_after_the_commit_window(song: Song, play: Play) -> None:
    recording = play(Performance(song, seconds=2), realtime=True)
    control = next(sent.at_sample for sent in recording.sent if sent.what.startswith("controller"))
    changed = [commit for commit in recording.commits if commit.epoch > 0 and commit.from_sample > control]
    assert changed, recording.commits
    delay = (changed[0].from_sample - control) / RATE
    assert 0.12 - 160 / RATE <= delay < 0.12 + 0.06  # counted from the playhead, at most a block before
    assert np.abs(recording.wave[:, RATE + 160 :]).max() > 0


def test_a_hum_and_a_prompt_are_taken_in(play: Play) -> None:
    hum = 0.5 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE, dtype=np.float32)[None]
    recording = play(Performance(hum=Hum(hum, RATE), prompt="flute", seconds=1))
    assert recording.faults == []
    assert any("hummed" in plan.text for plan in recording.plans)
    assert [sent.what for sent in recording.sent] == ["prompt: flute", "hum 1 handed in"]


def test_what_the_engine_refuses_is_a_fault_in_the_recording(play: Play) -> None:
    silent = Hum(np.zeros((1, RATE), np.float32), RATE)
    recording = play(Performance(hum=silent, first_pad=True, seconds=0.5))
    assert len(recording.faults) == 1 and recording.faults[0].do


def test_every_block_is_heard_once_and_progress_ends_at_the_end(
    model: MusicModel, presets: dict[str, Preset]
) -> None:
    blocks: list[np.ndarray] = []
    shares: list[float] = []
    bridge = LocalBridge(Engine(model, presets), RATE, 100, 1)
    performer = Performer(
        bridge,
        Performance(first_pad=True, seconds=0.3),
        SimulatedClock(),
        heard=blocks.append,
        progress=lambda at, total: shares.append(at / total),
    )
    recording = performer.play()
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), recording.wave)
    assert all(0 < share <= 1 for share in shares) and shares == sorted(shares)


def test_a_session_the_engine_refuses_is_an_error(model: MusicModel, presets: dict[str, Preset]) -> None:
    with pytest.raises(HostError):
        LocalBridge(Engine(model, presets), RATE, preset="nothere")


def test_a_song_file_of_the_package_can_be_read() -> None:
    from descant.host.edge.preset_files import shipped_folder

    for path in Path(shipped_folder()).rglob("*.mid"):
        assert read_midi_file(path).events
