"""The DAW's transport as places on the timeline: starts, leaps, loops told and learnt, ramps, nonsense."""

from __future__ import annotations

import math

import pytest

from tests.plugin_native.rig import NOWHERE, NativeSong, Song

RATE = 48000


class Player:
    """A DAW's transport and the timeline it leads."""

    def __init__(self, lib, rate: int = RATE, tempo: float = 120.0, metre=(4, 4), tells_loop=False) -> None:
        self.clock, self.rate, self.tempo, self.metre = NativeSong(lib, rate), rate, tempo, metre
        self.frame, self.at, self.playing = 0, 0, True
        self.loop: tuple[float, float] | None = None  # of the DAW
        self.tells_loop = tells_loop

    @property
    def beat(self) -> float:
        return self.frame / self.rate * self.tempo / 60

    def block(self, n: int = 512, **changes) -> dict[str, float]:
        song = Song(
            self.playing,
            self.frame,
            self.beat,
            self.tempo,
            self.metre,
            self.loop if self.tells_loop else None,
            self.tells_loop,
        )
        step = self.clock.advance(self.at, n, changes.get("song", song))
        if step["jumps"]:
            self.at = int(step["to"])
        self.at += n
        if self.playing:
            self.frame += n
            if self.loop is not None:
                per_beat = 60 / self.tempo * self.rate
                start, end = (round(beat * per_beat) for beat in self.loop)
                if self.frame - n < end <= self.frame:
                    self.frame -= end - start
        return step


def test_playing_from_the_start_is_no_jump_and_is_said_once(lib):
    player = Player(lib)
    first = player.block()
    assert first["known"] and first["changed"] and first["started"] and not first["jumps"]
    assert (first["tempo"], first["beat"], first["playing"]) == (120, 0, 1)
    assert not any(step["changed"] or step["jumps"] for step in (player.block(n) for n in (1, 64, 511, 4096)))


def test_a_leap_moves_the_timeline_to_the_daws_sample(lib):
    player = Player(lib)
    player.block()
    player.frame = 960000
    step = player.block()
    assert step["jumps"] and step["to"] == 960000 and step["changed"] and step["beat"] == pytest.approx(40)
    player.frame = 100
    assert player.block()["to"] == 100


def test_stopping_lets_the_timeline_run_on_and_starting_jumps_back(lib):
    player = Player(lib)
    for _ in range(10):
        player.block()
    player.playing = False
    step = player.block()
    assert step["stopped"] and step["changed"] and not step["jumps"] and not step["playing"]
    assert not any(player.block()["changed"] for _ in range(10))
    player.playing = True
    step = player.block()
    assert step["started"] and step["jumps"] and step["to"] == 5120


@pytest.mark.parametrize("block", [64, 512, 1000, 4096])
@pytest.mark.parametrize("loop", [(0.0, 4.0), (4.0, 12.0), (3.0, 10.0)])
def test_a_loop_the_daw_tells_never_jumps(lib, block, loop):
    player = Player(lib, tells_loop=True)
    player.loop = loop
    player.frame = player.at = round(loop[0] * RATE / 2)
    steps = [player.block(block) for _ in range(RATE * 20 // block)]
    assert not any(step["jumps"] for step in steps[1:])
    assert sum(step["changed"] for step in steps) == 1
    assert steps[0]["looping"] and (steps[0]["loop_start"], steps[0]["loop_end"]) == loop


@pytest.mark.parametrize("tempo", [60, 97, 120, 174.5])
def test_a_loop_that_is_not_told_is_learnt_when_it_first_wraps(lib, tempo):
    player = Player(lib, tempo=tempo)
    player.loop = (4.0, 8.0)
    steps = [player.block() for _ in range(int(40 * 60 / tempo * RATE / 512))]
    jumps = [index for index, step in enumerate(steps) if step["jumps"]]
    assert len(jumps) == 1
    learnt = steps[jumps[0]]
    assert learnt["looping"] and (learnt["loop_start"], learnt["loop_end"]) == (4, 8)


def test_a_loop_that_ends_is_forgotten(lib):
    player = Player(lib)
    player.loop = (0.0, 4.0)
    for _ in range(RATE * 5 // 512):
        player.block()
    player.loop = None
    steps = [player.block() for _ in range(RATE * 5 // 512)]
    assert not any(step["jumps"] for step in steps)
    assert not steps[-1]["looping"] and sum(step["changed"] for step in steps) == 1


def test_a_rewind_by_hand_is_not_taken_for_a_loop(lib):
    player = Player(lib)
    for _ in range(100):
        player.block()
    player.frame = 0
    step = player.block()
    assert step["jumps"] and not step["looping"]


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("tempo", [60.0, 61.7, 120.0, 179.99])
def test_an_hour_of_steady_time_is_said_once(lib, rate, tempo):
    player = Player(lib, rate, tempo, (7, 8))
    steps = [player.block(4096) for _ in range(3600 * rate // 4096 // 20)]
    assert sum(step["changed"] for step in steps) == 1
    assert (steps[0]["numerator"], steps[0]["denominator"]) == (7, 8)


def test_tempo_changes_and_ramps_are_followed_without_a_jump(lib):
    clock, at, beat, tempo = NativeSong(lib, RATE), 0, 0.0, 100.0
    worst = 0.0
    for _ in range(2000):
        step = clock.advance(at, 512, Song(True, at, beat, tempo))
        assert not step["jumps"] and (step["changed"] or tempo == 180)
        worst = max(worst, abs(step["beat"] - beat))
        after = min(180.0, tempo + 0.05)
        beat += 512 / RATE * (tempo + after) / 120
        at, tempo = at + 512, after
    assert worst == 0


def test_only_beats_are_enough(lib):
    clock, at = NativeSong(lib, RATE), 0
    for _ in range(500):
        step = clock.advance(at, 512, Song(True, None, at / RATE * 2, 120))
        assert not step["jumps"]
        at += 512
    assert clock.advance(at, 512, Song(True, None, 100.0, 120))["to"] == 50 * RATE


@pytest.mark.parametrize("tempo", [0.0, -5.0, math.nan, math.inf, 999.0, 1e308, 0.5])
@pytest.mark.parametrize("beat", [0.0, math.nan, math.inf, -1e300])
@pytest.mark.parametrize("metre", [(4, 4), (0, 0), (4, 3), (255, 64), (2**32 - 1, 2**31)])
def test_nonsense_becomes_something_a_host_can_follow(lib, tempo, beat, metre):
    clock = NativeSong(lib, RATE)
    loop = (math.nan, -math.inf) if metre == (0, 0) else (5.0, 5.0)
    for at in range(0, 2048, 512):
        step = clock.advance(at, 512, Song(True, at, beat, tempo, metre, loop))
        assert 1 <= step["tempo"] <= 999 and math.isfinite(step["beat"]) and not step["looping"]
        assert 1 <= step["numerator"] <= 64 and step["denominator"] in (1, 2, 4, 8, 16, 32)


def test_a_transport_that_never_comes_says_nothing_and_one_that_goes_is_a_stop(lib):
    clock = NativeSong(lib, RATE)
    step = clock.advance(0, 512, NOWHERE)
    assert not any(step[name] for name in ("jumps", "changed", "stopped", "started", "known"))
    clock.advance(0, 512, Song(True, 0, 0.0))
    step = clock.advance(512, 512, NOWHERE)
    assert step["stopped"] and step["changed"] and not step["playing"]


def test_a_pre_roll_before_the_song_waits_for_its_first_sample(lib):
    clock, at = NativeSong(lib, RATE), 7000
    for frame in range(-2048, 0, 512):
        assert not clock.advance(at, 512, Song(True, frame, frame / RATE * 2, 120))["jumps"]
        at += 512
    assert not clock.advance(at, 512, Song(True, 0, 0.0, 120))["jumps"], (
        "the song goes on: so does the timeline"
    )
