"""Two gestures at a terminal: a key for what, a pad or knob for where; told, undone and kept."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.host.controller import Binding, Profile, check_binding
from descant.host.edge.controller_files import load_profiles, profile_for, profile_text, save_learnt
from descant.host.errors import DeviceError
from descant.host.learn_keys import KEYS, LearnKeys
from descant.host.midi_words import Midi

PADS = Profile("pads", "MPD", (Binding("note 36", "slot 1"), Binding("cc 7", "parameter guidance")))


def test_every_key_means_something_that_can_be_bound():
    for do in KEYS.values():
        check_binding(Binding("note 0", do))


def test_a_key_then_a_pad_and_what_it_takes_the_place_of_is_told():
    desk = LearnKeys({"1": "slot 1", "h": "hum arm"})
    words, learnt = desk.key("W", {})
    assert learnt is None and words.startswith("loop 2 press: now press the pad")
    assert not desk.lessons.takes("MPD218:a", Midi("note_off", 0, 36))
    learnt = desk.lessons.hear("MPD218:a", PADS, Midi("note_on", 0, 36, 90))
    assert learnt is not None and learnt.port == "MPD218:a"
    assert learnt.words == (
        "note 36, channel 1 of MPD218 does loop 2 press now. It no longer does slot 1 (note 36)."
    )
    assert desk.lessons.hear("MPD218:a", PADS, Midi("note_on", 0, 36, 90)) is None  # it plays again
    desk.key("V", {})
    learnt = desk.lessons.hear("MPD218:a", learnt.profile, Midi("control", 2, 9, 64))
    assert learnt is not None and "cc 7 no longer does it." in learnt.words
    words, _ = desk.key("?", {"MPD218:a": learnt.profile})
    assert "cc 9, channel 3: parameter guidance" in words and "note 36, channel 1: loop 2 press" in words
    for expected in (2, 2):
        _, back = desk.key("-", {})
        assert back is not None and len(back.profile.bindings) == expected
    assert back.profile.bindings == PADS.bindings
    assert desk.key("-", {}) == ("There is nothing to take back.", None)


def test_a_gesture_is_cancelled_and_other_keys_mean_nothing():
    desk = LearnKeys({"1": "slot 1", "h": "hum arm"})
    assert not desk.takes("1") and desk.takes("L") and desk.takes("Q")
    desk.key("L", {})
    assert desk.takes("1") and desk.key("1", {})[0].startswith("slot 1: now press")
    assert not desk.takes("1")
    assert desk.key("\x1b", {}) == ("Nothing is bound to slot 1.", None)
    assert desk.lessons.hear("a", PADS, Midi("note_on", 0, 40, 1)) is None
    assert desk.key("\x1b", {}) == desk.key("[", {}) == desk.key("Ä", {}) == ("", None)


bindings = st.builds(
    Binding,
    st.sampled_from(["note 36", "cc 74", "program 3", "bend"]),
    st.sampled_from(sorted(KEYS.values())),
    st.integers(0, 16),
    st.sampled_from(["trigger", "gate", "toggle", "retrigger"]),
    st.sampled_from(["absolute", "two's complement", "binary offset", "sign magnitude"]),
    st.booleans(),
    st.booleans(),
    st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.booleans(),
)


@settings(max_examples=30)
@given(st.text(min_size=1, max_size=9), st.lists(bindings, max_size=4))
def test_a_profile_survives_its_file(tmp_path_factory, name, rows):
    folder = tmp_path_factory.mktemp("controllers")
    profile = Profile(name, "old", tuple(rows), {"playing": 21})
    (folder / "learnt-x.toml").write_text(profile_text(profile), encoding="utf-8")
    profiles, broken = load_profiles((str(folder),))
    assert broken == [] and profile in profiles


def test_what_was_learnt_comes_before_what_was_written_and_a_full_disk_is_told(tmp_path):
    (tmp_path / "a.toml").write_text(profile_text(PADS))
    learnt = Profile("pads", "MPD", (Binding("note 36", "panic"),))
    path = save_learnt("MPD218-01:MIDI 1", learnt, tmp_path)
    assert path.name == "learnt-mpd218.toml" and not list(tmp_path.glob("*.part"))
    profiles, _ = load_profiles((str(tmp_path),))
    assert profile_for("MPD218:MIDI 1", profiles).bindings == learnt.bindings
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DeviceError, match="could not be written") as error:
        save_learnt("MPD218", learnt, blocked)
    assert error.value.still and error.value.do
