"""What is heard when a host is gone: its last bar again or a fade, as the preset says, and no click."""

from __future__ import annotations

import numpy as np
import pytest

from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import voice
from tests.plugin_native import rig
from tests.plugin_native.rig import Song
from tests.plugin_native.test_core_native import BLOCK, FADE, RATE, Stage, midi, until

QUIET = np.float32(0.1)  # times `voice`, which then moves by less than 1/2000 a sample
STEP = 10 ** (-60 / 20)
BAR = RATE  # of 240 quarter notes a minute


class Band(Stage):
    """A host that plays a quiet voice to a DAW at 240 bpm."""

    def __init__(self, host, daw) -> None:
        super().__init__(host, daw)
        self.frame = self.sent = 0
        self.heard = np.zeros((2, 0), np.float32)

    def say(self, message: wire.Message) -> None:
        assert self.host.server.send(self.host.client, message)

    def send(self, first: int, end: int, epoch: int = 0) -> None:
        for at in range(first, end, 480):
            self.say(wire.Audio(epoch, QUIET * voice(0, at, min(480, end - at)), at_sample=at))

    def play(self, n: int, events=None) -> np.ndarray:
        """n more samples: [2, n]; all that was heard is in `heard`."""
        before = self.heard.shape[1]
        while self.heard.shape[1] < before + n:
            size = min(BLOCK, before + n - self.heard.shape[1])
            song = Song(True, self.frame, self.frame / RATE * 4, 240.0)
            self.heard = np.concatenate([self.heard, self.daw.process(size, song, events)], axis=1)
            self.frame, events = self.frame + size, None
        return self.heard[:, before:]

    def music(self, seconds: float) -> None:
        """Play so much of it, and have it end there."""
        end = self.frame + round(seconds * RATE)
        while self.frame < end:
            to = min(end, self.frame + RATE)
            self.send(self.sent, to)
            self.sent = to
            until(lambda: self.daw.ready(self.sent - self.frame - FADE), self.turn)
            self.play((to if to == end else to - 2 * FADE) - self.frame)


@pytest.fixture
def band(host, daw) -> Band:
    made = Band(host, daw())
    made.live()
    return made


def told_to_hold(band: Band) -> None:
    band.say(wire.Fallback("hold"))


def windows(heard: np.ndarray) -> np.ndarray:
    """The loudest sample of each 20 ms."""
    n = heard.shape[1] // 960
    return np.abs(heard[0, : n * 960].reshape(n, 960)).max(axis=1)


def smooth(heard: np.ndarray) -> None:
    assert np.abs(np.diff(heard)).max() < STEP


def test_a_preset_that_says_nothing_lets_it_fade_within_20_ms(band):
    band.music(2.5)
    after = band.play(RATE)
    assert not after[:, 960:].any()
    smooth(band.heard[:, FADE:])


def test_a_preset_that_says_hold_plays_the_last_bar_again_and_again(band):
    told_to_hold(band)
    band.music(2.5)
    after = band.play(3 * BAR)
    assert windows(after).min() > 0.01, "not 20 ms of silence"
    smooth(band.heard[:, FADE:])
    end = band.heard.shape[1]
    np.testing.assert_array_equal(
        band.heard[:, end - 2 * BAR : end - BAR], band.heard[:, end - BAR :], "bar after bar the same"
    )
    assert band.daw.report["underruns"] == 1


def test_what_comes_again_takes_over_without_a_click(band):
    told_to_hold(band)
    band.music(2.5)
    band.play(2 * BAR + 77)
    band.send(band.frame + 1000, band.frame + 1000 + RATE, epoch=3)
    until(lambda: band.daw.report["blocks"] >= 250 + 100, band.turn)
    band.play(RATE // 2)
    smooth(band.heard[:, FADE:])
    end = band.frame
    np.testing.assert_array_equal(band.heard[:, -4800:], QUIET * voice(0, end - 4800, 4800))


def test_less_than_a_bar_is_held_in_whole_beats_and_less_than_a_beat_not_at_all(band):
    told_to_hold(band)
    band.music(0.6)  # two beats and some
    after = band.play(2 * BAR)
    assert windows(after).min() > 0.005
    half = after[:, BAR // 2 :]
    np.testing.assert_array_equal(half[:, : BAR // 2], half[:, BAR // 2 : BAR])
    smooth(band.heard[:, FADE:])


def test_a_stop_that_was_asked_for_is_silence(band):
    told_to_hold(band)
    band.say(wire.Plan(0, 2 * RATE, 8.0, ""))
    band.music(2)
    assert not band.play(RATE)[:, 960:].any()


def test_panic_ends_what_is_held_and_a_pad_does_not_bring_it_back(band):
    told_to_hold(band)
    band.music(2.5)
    band.play(BAR)
    band.daw.set(rig.PANIC, 1)
    assert not band.play(RATE)[:, 960:].any()
    band.play(BLOCK, [midi(0x90, 60, 100)])
    assert not band.play(RATE).any()
