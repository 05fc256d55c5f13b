"""What controllers mean: pads in their modes, knobs in their encodings, learning, tempo from outside."""

import tomllib
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descant.host.beat_clock import PULSES, ClockIn, ClockOut, TapTempo, pulses
from descant.host.controller import Binding, Controller, Do, Profile, checked_profile, light
from descant.host.errors import DeviceError
from descant.host.learning import Learner
from descant.host.midi_words import Midi, read_midi, write_midi
from descant.host.transport import Timeline

numbers = st.integers(0, 127)
messages = st.one_of(
    st.builds(Midi, st.just("note_on"), st.integers(0, 15), numbers, st.integers(1, 127)),
    st.builds(Midi, st.sampled_from(["note_off", "control"]), st.integers(0, 15), numbers, numbers),
    st.builds(Midi, st.just("program"), st.integers(0, 15), numbers),
    st.builds(Midi, st.just("bend"), st.integers(0, 15), st.just(0), st.integers(-8192, 8191)),
    st.builds(Midi, st.just("position"), value=st.integers(0, 16383)),
    st.builds(Midi, st.sampled_from(["clock", "start", "continue", "stop"])),
)


def on(key, velocity=127, channel=0):
    return Midi("note_on", channel, key, velocity)


def off(key, channel=0):
    return Midi("note_off", channel, key)


def cc(number, value, channel=0):
    return Midi("control", channel, number, value)


def controller(*bindings, values=None):
    return Controller(Profile("test", bindings=bindings), {} if values is None else values)


@given(messages)
def test_every_message_survives_its_bytes(midi):
    assert read_midi(write_midi(midi)) == midi


@given(st.binary(max_size=4))
def test_any_bytes_are_a_message_or_none(data):
    midi = read_midi(data)
    assert midi is None or read_midi(write_midi(midi)) == midi


def test_pads_in_their_four_modes():
    ways = controller(*(Binding(f"note {36 + i}", "slot 1", mode=mode)
                        for i, mode in enumerate(("trigger", "gate", "toggle", "retrigger"))))  # fmt: skip
    both = lambda key: [d.down for m in (on(key), off(key)) for d in ways.take(m)]  # noqa: E731
    assert both(36) == [True] and both(36) == [True]
    assert both(37) == [True, False]
    assert both(38) == [True] and both(38) == [False]
    assert both(39) == [True]
    assert ways.take(on(36, 64)) == [Do("slot 1", True, 64 / 127)]


def test_what_nobody_bound_passes_on():
    midi = on(60)
    assert controller(Binding("note 60", "panic", channel=2)).take(midi) == [midi]


def test_a_knob_picks_up_the_value_that_holds():
    values = {"guidance": 4.5}
    knob = controller(Binding("cc 1", "parameter guidance"), values=values)
    assert knob.take(cc(1, 0)) == [] and knob.take(cc(1, 30)) == []
    assert knob.take(cc(1, 70))[0].value == pytest.approx(1 + 7 * 70 / 127)  # it passed 4.5
    assert knob.take(cc(1, 127))[0].value == 8.0
    values["guidance"] = 2.0  # somebody else moved it
    assert knob.take(cc(1, 126)) == []
    assert controller(Binding("cc 1", "parameter guidance", pick_up=False), values={"guidance": 8.0}).take(
        cc(1, 0)
    ) == [Do("parameter guidance", True, 1.0)]


@given(st.floats(1.0, 8.0), st.lists(numbers, min_size=2, max_size=30), st.booleans())
def test_a_scaled_knob_never_leaps_goes_with_the_hand_and_arrives_at_its_ends(held, places, inverted):
    values = {"guidance": held}
    knob = controller(Binding("cc 1", "parameter guidance", scaled=True, inverted=inverted), values=values)
    assert knob.take(cc(1, places[0])) == [] or values["guidance"] == pytest.approx(held)  # where it stands
    for before, place in pairwise(places):
        was = values["guidance"]
        knob.take(cc(1, place))
        step = (values["guidance"] - was) * (-1 if inverted else 1)
        assert 1.0 <= values["guidance"] <= 8.0
        assert step * (place - before) >= 0
        if place in (0, 127) and place != before:
            assert values["guidance"] == (1.0 if (place == 0) != inverted else 8.0)
    knob.take(cc(1, 0))
    knob.take(cc(1, 127))
    assert knob.take(cc(1, 100))[0].value == pytest.approx(1 + 7 * ((27 if inverted else 100) / 127))


def test_a_clock_s_start_and_stop_may_be_bound():
    knob = controller(Binding("stop", "loop 1 stop all"), Binding("start", "slot 1", channel=3))
    assert knob.take(Midi("stop")) == [Do("loop 1 stop all")] == knob.take(Midi("stop"))
    assert knob.take(Midi("start")) == [Do("slot 1")]
    assert knob.take(Midi("continue")) == []  # a preset knows of no such thing


ENDLESS = [("two's complement", 3, 125), ("binary offset", 67, 61), ("sign magnitude", 3, 67)]


@pytest.mark.parametrize(("encoding", "up", "down"), ENDLESS)
def test_endless_knobs(encoding, up, down):
    values = {"melody": 0.5}
    knob = controller(Binding("cc 9", "parameter melody", encoding=encoding), values=values)
    assert knob.take(cc(9, up))[0].value == pytest.approx(0.5 + 3 / 127)
    assert knob.take(cc(9, down))[0].value == pytest.approx(0.5)
    for _ in range(100):
        knob.take(cc(9, up))
    assert values["melody"] == 1.0
    inverted = controller(
        Binding("cc 9", "parameter melody", encoding=encoding, inverted=True), values=values
    )
    assert inverted.take(cc(9, up))[0].value < 1.0


def test_ranges_inversion_and_the_wheel():
    free = {"pick_up": False}
    knob = controller(Binding("cc 1", "parameter guidance", range=(2.0, 4.0), inverted=True, **free),
                      Binding("bend", "parameter melody"))  # fmt: skip
    assert [knob.take(cc(1, value))[0].value for value in (0, 127)] == [4.0, 2.0]
    assert [knob.take(Midi("bend", 0, 0, v))[0].value for v in (-8192, 8191)] == [0.0, 1.0]


def test_programs_of_other_banks_are_not_the_presets():
    plain = controller()
    assert plain.take(Midi("program", 0, 5)) == [Midi("program", 0, 5)]
    plain.take(cc(0, 3))
    assert plain.take(Midi("program", 0, 5)) == []


def test_unplugged_in_mid_note_everything_held_ends():
    pads = controller(Binding("note 36", "loop 1 press", mode="gate"))
    pads.take(on(36))
    pads.take(on(70))
    assert pads.let_go() == [Do("loop 1 press", False, 1.0), off(70)]
    assert pads.let_go() == []


def test_learning_tells_what_it_replaces_and_undoes_it():
    learner = Learner(Profile("mine", bindings=(Binding("note 36", "slot 1"),)))
    learner.arm("loop 2 press")
    assert learner.hear(off(36)) is None
    learnt = learner.hear(on(36, channel=3))
    assert learnt is not None
    new, gone = learnt
    assert (new.on, new.channel, new.do) == ("note 36", 4, "loop 2 press")
    assert gone == (Binding("note 36", "slot 1"),)
    learner.arm("panic")
    learner.cancel()
    assert learner.hear(on(40)) is None
    assert learner.undo() and learner.profile.bindings == (Binding("note 36", "slot 1"),)
    assert not learner.undo()
    with pytest.raises(ValueError, match='use "slot N"'):
        learner.arm("dance")


def test_a_profile_is_a_plain_file_and_its_errors_name_what_is_wrong():
    text = """
    name = "pads"
    port = "MPD"
    lights = { playing = 21, error = 5 }
    [[bindings]]
    on = "note 36"
    do = "loop 1 press"
    channel = 10
    """
    profile = checked_profile(tomllib.loads(text), "pads.toml")
    assert light(profile, profile.bindings[0], "playing") == Midi("note_on", 9, 36, 21)
    assert light(profile, profile.bindings[0], "empty") is None
    for wrong, words in (
        ('on = "pad 3"', "note 0"),
        ('on = "cc 1"\ndo = "parameter loudness"', "parameter NAME"),
        ('on = "cc 1"\ndo = "panic"\nshape = 3', "shape"),
        ('on="cc 200"', "note 0"),
        ('on="stop 3"', "continue"),
        ('on="stop"\ndo = "parameter guidance"', "a moment"),
        ('on="stop"\ndo = "panic"\nmode = "gate"', "a moment"),
    ):
        with pytest.raises(DeviceError, match=words):
            body = wrong if "do" in wrong else wrong + '\ndo = "panic"'
            checked_profile(tomllib.loads(f'name = "x"\n[[bindings]]\n{body}'), "x.toml")


def test_taps_and_a_clock_give_the_tempo_and_the_place():
    taps = TapTempo()
    assert [taps.tap(t) for t in (1.0, 1.5)] == [None, None]
    assert taps.tap(2.0) == pytest.approx(120)
    assert taps.tap(9.0) is None  # much later: a new tempo
    clock = ClockIn()
    clock.take(Midi("position", value=16), 0.0)
    clock.take(Midi("continue"), 0.0)
    for pulse in range(97):
        clock.take(Midi("clock"), 0.1 + pulse * 60 / (90 * PULSES))
    assert clock.tempo == pytest.approx(90) and clock.beat == 8 and clock.playing
    clock.take(Midi("stop"), 9.0)
    clock.take(Midi("clock"), 9.1)
    assert clock.beat == 8 and not clock.playing
    clock.take(Midi("start"), 9.2)
    assert clock.beat == 0


@given(st.sampled_from([44100, 48000]), st.integers(60, 180), st.lists(st.integers(1, 5000), max_size=30))
def test_clock_out_ticks_twenty_four_a_beat_however_it_is_asked(rate, tempo, blocks):
    time, at, found = Timeline.internal(rate, tempo), 0, []
    for n in blocks:
        found += pulses(time, at, at + n)
        at += n
    exact = Fraction(60 * rate, tempo * PULSES)
    expected = [int(exact * k + Fraction(1, 2)) for k in range(int(at / exact) + 2)]
    assert found == [tick for tick in expected if tick < at]


def test_the_clock_out_starts_on_a_bar_goes_on_with_its_place_and_stops():
    time, clock = Timeline.internal(48000, 120, 3, 4), ClockOut()
    tick, bar = 1000, 72_000

    def said(start, end):
        return [(at, midi) for at, midi in clock.between(time, start, end) if midi.kind != "clock"]

    assert said(1, bar) == [] and not clock.playing
    assert said(bar, 2 * bar) == [(bar, Midi("start"))] and clock.playing
    clock.want("stop")
    assert said(2 * bar, 2 * bar + 10 * tick) == [(2 * bar, Midi("stop"))]
    clock.want("continue")
    at = 2 * bar + 12 * tick  # the next sixteenth: place 14 of the song that began a bar in
    assert said(2 * bar + 10 * tick, 3 * bar) == [(at, Midi("position", value=14)), (at, Midi("continue"))]
    clock.want("start")
    assert said(3 * bar + 1, 5 * bar) == [(4 * bar, Midi("stop")), (4 * bar, Midi("start"))]
    ticks = [at for at, midi in clock.between(time, 5 * bar, 6 * bar) if midi.kind == "clock"]
    assert ticks == list(range(5 * bar, 6 * bar, tick))
    listener = ClockIn()  # what goes out is what we would follow
    other = ClockOut()
    for at, midi in other.between(time, 1, 4 * bar + 1):
        listener.take(midi, at / 48000)
    assert listener.playing and listener.beat == 9 and listener.tempo == pytest.approx(120)
