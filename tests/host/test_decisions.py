"""The small pure parts: schedule, pacing, chords, triggers, meters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descant.host.chords import HeldNotes
from descant.host.errors import EventError
from descant.host.events import Control, Heartbeat, NoteOff, NoteOn, Parameter, Program, Trigger
from descant.host.meters import Meters
from descant.host.pacing import Pacing
from descant.host.preset import ControllerRow, Preset, PromptSlot
from descant.host.schedule import MAX_EDITS, Cue, Scene, Schedule
from descant.host.transport import Timeline
from descant.host.trigger import ChordNote, SetParameter, Silence, StartSlot, action_of

TIME = Timeline.internal(48000, 120)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from(["text", "top_p", "guidance"]), st.floats(0, 1)))
)
def test_scene_is_the_last_edit_of_each_field(edits):
    schedule = Schedule(Scene(TIME))
    known: dict[tuple[int, str], float] = {}
    for at, field, value in edits:
        schedule.edit(at, field, value)
        known[at, field] = value
    for sample in range(52):
        for field in ("text", "top_p", "guidance"):
            values = [known[at, name] for at, name in sorted(known) if name == field and at <= sample]
            want = values[-1] if values else getattr(Scene(TIME), field)
            assert getattr(schedule.scene(sample), field) == want


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), max_size=20), st.integers(0, 60))
def test_forgetting_changes_nothing_that_is_still_known(edits, before):
    schedule = Schedule(Scene(TIME))
    for at, value in edits:
        schedule.edit(at, "top_p", value)
    scenes = [schedule.scene(sample) for sample in range(61)]
    schedule.forget(before)
    assert scenes[schedule.known_from :] == [schedule.scene(s) for s in range(schedule.known_from, 61)]
    assert schedule.known_from == before and all(
        edit.at_sample > before or before == 0 for edit in schedule.edits
    )


def test_forgetting_keeps_what_a_fading_stream_needs():
    schedule = Schedule(Scene(TIME))
    schedule.cue(Cue(100, "start", 3, 0))
    schedule.cue(Cue(1000, "start", 500, 500))
    schedule.edit(1000, "text", "new")
    schedule.forget(1200)
    assert schedule.scene(999).text is None and schedule.scene(1000).text == "new"
    schedule.forget(2000)
    assert [cue.at_sample for cue in schedule.cues] == [1000]
    assert schedule.sounding(1500) and not Schedule(Scene(TIME)).sounding(0)


def test_waiting_edits_are_bounded():
    schedule = Schedule(Scene(TIME))
    for at in range(MAX_EDITS):
        schedule.edit(at, "top_p", at / MAX_EDITS)
    schedule.edit(5, "top_p", 0.5)  # one that replaces another still fits
    with pytest.raises(EventError, match="waiting"):
        schedule.edit(MAX_EDITS, "top_p", 0.1)


def test_pacing():
    pace = Pacing.of(48000, 400, 120)
    assert (pace.lead, pace.commit, pace.limit) == (19200, 5760, 0)
    pace = pace.heard(Heartbeat(0, 1000, 9600))
    assert pace.limit == 10600 and pace.changeable == 6760
    assert pace.heard(Heartbeat(0, 500, 9600)).playhead == 500  # a rewind is followed
    assert pace.heard(Heartbeat(0, 1000, 2**32 - 1)).limit == 1000 + 19200
    assert pace.late(-20000) and not pace.late(-10000)
    assert Pacing.of(48000, 1, 900).lead_ms == 60 and Pacing.of(48000, 400, 900).commit_ms == 200


def test_a_jump_is_known_from_playing_on_and_from_a_heartbeat_that_came_late():
    pace = Pacing.of(48000, 400, 120)
    assert not pace.jumped(Heartbeat(0, 10**6, 9600, jumps=7))  # the first one only says where we are
    pace = pace.heard(Heartbeat(0, 1000, 9600, jumps=7, sequence=2**32 - 1))
    assert pace.jumped(Heartbeat(0, 900, 9600, jumps=7)) and pace.jumped(Heartbeat(0, 1500, 9600, jumps=8))
    assert not pace.jumped(Heartbeat(0, 10**6, 9600, jumps=7))  # however far: it was played, unheard of
    assert pace.stale(Heartbeat(0, 900, 9600, sequence=2**32 - 5))
    assert not any(pace.stale(Heartbeat(0, 900, 9600, sequence=s)) for s in (2**32 - 1, 0, 12, None))


@given(st.lists(st.tuples(st.integers(60, 64), st.booleans(), st.integers(0, 500)), max_size=30))
def test_every_note_is_held_for_a_frame(moves):
    """Replayed edges give the chord; each note that goes down is in some chord, for a frame at least."""
    held, now, chords = HeldNotes(), 0, {}
    for key, down, wait in moves:
        now += wait
        edges = held.moved(key, down, now, 960, now)
        for at in [at for at in chords if at >= now]:
            del chords[at]
        chords.update(edges)
        if down:
            assert all(key % 12 in held.chord(now + step) for step in (0, 500, 959))
    assert held.chord(now + 10**9) == tuple(
        sorted({key % 12 for key in range(60, 65) if _last_is_down(moves, key)})
    )


def _last_is_down(moves, key):
    states = [down for moved, down, _ in moves if moved == key]
    return bool(states) and states[-1]


def test_what_events_mean():
    preset = Preset(
        name="a",
        keys="chords",
        prompts=(PromptSlot(text="x", key=10, program=3), PromptSlot(text="y")),
        cc={"1": ControllerRow("guidance", (6.0, 1.0))},
    )
    assert action_of(Trigger(0, 1), preset) == StartSlot(1)
    assert action_of(Trigger(0, 1, action="release"), preset) is None
    assert action_of(NoteOn(0, 10), preset) == StartSlot(0)
    assert action_of(NoteOff(0, 10), preset) is None and action_of(NoteOn(0, 10, 0), preset) is None
    assert action_of(NoteOn(0, 60), preset) == ChordNote(60, True)
    assert action_of(NoteOn(0, 60, 0), preset) == ChordNote(60, False)
    assert action_of(Program(0, 3), preset) == StartSlot(0) and action_of(Program(0, 4), preset) is None
    assert action_of(Control(0, 1, 127), preset) == SetParameter("guidance", 1.0)
    assert action_of(Control(0, 2, 127), preset) is None and action_of(Control(0, 123, 0), preset) == Silence(
        let_go=True
    )
    assert action_of(Parameter(0, "top_p", 0.5), preset) == SetParameter("top_p", 0.5)
    with pytest.raises(EventError, match="temperature, guidance"):
        action_of(Parameter(0, "cutoff", 0.5), preset)
    with pytest.raises(EventError, match=r"0\.\.1"):
        action_of(Trigger(0, 2), preset)


def test_meters():
    meters = Meters(48000)
    assert meters.read(0, 1.0, 0.5).control_delay_p95 == 0
    for delay in range(100):
        meters.delayed(delay * 48)
    meters.worked(0.1, 0.5)
    reading = meters.read(0, 400.0, 0.25)
    assert (reading.real_time_factor, reading.load) == (pytest.approx(0.2), pytest.approx(0.4))
    assert reading.control_delay_p50_ms == 50 and reading.control_delay_p95_ms == 95
    assert meters.read(0, 400.0, 0.25).real_time_factor == 0
