"""Words of keys, mixes of pads, and where and how pads start: as parameters, in the music, across engines."""

import msgspec
import numpy as np
import pytest

from descant.host.engine import Engine
from descant.host.errors import EventError, HostError
from descant.host.events import (
    FallbackOut,
    KeyPrompt,
    Mix,
    NoteOn,
    Parameter,
    PresetChange,
    SessionHello,
    TransportEvent,
    Trigger,
)
from descant.host.pads import Pads
from descant.host.render import render
from tests.host.conftest import first_difference

HELLO = SessionHello(48000, channels=1, preset="pads")
SONG = (TransportEvent(0, 120, 0.0), Trigger(0, 0))


@pytest.fixture
def play(model, presets):
    def played(*events, seconds=2.5):
        return render(model, presets, [*SONG, *events], seconds, HELLO).wave

    return played


@pytest.mark.parametrize(("value", "line"), [(0, 96000), (1, 50000), (2, 72000), (3, 96000), (4, 192000)])
def test_quantise_says_where_pads_start(client, value, line):
    player = client(seconds=0.1)
    player.send(*SONG, Parameter(0, "quantise", value), Trigger(50000, 2))
    assert player.plans[-1].from_sample == line


def test_transition_says_how_pads_start(play):
    pad, line = NoteOn(48000, 37), 96000  # which morphs by itself
    cut = play(Parameter(0, "transition", 2), pad)
    assert np.array_equal(cut[:, :line], play()[:, :line])
    assert line <= first_difference(cut, play()) <= line + 8, "exact to the sample"
    assert not np.array_equal(cut, play(pad))
    np.testing.assert_array_equal(play(Parameter(0, "transition", 1), pad), play(pad))


def test_x_and_y_move_the_music_between_pads_and_leave_it_alone_at_0(play):
    plain = play()
    np.testing.assert_array_equal(play(Parameter(0, "x", 0.7), Parameter(0, "y", 0.2)), plain)
    whole = Parameter(0, "xy", 1.0)
    np.testing.assert_array_equal(play(whole), plain)  # the corner of pad 0, which plays
    at_right = play(Parameter(24000, "xy", 1.0), Parameter(24000, "x", 1.0))
    between = play(Parameter(24000, "xy", 1.0), Parameter(24000, "x", 0.5))
    for moved in (at_right, between):
        assert 24000 < first_difference(moved, plain) < 24000 + 48000 * 0.2
    assert first_difference(at_right, between) is not None


def test_a_mix_is_the_corners_by_their_nearness(presets):
    pads = Pads(presets["pads"])
    assert pads.mix() == ()
    for name, value in (("xy", 0.5), ("x", 0.25), ("y", 0.0)):
        pads.choose(name, value)
    first, second = (row.text for row in presets["pads"].prompts[:2])
    assert pads.mix() == ((first, 0.375), (second, 0.125))
    pads.choose("y", 1.0)
    assert sum(weight for _, weight in pads.mix()) == 0.5


def test_weighed_pads_are_mixed_by_their_weights_in_the_place_of_the_corners(presets, client):
    pads = Pads(presets["pads"])
    pads.choose("xy", 1.0)
    first, second = (row.text for row in presets["pads"].prompts[:2])
    pads.weigh(Mix(0, 0.2, 0.6))
    assert pads.mix() == ((first, 0.25), (second, 0.75))
    with pytest.raises(EventError, match="no weights"):
        pads.weigh(Mix(0, 0.5, 1.5))
    with pytest.raises(EventError, match="no weights"):
        pads.weigh(Mix(0, float("nan")))
    assert pads.mix() == ((first, 0.25), (second, 0.75))
    pads.weigh(Mix(0))
    assert pads.mix() == ((first, 1.0),)
    player = client(seconds=2.0)
    player.send(*SONG, Mix(24_000, 0.0, 1.0))
    assert player.engine.session(1).score.schedule.scene(96_000).mix == ((second, 1.0),)


def test_a_key_plays_its_own_words_before_the_presets_and_nothing_starts_by_them(client, play):
    player = client(seconds=0.5)
    player.send(KeyPrompt(0, 36, "slow blues"), KeyPrompt(0, 100, "a choir"))
    assert not player.outputs
    player.send(NoteOn(0, 100))
    player.send(NoteOn(60000, 36))
    assert [plan.text for plan in player.plans] == ["a choir", "slow blues"]
    player.send(KeyPrompt(0, 36, ""), NoteOn(60000, 36))
    assert player.plans[-1].text == "calm jazz with piano"
    with pytest.raises(EventError):
        Pads(player.engine.session(1).score.preset).word_key(KeyPrompt(0, 5, "x" * 2001))
    assert not np.array_equal(
        play(KeyPrompt(0, 37, "slow blues"), NoteOn(48000, 37)), play(NoteOn(48000, 37))
    )


def test_another_engine_knows_them(client, model, presets):
    player = client(seconds=4, slices=8)
    player.send(*SONG, KeyPrompt(0, 100, "a choir"), Parameter(0, "quantise", 2.0), Parameter(0, "xy", 0.5))
    player.run_to(168000)
    player.engine = Engine(model, presets)
    player.engine.resume(1, player.resumes[-1].snapshot)
    score = player.engine.session(1).score
    assert score.pads.keys == {100: "a choir"} and score.pads.chosen == {"quantise": 2.0, "xy": 0.5}
    assert score.schedule.scene(168000).mix == ((presets["pads"].prompts[0].text, 0.5),)


def test_a_preset_that_changed_meanwhile_holds_as_it_is_now(client, model, presets):
    player = client(seconds=4, slices=8)
    player.send(*SONG)
    player.run_to(168000)
    snapshot, name = player.resumes[-1].snapshot, player.engine.session(1).score.preset.name
    shorter = msgspec.structs.replace(presets[name], prompts=presets[name].prompts[:1])
    engine = Engine(model, {**presets, name: shorter})
    engine.resume(1, snapshot)
    assert engine.session(1).score.pads.texts == [shorter.prompts[0].text]
    with pytest.raises(HostError):
        Engine(model, {other: row for other, row in presets.items() if other != name}).resume(1, snapshot)


def test_a_key_that_is_none_is_called_one(presets):
    with pytest.raises(EventError, match="there is no key 128"):
        Pads(presets["pads"]).word_key(KeyPrompt(0, 128, "a choir"))


def test_a_client_is_told_what_a_preset_wants_while_the_host_is_gone(client, model, presets):
    holding = msgspec.structs.replace(presets["pads"], name="holding", gone="hold")
    player = client(engine=Engine(model, {**presets, "holding": holding}), preset="holding", seconds=0.1)
    player.send(PresetChange(5, "free"), PresetChange(6, "free"), PresetChange(7, "holding"))
    assert [told.manner for told in player.of(FallbackOut)] == ["hold", "fade", "hold"]
