"""The effect: its input passes at once, and becomes melody clips that begin and end on the DAW's bars."""

from __future__ import annotations

import numpy as np
import pytest

from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import ipc_endpoint
from tests.plugin_native import rig
from tests.plugin_native.click_host import bar_lines
from tests.plugin_native.engine_host import EngineHost
from tests.plugin_native.rig import NativeDaw, Song
from tests.plugin_native.serving import Serving
from tests.plugin_native.test_core_native import Stage, midi, until

IDLE, ARMED, RECORDING, SENDING, TAKEN, REFUSED = range(6)


def hum(first: int, n: int, rate: int = 48000) -> np.ndarray:
    """[n] float32: a voice that tells its place: what it is at sample `first` and later."""
    t = (first + np.arange(n)) / rate
    return (0.3 * np.sin(2 * np.pi * 220 * t) + 0.1 * np.sin(2 * np.pi * 440.5 * t)).astype(np.float32)


class Singer(Stage):
    """A DAW whose track is hummed into, in step with its transport."""

    def __init__(self, host, daw: NativeDaw, tempo: float = 120.0, metre=(4, 4)) -> None:
        super().__init__(host, daw)
        self.tempo, self.metre, self.frame, self.sung = tempo, metre, 0, 0
        self.rate = int(daw.rate)

    def sing(self, until_frame: int, block: int = 512, events=None, playing: bool = True) -> None:
        """Play on to a frame of the song."""
        while self.frame < until_frame:
            n = min(block, until_frame - self.frame)
            beat = self.frame * self.tempo / 60 / self.rate
            song = Song(playing, self.frame, beat, self.tempo, self.metre)
            self.daw.process(n, song, events, given=np.stack([hum(self.sung, n, self.rate)] * 2))
            events = None
            self.frame, self.sung = self.frame + n, self.sung + n
            self.host.serve(0)
            self.host.beat()

    def clips(self, count: int = 1) -> list[tuple[int, np.ndarray]]:
        """(at_sample, wave [n]) of the clips that have come whole."""
        whole = lambda: [m for m in self.host.of(wire.Capture) if m.last]  # noqa: E731
        until(lambda: len(whole()) >= count, self.turn)
        found = []
        for end in whole():
            pieces = [m for m in self.host.of(wire.Capture) if m.clip == end.clip]
            assert [m.index for m in pieces] == list(range(len(pieces)))
            assert {(m.sample_rate, m.role, m.at_sample) for m in pieces} == {
                (self.rate, "melody", pieces[0].at_sample)
            }
            found.append((pieces[0].at_sample, np.concatenate([m.wave[0] for m in pieces])))
        return found


@pytest.mark.parametrize("block", [1, 64, 1000, 5000])
def test_the_input_passes_at_once_and_whole(host, daw, block):
    effect = daw(inputs=2)
    effect.set(rig.DRY, 0)
    effect.process(2000, given=np.zeros((2, 2000), np.float32))  # the knob has come to rest
    given = np.random.default_rng(3).uniform(-1, 1, (2, block)).astype(np.float32)
    np.testing.assert_array_equal(effect.process(block, given=given), given)
    impulse = np.zeros((2, block), np.float32)
    impulse[:, block // 2] = 1
    np.testing.assert_array_equal(effect.process(block, given=impulse), impulse)


def test_an_input_of_no_numbers_harms_nothing(host, daw):
    effect = daw(inputs=2)
    effect.set(rig.DRY, 0)
    foul = np.full((2, 512), np.nan, np.float32)
    foul[1] = np.inf
    assert np.isfinite(effect.process(512, given=foul)).all()


@pytest.mark.parametrize(
    ("rate", "tempo", "metre"),
    [(44100, 97.3, (4, 4)), (48000, 120.0, (3, 4)), (96000, 180.0, (7, 8)), (48000, 60.0, (4, 4))],
)
@pytest.mark.parametrize("count_in", [0, 1])
def test_an_armed_clip_is_whole_bars_of_the_daw(host, daw, rate, tempo, metre, count_in):
    singer = Singer(host, daw(rate=rate, inputs=2), tempo, metre)
    singer.live()
    singer.daw.set(rig.COUNT_IN, count_in)
    lines = bar_lines(rate, tempo, metre, 1, 30 * rate)
    singer.sing(lines[0] - 1000)
    singer.daw.set(rig.ARM, 1)
    begin, end = lines[count_in], lines[count_in + 2]
    singer.sing(end - 3000)
    singer.daw.set(rig.ARM, 0)
    singer.sing(end + 3000)
    ((at, wave),) = singer.clips()
    assert abs(at - begin) <= 1 and abs(at + len(wave) - end) <= 1
    np.testing.assert_array_equal(wave, hum(at, len(wave), rate))


def test_a_held_key_arms_and_is_no_pad(host, daw):
    singer = Singer(host, daw(inputs=2))
    singer.live()
    singer.daw.set(rig.ARM_NOTE, 61)
    singer.sing(50_000, events=[midi(0x90, 60, 100)])
    singer.sing(50_001 + 96_000)
    singer.sing(200_000, events=[midi(0x80, 60, 0)])
    ((at, wave),) = singer.clips()
    assert (at, len(wave)) == (0, 192_000)
    assert not host.of(wire.NoteOn)


def test_armed_while_stopped_it_waits_for_the_song(host, daw):
    singer = Singer(host, daw(inputs=2))
    singer.live()
    singer.daw.set(rig.ARM, 1)
    for _ in range(20):
        singer.daw.process(512, Song(False, 0, 0.0), given=np.zeros((2, 512), np.float32))
    assert singer.daw.report["recording"] == ARMED
    singer.sing(100_000)
    assert singer.daw.report["recording"] == RECORDING
    singer.daw.process(512, Song(False, singer.frame, 0.0), given=np.zeros((2, 512), np.float32))
    ((at, wave),) = singer.clips()
    assert (at, len(wave)) == (0, 100_000), "a song that stops ends it"


def test_the_last_minute_is_there_by_one_press(host, daw):
    singer = Singer(host, daw(inputs=2))
    singer.live()
    singer.sing(70 * 48000 + 12_345, block=8192)
    singer.daw.set(rig.TAKE_LAST, 1)
    singer.sing(singer.frame + 512)
    ((at, wave),) = singer.clips()
    assert at % 96_000 == 0 and 58 * 48000 <= len(wave) <= 60 * 48000
    assert at + len(wave) == 70 * 48000 + 12_345
    np.testing.assert_array_equal(wave, hum(at, len(wave)))


def test_without_bars_it_begins_and_ends_at_once(host, daw):
    singer = Singer(host, daw(inputs=2))
    singer.live()
    singer.daw.set(rig.ARM, 1)
    for block in range(20):
        singer.daw.process(512, given=np.stack([hum(block * 512, 512)] * 2))
    singer.daw.set(rig.ARM, 0)
    singer.daw.process(512, given=np.zeros((2, 512), np.float32))
    ((at, wave),) = singer.clips()
    assert (at, len(wave)) == (0, 20 * 512)


@pytest.mark.parametrize(("loud", "result"), [(True, TAKEN), (False, REFUSED)])
def test_the_host_says_what_became_of_a_clip(lib, loud, result):
    with ipc_endpoint() as endpoint:
        serving = Serving(EngineHost(endpoint))
        effect = NativeDaw(lib, endpoint, inputs=2)
        until(lambda: effect.report["state"] == rig.LIVE)
        effect.set(rig.ARM, 1)
        for block in range(200):
            effect.process(512, given=np.stack([loud * hum(block * 512, 512)] * 2))
        effect.set(rig.ARM, 0)
        silence = np.zeros((2, 512), np.float32)
        until(lambda: effect.report["clip"] == result, lambda: effect.process(512, given=silence))
        assert bool(effect.words()) == (not loud)
        effect.close()
        serving.close()
