"""The looper in simulated time: lengths and launches to the sample, seams, layers, what presses mean."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from descant.host.errors import LooperError
from descant.host.events import TransportEvent
from descant.host.loop_press import Press
from descant.host.loop_slot import FADE_SECONDS, SEAM_SECONDS
from descant.host.looper import Looper
from descant.host.transport import Timeline

rates = st.sampled_from([44100, 48000, 96000])
tempi = st.one_of(st.integers(60, 180), st.floats(60, 180))
metres = st.sampled_from([(4, 4), (3, 4), (5, 4), (7, 8), (6, 8), (5, 8), (11, 16), (2, 4)])
blocks = st.sampled_from([480, 1000, 4096, 16384])
QUICK = settings(deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # minutes to shrink
BELOW = 10 ** (-60 / 20)
BEFORE = 4096  # samples that pass before sample 0: a stream has a past when a loop begins


class Stage:
    """A looper and a signal that is its input, and what the generator plays; what is heard is kept."""

    def __init__(self, rate=48000, tempo=120.0, metre=(4, 4), signal=None, block=256, **more):
        more = {"slots": 2, "slot_seconds": 30, "pool_seconds": 60, **more}
        self.looper = Looper(rate, 1, **more)
        time = Timeline.internal(rate, tempo, *metre)
        self.looper.follow(time)
        self.time, self.rate, self.block = time, rate, block
        self.signal = signal or (lambda at: np.zeros(at.shape, np.float32))
        self.looper.position = -BEFORE
        self._heard = []

    @property
    def heard(self):
        """What was heard from sample 0 on."""
        self._heard = [np.concatenate(self._heard)]
        return self._heard[0][BEFORE:]

    def press(self, action, slot=0, at=None, **more):
        at = self.looper.position if at is None else at
        self.looper.press(Press(at, slot, action, **more))

    def run(self, until):
        while self.looper.position < until:
            at = self.looper.position
            n = min(self.block, until - at)
            positions = np.arange(at - self.looper.latency, at - self.looper.latency + n)
            heard = self.signal(positions).astype(np.float32)
            out = np.zeros((1, n), np.float32)
            made = self.signal(positions + self.looper.latency).astype(np.float32)
            self.looper.process(at, heard[None], out, made[None])
            self._heard.append(out[0])

    def status(self, slot=0):
        return self.looper.status()[slot]


def steps(wave):
    """The largest step that no smooth signal explains: second differences, in full scale."""
    return float(np.abs(np.diff(wave.astype(np.float64), 2)).max())


NOISE = np.random.default_rng(1).uniform(0.1, 1, 99_991).astype(np.float32)


def marks(at):
    """A signal in which each sample is known by its neighbours."""
    return NOISE[at % len(NOISE)]


def tone(rate, hz=220.0, level=0.5):
    return lambda at: level * np.sin(2 * np.pi * hz * at / rate + 0.3)


@settings(QUICK, max_examples=25)
@given(rates, tempi, metres, st.integers(1, 2), st.integers(-40, 40), blocks)
def test_any_press_gives_whole_bars_to_the_sample(rate, tempo, metre, bars, off_percent, block):
    """Recorded from a bar line to a bar line, whenever it was pressed; it plays on from the line, on the
    sample.
    """
    bar = Fraction(4 * metre[0], metre[1]) * 60 * rate / Fraction(tempo)
    stage = Stage(rate, tempo, metre, marks, block)
    first = stage.time.line(10, "bar")
    stage.run(first // 2)
    stage.press("press")
    stage.run(first + 10)
    assert stage.status().state == "recording"
    asked = first + math.floor(bar * (bars + Fraction(off_percent, 100)))
    stage.run(asked)
    stage.press("press", at=asked)
    end = first + math.ceil(bar * bars)
    stage.run(max(end, asked) + 3 * rate // 10)
    status = stage.status()
    assert status.state == "playing" and status.length == bars * bar
    for cycle in (1, 2):
        at = math.floor(bar + cycle * bars * bar + Fraction(1, 2))  # where this cycle starts, exactly rounded
        assert at == stage.time.line(at - 1, "bar")
        clear = max(at, asked) + round(FADE_SECONDS * rate) + block
        stage.run(clear + 2000)
        np.testing.assert_array_equal(stage.heard[clear:][:2000], marks(first + clear - at + np.arange(2000)))


@settings(QUICK, max_examples=25)
@given(rates, tempi, metres, st.sampled_from(["beat", "bar", "2 bars", "off"]), st.integers(0, 10**6), blocks)
def test_launches_are_on_the_line(rate, tempo, metre, quantise, when, block):
    stage = Stage(rate, tempo, metre, block=block)
    loop = np.arange(1, 2 * rate + 1, dtype=np.float32)[None]
    stage.looper.slots[0].load(loop, Fraction(2 * rate), Fraction(0))
    stage.run(when % (3 * rate))
    at = stage.looper.position
    line = stage.time.line(at, quantise)
    stage.press("play", quantise=quantise)
    stage.run(line + rate // 4)
    fade = round(FADE_SECONDS * rate)
    assert not stage.heard[:line].any()
    assert stage.heard[line] > 0
    np.testing.assert_array_equal(stage.heard[line + fade :], loop[0, fade:][: rate // 4 - fade])


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_lines_and_cycles_are_on_the_sample_at_every_tempo_and_in_odd_metres(rate):
    """60 to 180 beats a minute, one by one: the n-th bar begins at the exact place, rounded once, and so does
    the n-th cycle of a loop of one bar, an hour on, too.
    """
    looper = Looper(rate, 1, 1, slot_seconds=12, pool_seconds=13, past_seconds=1)
    for tempo in range(60, 181):
        for beats, unit in ((4, 4), (3, 4), (5, 4), (7, 8), (11, 16)):
            time, bar = (
                Timeline.internal(rate, tempo, beats, unit),
                Fraction(240 * beats * rate, unit * tempo),
            )
            slot = looper.slots[0]
            slot.load(np.zeros((1, 1), np.float32), bar, Fraction(0))
            for number in (1, 2, 7, 1000, 3600 * rate // math.ceil(bar)):
                exact, after = (math.floor(bar * k + Fraction(1, 2)) for k in (number, number + 1))
                assert time.line(exact - 1, "bar") == time.line(exact, "bar") == exact
                assert slot.cycle_at(exact) == (exact, after)
                assert slot.cycle_at(after - 1) == (exact, after)


@settings(QUICK, max_examples=20)
@given(rates, st.floats(60, 180), metres, st.floats(80, 2000), st.booleans(), st.booleans())
def test_seams_are_no_steps(rate, tempo, metre, hz, backwards, half):
    """A tone that does not fit the bar: where cycles meet there is no step above -60 dBFS beside the tone's
    own.
    """
    stage = Stage(rate, tempo, metre, signal=tone(rate, hz), block=4096)
    bar = Fraction(240 * metre[0] * rate) / (metre[1] * Fraction(tempo))
    stage.press("record")
    stage.run(math.floor(bar) - 100)
    stage.press("press")
    stage.run(math.floor(bar * 2))
    if backwards:
        stage.press("reverse")
    if half:
        stage.press("half")
    stage.run(math.floor(bar * 5) + 50)
    assert stage.status().reversed == backwards and stage.status().half == half
    assert np.abs(stage.heard[-rate // 2 :]).max() > 0.45
    assert steps(stage.heard) < 0.5 * (2 * math.pi * hz / rate) ** 2 * 1.01 + BELOW


ANYTHING = st.sampled_from(
    [
        "press",
        "undo",
        "redo",
        "mute",
        "solo",
        "stop",
        "play",
        "overdub",
        "replace",
        "multiply",
        "reverse",
        "half",
        "clear",
        "stop_all",
        "record",
        "capture",
    ]
)


@settings(QUICK, max_examples=40)
@given(
    st.lists(st.tuples(ANYTHING, st.integers(1, 30_000), st.integers(0, 1)), max_size=25),
    st.sampled_from([0, 700]),
)
def test_whatever_is_pressed_there_is_no_step(presses, latency):
    no_step(presses, latency)


@settings(QUICK, max_examples=40)
@given(
    st.lists(
        st.tuples(ANYTHING, st.integers(1, 3000), st.integers(0, 4000), st.sampled_from(["off", "beat", ""])),
        max_size=25,
    ),
    st.integers(0, 3000),
    st.integers(64, 1500),
)
def test_nor_is_there_one_where_presses_come_late(presses, latency, block):
    """Told up to 83 ms after they were done, of a loop that is there, at any latency and block."""
    stage = Stage(48000, 180, (2, 4), tone(48000), block, latency=latency)
    stage.run(1000)
    for action, wait, late, quantise in [("record", 9000, 0, "off"), ("press", 3000, 0, "off"), *presses]:
        at = stage.looper.position - late
        stage.press(action.replace("_", " "), at=at, quantise=quantise, value=float(action == "capture"))
        stage.run(stage.looper.position + wait)
    is_without_a_step(stage)


LOOP = [("record", 9000, 0), ("press", 5001, 0)]
OVERDUB = [*LOOP, ("overdub", 6000, 0)]
ONCE_CLICKED = {
    "played while its past is fetched": [("press", 918, 1), ("record", 1, 0), ("play", 60, 0)],
    "closed while its past is fetched": [
        ("record", 1, 0), ("redo", 918, 0), ("overdub", 63, 0), ("stop", 3, 0),
    ],
    "stopped as it closed": [("record", 1399, 0), ("record", 27, 0), ("stop", 3, 0)],
    "cleared as it closed": [("record", 1558, 0), ("press", 3, 0), ("clear", 1, 0), ("undo", 1, 0)],
    "undone as it closed": [("record", 9000, 0), ("press", 99, 0), ("undo", 600, 0), ("redo", 1, 0)],
    "halved as it came up": [("half", 24, 0), ("record", 3708, 0), ("press", 75, 0), ("half", 3, 0)],
    "overdub undone": [*OVERDUB, ("undo", 900, 0), ("redo", 1, 0)],
    "overdub cleared": [*OVERDUB, ("clear", 900, 0), ("undo", 1, 0)],
    "overdub recorded over": [*OVERDUB, ("record", 900, 0), ("undo", 900, 0), ("play", 1, 0)],
    "overdub undone as it ended": [*OVERDUB, ("overdub", 99, 0), ("undo", 1900, 0), ("redo", 1, 0)],
    "overdub ended as the loop was halved": [
        ("press", 1, 0), ("stop", 18593, 1), ("half", 18930, 0), ("press", 1, 0), ("overdub", 1, 0),
        ("record", 28574, 0), ("undo", 2556, 0), ("play", 1, 0), ("reverse", 6813, 0),
    ],
    "played elsewhere as it stopped": [*LOOP, ("stop", 72, 0), ("play", 3, 0)],
    "muted for a moment": [*LOOP, ("mute", 70, 0), ("mute", 1, 0)],
}  # fmt: skip


@pytest.mark.parametrize("latency", [0, 700])
@pytest.mark.parametrize("what", ONCE_CLICKED)
def test_what_once_clicked_clicks_no_more(what, latency):
    no_step(ONCE_CLICKED[what], latency)


def no_step(presses, latency):
    stage = Stage(48000, 180, (2, 4), tone(48000), 300, latency=latency)
    stage.run(1000)
    for action, wait, slot in presses:
        quantise = "off" if wait % 3 == 0 else ""
        stage.press(action.replace("_", " "), slot, quantise=quantise, value=float(action == "capture"))
        stage.run(stage.looper.position + wait)
    is_without_a_step(stage)


def is_without_a_step(stage):
    stage.run(stage.looper.position + 20_000)
    loudest = max(1.0, float(np.abs(stage.heard).max()))  # overdubs add up, and so do their slopes
    assert steps(stage.heard) < loudest * (2 * (2 * math.pi * 220 / 48000) ** 2 + 2 * BELOW)
    assert 0 <= stage.looper._pool.free <= len(stage.looper._pool.memory)


@pytest.mark.parametrize("kind", ["overdub", "replace"])
def test_an_overdub_that_is_told_late_to_end_makes_no_step(kind):
    stage = Stage(48000, 180, (2, 4), tone(48000), 300)
    stage.run(1000)
    for action, wait in (("record", 9000), ("press", 6000), (kind, 6000)):
        stage.press(action, quantise="off")
        stage.run(stage.looper.position + wait)
    stage.press("play", at=stage.looper.position - 400, quantise="off")
    is_without_a_step(stage)


def test_a_gain_that_moves_makes_no_step_in_small_blocks_either():
    stage = Stage(48000, 180, (2, 4), tone(48000), 16)
    stage.run(1000)
    stage.press("record", quantise="off")
    stage.run(9000)
    stage.press("press", quantise="off")
    for value in (0.1, 1.0, 0.0, 2.0, 1.0):
        stage.run(stage.looper.position + 100)
        stage.press("gain", value=value)
    is_without_a_step(stage)


def test_what_waits_is_done_in_the_order_it_was_pressed():
    """One version going over into another holds back what is pressed meanwhile, and keeps it in order."""
    stage = Stage(48000, 180, (2, 4), tone(48000), 16)
    stage.looper.slots[0].load(np.ones((1, 32_000), np.float32), Fraction(32_000), Fraction(0))
    stage.press("play", quantise="off")
    stage.run(10_000)
    for action in ("half", "clear", "undo", "redo", "undo"):
        stage.press(action, quantise="off")
        stage.run(stage.looper.position + 16)
    stage.run(stage.looper.position + 5000)
    status = stage.status()
    assert status.half and status.state == "playing" and (status.undos, status.redos) == (2, 1)


@pytest.mark.parametrize("action", ["reverse", "half", "overdub"])
def test_what_is_pressed_as_an_overdub_ends_is_done_once_it_has_ended(action):
    stage = Stage(48000, 180, (2, 4), tone(48000), 300, latency=700)
    stage.run(1000)
    for press, wait in (
        ("record", 9000),
        ("press", 6000),
        ("overdub", 6000),
        ("overdub", 50),
        (action, 3000),
    ):
        stage.press(press, quantise="off")
        stage.run(stage.looper.position + wait)
    status = stage.status()
    assert (status.state == "overdubbing", status.reversed, status.half).count(True) == 1
    assert status.undos == 3
    is_without_a_step(stage)


def test_a_capture_that_is_undone_at_once_is_whole_when_it_comes_back():
    stage = Stage(48000, 180, (2, 4), tone(48000), 300)
    stage.run(70_000)
    for action, wait in (("capture", 300), ("undo", 300), ("redo", 9000), ("play", 70_000)):
        stage.press(action, quantise="off", value=2.0 * (action == "capture"))
        stage.run(stage.looper.position + wait)
    assert stage.status().length == 64_000
    is_without_a_step(stage)


@pytest.mark.parametrize("then", ["clear", "undo"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_loop_that_is_gone_is_not_multiplied(then, when):
    stage = Stage(48000, 180, (2, 4), tone(48000), 300)
    stage.looper.slots[0].load(np.ones((1, 32_000), np.float32), Fraction(32_000), Fraction(0))
    stage.press("play", quantise="off")
    stage.run(10_000)
    for action in (then, "multiply") if when == "before" else ("multiply", then):
        stage.press(action)
        stage.run(stage.looper.position + 300)
    stage.run(stage.looper.position + 100_000)
    assert stage.status().state == "empty" and not stage.heard[-1000:].any()


def test_the_loop_stays_on_the_bars_for_an_hour():
    """130 bpm at 44.1 kHz has no whole number of samples in a bar: cycles differ by a sample, and never
    drift.
    """
    stage = Stage(44100, 130.0)
    length = Fraction(4 * 60 * 44100, 130)
    voice = stage.looper.slots[0]
    voice.load(np.ones((1, math.ceil(length)), np.float32), length, Fraction(0))
    hour = 3600 * 44100
    start, end = voice.cycle_at(hour)
    assert start == stage.time.line(start, "bar") and end == stage.time.line(end, "bar")
    assert {e - s for s, e in (voice.cycle_at(i * 40_000) for i in range(50))} == {81415, 81416}


def test_overdub_adds_replace_replaces_and_undo_goes_back_sample_for_sample():
    level = {"now": 0.25}
    stage = Stage(signal=lambda at: np.full(at.shape, level["now"]))
    stage.press("record")
    stage.run(95_000)
    stage.press("press")
    stage.run(96_000 * 2)
    level["now"] = 0.125
    stage.press("overdub")
    stage.run(96_000 * 3)
    stage.press("overdub")
    stage.run(96_000 * 4)
    middle = slice(96_000 * 3 + 2000, 96_000 * 4 - 2000)
    np.testing.assert_allclose(stage.heard[middle], 0.375)
    stage.press("replace")
    stage.run(96_000 * 4 + 48_000)
    stage.press("replace")
    stage.run(96_000 * 6)
    last = stage.heard[96_000 * 5 :]
    np.testing.assert_allclose(last[2000:46_000], 0.125)
    np.testing.assert_allclose(last[50_000:94_000], 0.375)
    stage.press("undo")
    stage.press("undo")
    stage.run(96_000 * 7)
    np.testing.assert_array_equal(stage.heard[96_000 * 6 + 400 :], np.float32(0.25))
    stage.press("redo")
    stage.run(96_000 * 8)
    np.testing.assert_allclose(stage.heard[96_000 * 7 + 2000 : 96_000 * 8 - 2000], 0.375)


def test_multiply_makes_a_loop_of_whole_loops():
    level = {"now": 0.25}
    stage = Stage(signal=lambda at: np.full(at.shape, level["now"]))
    stage.press("record")
    stage.run(96_000)
    stage.press("press")
    stage.run(96_000 * 2 - 10)
    level["now"] = 0.0
    stage.press("multiply")
    stage.run(96_000 * 4)
    level["now"] = 0.5
    stage.run(96_000 * 5 - 500)
    stage.press("multiply")
    stage.run(96_000 * 5)
    level["now"] = 0.0
    stage.run(96_000 * 8)
    assert stage.status().length == 3 * 96_000
    heard = stage.heard[96_000 * 5 : 96_000 * 8].reshape(3, -1)[:, 1000:-1000]
    np.testing.assert_allclose(heard, [[0.25], [0.25], [0.75]] * np.ones((1, heard.shape[1])))
    stage.press("undo")
    stage.run(96_000 * 8 + 1000)
    assert stage.status().length == 96_000


def test_fifty_levels_of_undo():
    """Short loops, so that the memory suffices: fifty overdubs come off and go on again, one by one."""
    stage = Stage(signal=lambda at: np.full(at.shape, 0.01), pool_seconds=60)
    stage.looper.follow(Timeline.internal(48000, 180, 1, 4))
    bar = 16_000
    stage.press("record")
    stage.run(bar)
    stage.press("press")
    for count in range(2, 54):
        stage.run(bar * count)
        stage.press("overdub")
    stage.run(bar * 54)
    stage.press("overdub")
    stage.run(bar * 56)
    undos = stage.status().undos
    assert undos == 28  # 26 passes (a press in, a press out), the recording, and the press just now
    for count in range(27, 60):
        stage.press("overdub")
        stage.run(bar * (2 * count + 3))
        stage.press("overdub")
        stage.run(bar * (2 * count + 4))
    assert stage.status().undos == 50
    stage.press("overdub")  # out
    stage.run(stage.looper.position + 2 * bar)
    level = stage.heard[-8000]
    for _ in range(60):
        stage.press("undo")
        stage.run(stage.looper.position + bar)
    assert stage.status().undos == 0 and stage.status().redos == 50
    for _ in range(60):
        stage.press("redo")
        stage.run(stage.looper.position + bar)
    assert stage.status().undos == 50
    assert stage.heard[-8000] == level


def test_clear_is_undone_and_stop_all_stops_on_the_line():
    stage = Stage(signal=lambda at: np.full(at.shape, 0.25))
    stage.press("record", 0)
    stage.press("record", 1)
    stage.run(95_990)
    stage.press("press", 0)
    stage.press("press", 1)
    stage.run(150_000)
    assert [s.state for s in stage.looper.status()] == ["playing", "playing"]
    stage.press("clear", 1)
    stage.run(160_000)
    assert stage.status(1).state == "empty"
    stage.press("undo", 1)
    stage.run(170_000)
    assert stage.status(1).state == "playing"
    stage.press("stop all")
    stage.run(200_000)
    assert stage.heard[191_999] == 0.5 and not stage.heard[192_000 + 144 :].any()
    assert [s.state for s in stage.looper.status()] == ["stopped", "stopped"]


def test_solo_and_mute_and_gain():
    stage = Stage(quantise="off")
    for index, value in enumerate((0.25, 0.5)):
        stage.looper.slots[index].load(np.full((1, 48_000), value, np.float32), Fraction(48_000), Fraction(0),
                                       np.full((1, 480), value, np.float32))  # fmt: skip
        stage.press("play", index)
    for action, slot, expected in (("mute", 0, 0.5), ("mute", 0, 0.75), ("solo", 0, 0.25), ("solo", 1, 0.75)):
        stage.press(action, slot)
        stage.run(stage.looper.position + 10_000)
        np.testing.assert_allclose(stage.heard[-5000:], expected)
    stage.press("gain", 1, value=0.0)
    stage.run(stage.looper.position + 10_000)
    np.testing.assert_allclose(stage.heard[-5000:], 0.25)


def test_latency_puts_the_recording_where_it_was_played():
    """What was played on the beat comes back in 1,000 samples late; in the loop it is on the beat."""
    click = lambda at: (at % 24_000 == 0) * 0.9  # noqa: E731
    stage = Stage(signal=click, latency=1000)
    stage.press("record")
    stage.run(96_000)
    stage.press("press")
    stage.run(96_000 * 3)
    places = 96_000 * 2 + np.flatnonzero(stage.heard[96_000 * 2 :] > 0.4)
    assert [int(p) for p in places] == [192_000 + k * 24_000 for k in range(4)]


def test_capture_takes_what_the_generator_just_played():
    stage = Stage()
    out, made = np.zeros((1, 256), np.float32), np.zeros((1, 256), np.float32)
    position = 0
    while position < 96_000 * 4 + 2560:
        made[0] = np.arange(position, position + 256) % 96_000
        stage.looper.process(position, out * 0, out * 0, made)
        position += 256
    stage.press("capture", at=position, value=2)
    stage.run(96_000 * 7)
    assert stage.status().length == 2 * 96_000 and stage.status().state == "playing"
    np.testing.assert_array_equal(stage.heard[-50_000:-40_000], np.arange(46_000, 56_000))
    stage.press("capture", 1, value=60)
    stage.run(96_000 * 7 + 512)
    assert stage.looper.notes[-1][0].startswith("The generator has not played 60 bars")


def test_memory_that_runs_out_is_said_and_loses_nothing():
    stage = Stage(signal=lambda at: np.full(at.shape, 0.25), pool_seconds=3, slot_seconds=10)
    stage.press("record")
    stage.run(96_000)
    stage.press("press")
    stage.run(100_000)
    stage.press("record", 1)
    stage.run(96_000 * 4)
    assert stage.looper.notes[-1][0] == "Loop 2 ran out of memory."
    assert [s.state for s in stage.looper.status()] == ["playing", "empty"]
    np.testing.assert_array_equal(stage.heard[-1000:], np.float32(0.25))


def test_what_cannot_be_pressed_is_refused_by_name():
    looper = Looper(48000, 1, pool_seconds=1, past_seconds=1)
    for press, words in (
        (Press(0, 9), "no loop slot 9"),
        (Press(0, 0, "explode"), "no action 'explode'"),
        (Press(0, 0, "play", "3 beats"), "'3 beats'"),
        (Press(0, 0, "gain", value=7), "gain of 7"),
    ):
        with pytest.raises(LooperError, match=words):
            looper.press(press)
    with pytest.raises(LooperError, match="44100 Hz"):
        looper.follow(Timeline.internal(44100, 120))


def test_a_new_tempo_moves_the_lines_and_not_the_loops():
    stage = Stage(signal=lambda at: np.full(at.shape, 0.25))
    stage.press("record")
    stage.run(96_000)
    stage.press("press")
    stage.run(100_000)
    time, _ = stage.time.followed(TransportEvent(100_000, 90.0, float(stage.time.beat_at(100_000))))
    stage.looper.follow(time)
    stage.press("stop")
    line = time.line(stage.looper.position, "bar")
    stage.run(line + 1000)
    assert stage.status().length == 96_000
    assert stage.heard[line - 1] == 0.25 and not stage.heard[line + 144 :].any()
    assert SEAM_SECONDS > FADE_SECONDS
