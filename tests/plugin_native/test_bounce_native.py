"""An offline bounce waits for the host, drops nothing, is the same twice, and says when it failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import SmallHost, ipc_endpoint
from tests.plugin_native import rig
from tests.plugin_native.engine_host import EngineHost
from tests.plugin_native.rig import NativeDaw, Song
from tests.plugin_native.serving import Serving
from tests.plugin_native.test_core_native import midi, until

RATE, TEMPO = 48000, 140.0
NONE, RUNNING, FAILED = 0, 1, 2


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    with ipc_endpoint() as endpoint:
        monkeypatch.setenv("DESCANT_ENDPOINT", endpoint)
        made = Serving(EngineHost(endpoint))
        yield made
        made.close()


SCORE = {
    4000: (0x90, 36, 100),
    60000: (0x90, 37, 90),
    61000: (0xB0, 1, 64),
    100001: (0x90, 38, 80),
    150000: (0x90, 40, 1),
}


def bounce(
    daw: NativeDaw, seconds: float = 4.0, sizes: tuple[int, ...] = (512,), first: int = 0
) -> np.ndarray:
    """[channels, n] of the song from sample `first` on, as a DAW bounces it."""
    heard, frame, turn = [], first, 0
    end = first + seconds * RATE
    while frame < end:
        n = sizes[turn % len(sizes)]
        events = [
            midi(*SCORE[at], at=at - frame + first) for at in SCORE if frame - first <= at < frame - first + n
        ]
        song = Song(True, frame, frame * TEMPO / 60 / RATE, TEMPO, offline=True)
        heard.append(daw.process(n, song, events))
        frame, turn = frame + n, turn + 1
    return np.concatenate(heard, axis=1)


def play(daw: NativeDaw, blocks: int) -> None:
    for _ in range(blocks):
        daw.process(512, Song(True, 0, 0.0, TEMPO), [midi(0x90, 38, 70)])


@pytest.mark.parametrize("sizes", [(512,), (1, 4096, 333), (16384,)])
def test_two_bounces_are_the_same_to_the_last_bit(lib, serving, sizes):
    daw = NativeDaw(lib, serving.endpoint)
    until(lambda: daw.report["state"] == rig.LIVE)
    play(daw, 30)
    first = bounce(daw, sizes=sizes)
    report = daw.report
    assert (report["bounce"], report["dropped"]) == (RUNNING, 0)
    assert report["underruns"] == 1, "the stop that was asked for"
    assert not first[:, :60000].any() and np.abs(first[:, 60000:]).max() > 1e-3
    play(daw, 100)
    daw.set(rig.GUIDANCE, 5)
    play(daw, 3)
    daw.set(rig.GUIDANCE, 3)
    serving.host.frames = 1  # a slower host
    np.testing.assert_array_equal(bounce(daw, sizes=sizes), first)
    daw.close()
    other = NativeDaw(lib, serving.endpoint)  # the DAW was closed and opened again; the bounce begins at once
    np.testing.assert_array_equal(bounce(other, sizes=sizes), first)
    other.close()


def test_a_bounce_follows_the_song_to_another_place(lib, serving):
    daw = NativeDaw(lib, serving.endpoint)
    first = bounce(daw, 2.0, first=5 * RATE)
    assert np.abs(first).max() > 1e-3
    daw.process(512, Song(False, 0, 0.0, TEMPO))  # in real time again
    np.testing.assert_array_equal(bounce(daw, 2.0, first=5 * RATE), first)
    daw.close()


def test_ten_thousand_events_in_a_block_of_a_bounce_all_arrive(lib, serving):
    daw = NativeDaw(lib, serving.endpoint)
    crowd = [midi(0x90, 100, 1 + i % 127, at=i % 512) for i in range(10_000)]
    daw.process(512, Song(True, 0, 0.0, TEMPO, offline=True), crowd)
    assert (daw.report["dropped"], daw.report["bounce"]) == (0, RUNNING)
    assert len(serving.host.of(wire.NoteOn)) == 10_000
    daw.close()


def test_without_a_host_a_bounce_fails_in_bounded_time_and_says_so(lib):
    with ipc_endpoint() as endpoint:
        daw = NativeDaw(lib, endpoint)
        daw.patience(0.3)
        began = time.monotonic()
        heard = bounce(daw, 2.0)
        assert time.monotonic() - began < 20, "it waits once, not for each block"
        assert daw.report["bounce"] == FAILED and not heard.any()
        until(lambda: "not complete" in daw.words())
        daw.close()


def test_a_host_that_lives_and_never_answers_fails_a_bounce_in_the_same_time(lib):
    with ipc_endpoint() as endpoint:
        host = SmallHost(endpoint)
        serving = Serving(host, host.beat)  # to nobody, until somebody is there
        daw = NativeDaw(lib, endpoint)
        until(lambda: daw.report["state"] == rig.LIVE)
        daw.patience(2.0)
        began = time.monotonic()
        heard = bounce(daw, 2.0)
        assert time.monotonic() - began < 30, "one patience, not one for each block"
        assert (daw.report["bounce"], daw.report["state"]) == (FAILED, rig.LIVE)
        assert host.of(wire.Sync) and not heard.any()
        until(lambda: "not complete" in daw.words())
        daw.close()
        serving.close()


def test_a_host_that_stands_still_now_and_then_makes_the_same_bounce(lib, serving):
    daw = NativeDaw(lib, serving.endpoint)
    first = bounce(daw)
    daw.close()
    with ipc_endpoint() as endpoint:
        host = EngineHost(endpoint)
        still = iter([20, 60, 120, 10**9])
        due = next(still)

        def step() -> None:
            nonlocal due
            if len(host.of(wire.Sync)) > due:
                due = next(still)
                time.sleep(0.4)  # longer than three heartbeats

        halting = Serving(host, step)
        other = NativeDaw(lib, endpoint)
        np.testing.assert_array_equal(bounce(other), first)
        assert (other.report["bounce"], other.report["losses"], other.report["unsent"]) == (RUNNING, 3, 0)
        other.close()
        halting.close()


def test_a_host_that_stands_still_under_a_crowd_of_events_hears_them_all(lib):
    with ipc_endpoint() as endpoint:
        host = EngineHost(endpoint)
        stood = threading.Event()

        def step() -> None:
            if len(host.of(wire.NoteOn)) > 1000 and not stood.is_set():
                stood.set()
                time.sleep(0.5)  # the link is lost meanwhile, with thousands still to be said

        serving = Serving(host, step)
        daw = NativeDaw(lib, endpoint)
        crowd = [midi(0x90, 100, 1 + i % 127, at=i % 512) for i in range(10_000)]
        daw.process(512, Song(True, 0, 0.0, TEMPO, offline=True), crowd)
        assert (daw.report["bounce"], daw.report["unsent"], daw.report["dropped"]) == (RUNNING, 0, 0)
        assert len(host.of(wire.NoteOn)) == 10_000 and daw.report["losses"] >= 1
        daw.close()
        serving.close()


def test_a_host_that_dies_in_a_bounce_ends_it_in_silence(lib):
    with ipc_endpoint() as endpoint:
        serving = Serving(EngineHost(endpoint))
        daw = NativeDaw(lib, endpoint)
        heard = bounce(daw, 2.5)
        assert daw.report["bounce"] == RUNNING and heard[:, -1000:].any()
        serving.close()
        daw.patience(0.3)
        frame = heard.shape[1]
        rest = [
            daw.process(512, Song(True, at, at * TEMPO / 60 / RATE, TEMPO, offline=True))
            for at in range(frame, frame + 20 * 512, 512)
        ]
        assert daw.report["bounce"] == FAILED and not np.concatenate(rest[1:], axis=1).any()
        again = Serving(EngineHost(endpoint))
        daw.process(512, Song(False, 0, 0.0, TEMPO))
        until(lambda: daw.report["state"] == rig.LIVE)
        assert daw.report["bounce"] == FAILED  # to be seen, until it is played live again
        daw.process(512, Song(True, 0, 0.0, TEMPO))
        assert daw.report["bounce"] == NONE
        daw.process(512, Song(False, 512, 0.0, TEMPO))
        np.testing.assert_array_equal(bounce(daw, 2.5), heard)
        daw.close()
        again.close()
