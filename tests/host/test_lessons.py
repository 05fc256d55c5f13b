"""Lessons on any controller: bound in two gestures, asked about, replaced, cancelled, removed, taken back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.host.controller import Binding, Profile, check_binding
from descant.host.functions import groups, place_of
from descant.host.lessons import Lessons
from descant.host.midi_words import Midi

PORT = "MPD218:a"
PADS = Profile("pads", "MPD", (Binding("note 36", "slot 1", mode="gate"), Binding("cc 7", "tap")))


def pad(number, channel=0):
    return Midi("note_on", channel, number, 90)


def test_a_free_control_is_bound_at_once_and_plays_from_then_on():
    lessons = Lessons()
    assert not lessons.takes(PORT, pad(40))
    lessons.arm("loop 2 press", asks=True)
    assert lessons.takes(PORT, pad(40)) and not lessons.takes(PORT, Midi("note_off", 0, 40))
    learnt = lessons.hear(PORT, PADS, pad(40))
    assert learnt.profile.bindings == (*PADS.bindings, Binding("note 40", "loop 2 press", 1))
    assert learnt.words == lessons.said == "note 40, channel 1 of MPD218 does loop 2 press now."
    assert lessons.last == learnt.words and not lessons.armed and not lessons.takes(PORT, pad(40))


def test_what_is_in_the_way_is_named_and_stays_until_it_may_go():
    lessons = Lessons()
    lessons.arm("loop 2 press", asks=True)
    assert lessons.hear(PORT, PADS, pad(36)) is None
    assert lessons.in_the_way.words == lessons.said == "note 36 of MPD218 does slot 1 already."
    assert lessons.takes(PORT, pad(36)) and lessons.hear(PORT, PADS, pad(36)) is None  # it is held still
    assert not lessons.takes(PORT, pad(41)) and not lessons.takes("keys:a", pad(36))  # others play
    learnt = lessons.replace()
    assert Binding("note 36", "loop 2 press", 1) in learnt.profile.bindings
    assert "It no longer does slot 1 (note 36)." in learnt.words
    assert lessons.replace() is None and lessons.undo().profile == PADS and not lessons.last


def test_a_question_and_a_lesson_are_cancelled_and_nothing_has_changed():
    lessons = Lessons()
    assert lessons.cancel() == ""
    lessons.arm("panic", asks=True)
    lessons.hear(PORT, PADS, pad(36))
    assert lessons.cancel() == "Nothing is bound to panic."
    assert lessons.in_the_way is None and lessons.replace() is None and not lessons.takes(PORT, pad(36))
    assert lessons.undo() is None and lessons.said == "There is nothing to take back."
    with pytest.raises(ValueError, match='use "slot N"'):
        lessons.arm("dance")


def test_what_a_control_does_already_is_no_change_and_keeps_how_it_does_it():
    lessons = Lessons()
    lessons.arm("slot 1", asks=True)
    learnt = lessons.hear(PORT, PADS, pad(36))
    assert learnt.profile == PADS and learnt.words == "note 36 of MPD218 does slot 1 already."
    assert not lessons.last


def test_a_binding_is_removed_and_comes_back():
    lessons = Lessons()
    learnt = lessons.remove(PORT, PADS, PADS.bindings[1])
    assert learnt.profile.bindings == PADS.bindings[:1]
    assert learnt.words == lessons.last == "cc 7 of MPD218 no longer does tap."
    assert lessons.remove(PORT, learnt.profile, PADS.bindings[1]) is None
    assert lessons.undo().profile == PADS


controls = st.builds(
    Midi, st.sampled_from(["note_on", "control", "program", "bend"]), st.integers(0, 1), st.integers(36, 38)
)
steps = st.one_of(
    st.tuples(st.just("arm"), st.sampled_from(["slot 1", "tap", "panic", "loop 1 press"]), st.booleans()),
    st.tuples(st.just("hear"), st.sampled_from([PORT, "keys:b"]), controls),
    st.tuples(st.sampled_from(["replace", "cancel", "undo"])),
    st.tuples(st.just("remove"), st.sampled_from([PORT, "keys:b"]), st.integers(0, 5)),
)


@settings(max_examples=200)
@given(st.lists(steps, max_size=30))
def test_whatever_is_done_a_control_does_one_thing_and_undo_leads_back_to_the_beginning(script):
    lessons = Lessons()
    profiles = {PORT: PADS, "keys:b": Profile("keys")}
    for step, *what in script:
        learnt = None
        if step == "arm":
            lessons.arm(*what)
        elif step == "hear":
            learnt = lessons.hear(what[0], profiles[what[0]], what[1])
        elif step == "remove":
            rows = profiles[what[0]].bindings
            learnt = lessons.remove(what[0], profiles[what[0]], rows[what[1] % len(rows)]) if rows else None
        else:
            learnt = getattr(lessons, step)()
        if learnt and not isinstance(learnt, str):
            profiles[learnt.port] = learnt.profile
        assert lessons.in_the_way is None or lessons.armed
        for profile in profiles.values():
            places = [(row.source, channel) for row in profile.bindings for channel in (1, 2)
                      if row.channel in (0, channel)]  # fmt: skip
            assert len(places) == len(set(places))
    while (learnt := lessons.undo()) is not None:
        profiles[learnt.port] = learnt.profile
    assert profiles == {PORT: PADS, "keys:b": Profile("keys")}


def test_everything_that_is_offered_can_be_bound_once_and_is_found_again():
    offered = groups(["calm jazz", "Stop"], 8)
    every = [function.do for group in offered for function in group.functions]
    assert len(every) == len(set(every)) and {"slot 2", "loop 8 go on", "hum redo 1"} <= set(every)
    for number, group in enumerate(offered):
        for place, function in enumerate(group.functions):
            check_binding(Binding("note 0", function.do))
            assert function.name and place_of(function.do, offered) == (number, place)
    assert place_of("loop 9 press", offered) is None
    assert [group.name for group in groups([], 0)] == ["Knobs", "Transport", "Hum"]
