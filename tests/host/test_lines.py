"""Musical lines by themselves: what begins and ends there, what waits for them, what clips do at them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.host.captures import Captures
from descant.host.ear import Ears
from descant.host.errors import HumError
from descant.host.events import Capture, TransportEvent
from descant.host.lines import Lines, Planned
from descant.host.preset import Preset, PromptSlot

RATE, FRAME, BAR = 48_000, 960, 96_000
CUT = 240  # samples of a fade where music is cut
JAZZ, TECHNO, STOP, BELLS = range(4)
PRESET = Preset(
    name="lines",
    tempo=120,
    quantise="bar",
    transition="cut",
    prompts=(
        PromptSlot("calm jazz"),
        PromptSlot("techno"),
        PromptSlot(stop=True),
        PromptSlot("bells", quantise="off"),
    ),
)


def playing(at=0):
    """Lines where the first pad plays from a sample on."""
    lines = Lines(RATE, FRAME, PRESET)
    assert lines.start(JAZZ, at, at).planned == [Planned(at, 0.0, "calm jazz")]
    return lines


def told(lines):
    return [(cue.at_sample, cue.kind) for cue in lines.schedule.cues]


@given(st.integers(0, 10**6), st.integers(0, 400_000), st.integers(0, 200_000))
@settings(deadline=None, max_examples=40)
def test_music_out_of_silence_begins_at_once_and_another_pad_waits_for_the_next_bar(began, after, late):
    lines = playing(began)
    pressed, changeable = began + after, began + after + late
    outcome = lines.start(TECHNO, pressed, changeable)
    (plan,) = outcome.planned
    assert (plan.line - began) % BAR == 0 and changeable <= plan.line < changeable + BAR + CUT
    assert plan.bar == (plan.line - began) / BAR and plan.text == "techno" and outcome.at_once is None
    assert lines.schedule.scene(plan.line).text == "techno"
    if plan.line > began:
        assert lines.schedule.scene(plan.line - 1).text == "calm jazz"
    assert lines.wishes[-1].line == plan.line and lines.wishes[-1].at_sample == pressed


def test_the_last_press_before_a_line_wins():
    lines = playing()
    lines.start(TECHNO, 10_000, 20_000)
    lines.start(STOP, 20_000, 30_000)
    assert told(lines) == [(0, "start"), (BAR, "stop")]
    assert lines.start(TECHNO, 30_000, 40_000).planned == [Planned(BAR, 1.0, "techno")]
    assert told(lines) == [(0, "start"), (BAR, "start")]
    assert [(wish.slot, wish.line) for wish in lines.wishes] == [(TECHNO, BAR)]
    lines.take_back(BAR)
    assert told(lines) == [(0, "start")] and lines.wishes == []


def test_a_pad_that_waits_for_no_line_says_where_it_begins_and_cuts_no_fade_short():
    lines = playing()
    assert lines.start(BELLS, 40_000, 50_000).at_once == 50_000
    assert lines.start(BELLS, 50_100, 50_100).at_once == 50_000 + CUT
    assert lines.free_line(50_001, "off") == 50_000 + CUT and lines.free_line(50_001, "bar") == BAR


def test_a_stop_is_planned_as_silence_where_something_sounds_and_nowhere_else():
    lines = playing()
    lines.start(TECHNO, 1000, 1000)
    assert lines.stop(50_000, 100) == [Planned(50_000, 50_000 / BAR, "")]
    assert told(lines) == [(0, "start"), (50_000, "stop")]
    assert lines.stop(60_000, 100) == []


def test_the_first_pad_that_is_no_stop_begins_where_nothing_plays_or_is_about_to():
    lines = Lines(RATE, FRAME, Preset(name="one", prompts=(PromptSlot(stop=True), PromptSlot("harp"))))
    assert [plan.text for plan in lines.begun(5000, 7000)] == ["harp"]
    assert lines.begun(8000, 9000) == [] and lines.begun(1000, 2000) == []
    assert Lines(RATE, FRAME, Preset(name="none", prompts=(PromptSlot(stop=True),))).begun(0, 0) == []


def test_a_pad_that_waits_finds_another_line_where_the_song_leaps():
    lines = playing()
    lines.start(TECHNO, 10_000, 10_000)
    event = TransportEvent(60_000, tempo=120, beat=1.0)
    assert lines.follow(event, 62_000) == [Planned(132_000, 1.0, "techno")]
    assert told(lines) == [(0, "start"), (132_000, "start")]
    assert lines.schedule.scene(BAR).text == "calm jazz"
    assert lines.follow(TransportEvent(84_000, tempo=120, beat=2.0), 86_000) == [], "the song goes on"
    assert lines.schedule.scene(100_000).timeline.beat_at(132_000) == 4


def test_where_the_client_leaps_what_plays_goes_on_and_what_waits_finds_another_line():
    lines = playing()
    lines.schedule.edit(30_000, "temperature", 0.5)
    lines.schedule.edit(200_000, "top_k", 7)
    lines.start(TECHNO, 50_000, 50_000)
    assert lines.leap(20_000, 60_000, 25_000) == [Planned(BAR, 1.0, "techno")]
    assert told(lines) == [(25_000, "start"), (BAR, "start")]
    now, later = lines.schedule.scene(25_000), lines.schedule.scene(200_000)
    assert (now.text, now.temperature, later.text) == ("calm jazz", 0.5, "techno")
    assert now.top_k != 7 == later.top_k and lines.schedule.known_from == 20_000
    lines.wishes.clear()
    lines.stop(30_000, 100)
    assert lines.leap(500_000, 40_000, 500_100) == [] and told(lines) == []


def test_what_is_forgotten_changes_nothing_that_comes():
    lines = playing()
    lines.start(TECHNO, 1000, 1000)
    before = lines.schedule.scene(BAR)
    lines.prune(BAR - 100)
    assert lines.schedule.scene(BAR) == before and lines.timeline.bar_at(2 * BAR) == 2


class Ear:
    """Hears what it is told to."""

    def __init__(self, heard):
        self.heard = heard

    def push(self, piece):
        pass

    def finish(self):
        return self.heard


CHROMA = np.eye(12, dtype=np.float32)[np.zeros(75, int)]  # 1.5 s of C
CODES = np.arange(400, dtype=np.int32).reshape(4, 100)  # 2 s
NOISE = np.random.default_rng(1).uniform(-0.3, 0.3, (1, 8000)).astype(np.float32)


def captures(lines):
    return Captures(Ears(lambda rate: Ear(CHROMA), lambda rate: Ear(CODES)), lines, 50.0)


def test_a_hum_is_followed_from_the_next_bar_on_once_all_of_it_is_there():
    lines = playing()
    clips = captures(lines)
    assert clips.take(Capture(10_000, 1, 8000, NOISE, 0, last=False), 12_000) == []
    assert clips.take(Capture(10_000, 1, 8000, NOISE, 1), 12_000) == [
        Planned(BAR, 1.0, "hummed melody, 1 bar")
    ]
    assert lines.schedule.scene(BAR - 1).melody is None
    np.testing.assert_array_equal(lines.schedule.scene(BAR).melody.chroma, CHROMA)
    assert told(lines) == [(0, "start")]


def test_a_hum_where_nothing_plays_begins_the_music():
    lines = Lines(RATE, FRAME, PRESET)
    planned = captures(lines).take(Capture(10_000, 1, 8000, NOISE), 12_000)
    assert [plan.text for plan in planned] == ["calm jazz", "hummed melody, 1 bar"]
    assert [plan.line for plan in planned] == [12_000, 12_000] and told(lines) == [(12_000, "start")]


def test_music_that_is_gone_on_from_takes_the_place_of_the_pad_that_waited():
    lines = playing()
    lines.start(TECHNO, 1000, 1000)
    planned = captures(lines).take(Capture(10_000, 1, 8000, NOISE, role="live"), 12_000)
    assert planned == [Planned(BAR, 1.0, "calm jazz (going on from 2.0 s)")]
    assert told(lines) == [(0, "start"), (BAR, "start")]
    assert lines.wishes == []
    assert lines.schedule.cues[-1].prompt == CODES.tobytes()
    lines = Lines(RATE, FRAME, PRESET)
    planned = captures(lines).take(Capture(10_000, 1, 8000, NOISE, role="live"), 12_000)
    assert [plan.text for plan in planned] == ["calm jazz", "calm jazz (going on from 2.0 s)"]


def test_a_clip_that_is_refused_changes_nothing():
    lines = playing()
    edits, cues = lines.schedule.edits, lines.schedule.cues
    for role in ("melody", "live"):
        with pytest.raises(HumError):
            captures(lines).take(Capture(0, 1, 8000, 0 * NOISE, role=role), 1000)
    assert (lines.schedule.edits, lines.schedule.cues) == (edits, cues)
