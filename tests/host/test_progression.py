"""Chord names and progressions: the chord of every bar, whatever metre, tempo and transport do."""

import math
from dataclasses import replace
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descant.host.ear import ears_of
from descant.host.engine import Engine
from descant.host.errors import HostError
from descant.host.events import (
    Control,
    HostEvent,
    NoteOff,
    NoteOn,
    Parameter,
    SessionHello,
    TransportEvent,
    Trigger,
)
from descant.host.preset import ControllerRow, Preset, PromptSlot
from descant.host.progression import QUALITIES, ROOTS, Progression, pitch_classes
from descant.host.render import render, replay
from descant.host.resume import pack, unpack
from descant.host.schedule import Scene
from descant.host.telling import chord_at
from descant.host.transport import Timeline

roots = st.sampled_from(sorted(ROOTS))
accidentals = st.sampled_from(["", "#", "b"])
qualities = st.sampled_from(sorted(QUALITIES))
C, AM, F, G = (0, 4, 7), (0, 4, 9), (0, 5, 9), (2, 7, 11)
TURN = Progression((C, AM, F, G))


@given(roots, accidentals, qualities)
def test_every_chord_name_is_its_intervals_above_its_root(root, accidental, quality):
    lowest = ("C D EF G A B".index(root) + {"": 0, "#": 1, "b": -1}[accidental]) % 12
    classes = pitch_classes(root + accidental + quality)
    assert {(tone - lowest) % 12 for tone in classes} == set(QUALITIES[quality])
    assert list(classes) == sorted(set(classes)) and lowest in classes


def test_chords_as_musicians_know_them():
    assert (pitch_classes("C"), pitch_classes("Am"), pitch_classes("F"), pitch_classes("G")) == (C, AM, F, G)
    assert pitch_classes("G7") == (2, 5, 7, 11) and pitch_classes("Bdim") == (2, 5, 11)
    assert pitch_classes("F#m7") == pitch_classes("Gbm7") == (1, 4, 6, 9)
    assert pitch_classes("Ebmaj7") == (2, 3, 7, 10) and pitch_classes("Cb") == pitch_classes("B")
    assert pitch_classes("Dsus4") == (2, 7, 9) and pitch_classes("A5") == (4, 9)


@given(st.text(max_size=8))
def test_what_is_no_chord_is_refused_with_what_is(text):
    try:
        classes = pitch_classes(text)
    except HostError as error:
        assert "A..G" in error.do and "maj7" in error.do and len(str(error).splitlines()) == 3
    else:
        assert text[0] in ROOTS and classes


@pytest.mark.parametrize("name", ["", "H", "c", "Cm ", " C", "C##", "Cmaj", "CM7", "Am\n", "C/E", "B♭"])
def test_names_that_are_near_are_refused_too(name):
    with pytest.raises(HostError, match="no chord is named"):
        pitch_classes(name)


@given(
    st.integers(1, 9).map(lambda n: tuple((i,) for i in range(n))),
    st.integers(1, 8),
    st.integers(-500, 500),
    st.fractions(0, 1).filter(lambda part: part < 1),
)
def test_chords_take_turns_from_bar_0_in_both_directions(chords, bars, bar, part):
    progression = Progression(chords, bars)
    whole = len(chords) * bars
    assert progression.at(bar + part) == chords[(bar % whole) // bars]
    assert progression.at(bar + part) == progression.at(bar + part + whole)


@given(
    tempo=st.floats(20, 400),
    rate=st.sampled_from([22050, 44100, 47999, 48000, 96000]),
    metre=st.sampled_from([(4, 4), (3, 4), (6, 8), (7, 8), (5, 4), (2, 2)]),
    bar=st.integers(-40, 400),
    start=st.integers(-(10**6), 10**6),
    bars=st.integers(1, 8),
)
def test_a_bar_has_its_chord_from_its_line_on(tempo, rate, metre, bar, start, bars):
    """At the sample of the line, where a stream may begin, and until the next one's."""
    song = TransportEvent(start, tempo, 0.0, *metre)
    timeline = Timeline.internal(rate, 120).followed(song)[0]
    timeline = replace(timeline, grids=timeline.grids[-1:])
    progression = replace(TURN, bars_per_chord=bars)
    scene = Scene(timeline, progression=progression)
    length = Fraction(60 * rate * 4 * metre[0], metre[1]) / Fraction(tempo)
    first = math.floor(start + bar * length + Fraction(1, 2))
    last = math.floor(start + (bar + 1) * length + Fraction(1, 2)) - 2
    want = np.isin(np.arange(12), progression.chords[bar // bars % 4])
    for sample in (first, (first + last) // 2, last):
        assert np.array_equal(chord_at(scene, sample), want)


def test_jumps_loops_and_new_metres_are_followed():
    timeline = Timeline.internal(48000, 120)
    timeline = timeline.followed(TransportEvent(100_000, 120, 12.0))[0]  # bar 3
    timeline = timeline.followed(TransportEvent(200_000, 60, -4.0))[0]  # bar -1
    loop = TransportEvent(300_000, 120, 4.0, loop_start=4.0, loop_end=8.0, looping=True)
    timeline = timeline.followed(loop)[0]
    scene = Scene(timeline, progression=TURN)

    def chord(sample):
        return tuple(map(int, np.flatnonzero(chord_at(scene, sample))))

    assert [chord(at) for at in (0, 95_999, 96_000, 99_999)] == [C, C, AM, AM]
    assert [chord(at) for at in (100_000, 195_999, 196_000)] == [G, G, C]
    assert chord(200_000) == G  # bar -1 is the last of the round before
    assert {chord(at) for at in range(300_000, 900_000, 4800)} == {AM}
    metre = timeline.followed(TransportEvent(300_000, 120, 8.0, 3, 4))[0]
    scene = replace(scene, timeline=metre)  # bar 2 begins there, and bars of three beats follow
    assert [chord(300_000 + 24_000 * beat) for beat in (0, 2, 3, 6)] == [F, F, G, C]


def test_held_keys_go_before_the_progression_and_the_level_scales_both():
    scene = Scene(Timeline.internal(48000, 120), progression=TURN, chords_level=0.5)
    assert np.array_equal(chord_at(scene, 0), np.isin(np.arange(12), C) * np.float32(0.5))
    held = replace(scene, chords=(1, 6))
    assert np.array_equal(np.flatnonzero(chord_at(held, 0)), [1, 6]) and chord_at(held, 0)[1] == 0.5
    assert not chord_at(replace(scene, progression=None), 0).any()


@pytest.fixture(scope="module")
def banks():
    names = ("C", "Am", "F", "G")
    slots = (
        PromptSlot(text="calm jazz with piano", key=36),
        PromptSlot(text="calm jazz with piano", key=37, chords=("Eb", "F#m7", "Bdim")),
        PromptSlot(text="calm jazz with piano", key=38, chords=()),
        PromptSlot(stop=True, key=40),
    )
    cc = {"11": ControllerRow("chords", (0.0, 1.0))}
    moving = Preset(name="moving", tempo=240, prompts=slots, cc=cc, keys="chords", chords=names)
    plain = Preset(name="plain", tempo=240, prompts=slots[2:], cc=cc, keys="chords")
    return {preset.name: preset for preset in (moving, plain)}


HELLO = SessionHello(48000, channels=1, preset="moving", seed=3)
BAR = 48_000  # samples in a bar of four at 240 a minute


def first_difference(a, b):
    different = np.flatnonzero((a != b).any(axis=0))
    return int(different[0]) if len(different) else None


def test_a_progression_is_heard_and_nothing_else_changes_without(model, banks):
    """The same words: with [] as without any, and with chords another music from the first frame on."""
    moving = render(model, banks, [Trigger(0, 0)], 0.5, HELLO).wave
    none = render(model, banks, [Trigger(0, 2)], 0.5, HELLO).wave
    plain = render(model, banks, [Trigger(0, 0)], 0.5, replace(HELLO, preset="plain")).wave
    assert np.array_equal(none, plain) and not np.array_equal(moving, none)
    let_go = render(model, banks, [Parameter(0, "chords", 0.0), Trigger(0, 0)], 0.5, HELLO).wave
    assert np.array_equal(let_go, none)


def test_the_chord_changes_with_the_bar(model, banks):
    """A progression that differs in its second chord only is the same music up to bar 1.

    The last codebooks of the few frames before it are chosen together with the first of the new bar's.
    """
    other = {"moving": msgspec.structs.replace(banks["moving"], chords=("C", "Ab", "F", "G"))}
    events = [TransportEvent(0, 240, 0.0), Trigger(0, 0)]
    a = render(model, banks, events, 1.4, HELLO).wave
    b = render(model, other, events, 1.4, HELLO).wave
    changed = first_difference(a, b)
    assert changed is not None and BAR - 5 * 960 <= changed <= BAR + 6 * 960


def test_another_pad_brings_its_progression_on_its_line(model, banks):
    song = [TransportEvent(0, 240, 0.0), Trigger(0, 0)]
    stay = render(model, banks, song, 1.5, HELLO).wave
    change = render(model, banks, [*song, Trigger(BAR // 2, 1)], 1.5, HELLO).wave
    regretted = render(model, banks, [*song, Trigger(BAR // 2, 1), Trigger(BAR // 2 + 9, 0)], 1.5, HELLO).wave
    changed = first_difference(stay, change)
    assert changed is not None and BAR <= changed <= BAR + 6 * 960
    assert np.array_equal(stay, regretted)


def test_held_keys_replace_the_progression_while_they_are_held(model, banks):
    """Holding the very chord of the bar changes nothing, as does a key pressed where it is let go again."""
    song = [TransportEvent(0, 240, 0.0), Trigger(0, 0)]
    plain = render(model, banks, song, 0.9, HELLO).wave
    same = [NoteOn(24_000, 60), NoteOn(24_000, 64), NoteOn(24_000, 67)]
    assert np.array_equal(render(model, banks, [*song, *same], 0.9, HELLO).wave, plain)
    other = [NoteOn(24_000, 61), NoteOff(30_000, 61)]
    changed = first_difference(render(model, banks, [*song, *other], 0.9, HELLO).wave, plain)
    assert changed is not None and 24_000 <= changed <= 24_000 + 6 * 960


EVENTS: list[HostEvent] = [
    TransportEvent(500, 240, 0.0),
    Trigger(2000, 0),
    Control(30000, 11, 60),
    Trigger(41000, 1),
    NoteOn(60000, 61),
    NoteOff(70000, 61),
    TransportEvent(80000, 200, 33.0, 3, 4),
    Control(90000, 11, 127),
    Trigger(100000, 2),
    TransportEvent(110000, 240, -2.0),
    Trigger(120000, 0),
]


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(slices=st.integers(3, 10), block=st.sampled_from([441, 1024]), rate=st.sampled_from([44100, 48000]))
def test_a_take_with_chords_plays_again_sample_for_sample(client, model, banks, slices, block, rate):
    """Live, with rewinds at any pace, then from its log."""
    player = client(
        engine=Engine(model, banks),
        preset="moving",
        seconds=3,
        slices=slices * block // 480 + 1,
        block=block,
        sample_rate=rate,
    )
    for event in EVENTS:
        player.run_to(event.at_sample)
        player.send(event)
    player.run_to(player.total)
    assert not player.faults and player.epoch > 3
    log = player.engine.session(1).log
    again = replay(model, banks, log.entries, 3, player.hello)
    assert np.array_equal(again.wave, player.heard) and np.abs(again.wave).max() > 0


def test_a_resumed_session_knows_its_progression(client, model, banks):
    player = client(engine=Engine(model, banks), preset="moving", seconds=1)
    player.send(Trigger(0, 1))
    player.run_to(24000)
    session = player.engine.session(1)
    back = unpack(pack(session), model, banks, ears_of(model))
    for sample in (0, 12000, 24000, 30000):
        assert back.score.schedule.scene(sample) == session.score.schedule.scene(sample)
    assert back.score.schedule.scene(24000).progression == banks["moving"].progression_of(1)
