"""What is made for a bar is heard at that bar: rates, tempi, metres, leaps, loops, blocks of any size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.plugin_bridge.small_host import ipc_endpoint
from tests.plugin_native import rig
from tests.plugin_native.click_host import ClickHost, bar_lines, clicks
from tests.plugin_native.rig import NativeDaw, Song
from tests.plugin_native.test_core_native import until


class Stage:
    """A DAW's transport over the core, in step with a click host: no block is read before it has come."""

    def __init__(self, lib, host: ClickHost, rate: int, tempo: float, metre=(4, 4)) -> None:
        self.host, self.rate, self.tempo, self.metre = host, rate, tempo, metre
        self.daw = NativeDaw(lib, host.endpoint, rate, 512)
        self.frame = 0
        self.loop: tuple[int, int] | None = None  # frames
        self.tells_loop = True
        self.heard: list[np.ndarray] = []
        self.places: list[np.ndarray] = []  # the song's sample at each sample heard
        until(lambda: self.daw.report["state"] == rig.LIVE, lambda: host.serve(1))
        self.block(1)  # the transport is known from here on

    def song(self) -> Song:
        beats = self.tempo / 60 / self.rate
        loop = self.loop and (self.loop[0] * beats, self.loop[1] * beats)
        return Song(
            True,
            self.frame,
            self.frame * beats,
            self.tempo,
            self.metre,
            loop if self.tells_loop else None,
            self.tells_loop,
        )

    def block(self, n: int, wait: bool = True) -> None:
        if wait and self.heard:
            until(lambda: self.daw.ready(n), lambda: self.host.serve(1))
        self.heard.append(self.daw.process(n, self.song())[0])
        places = np.arange(self.frame, self.frame + n)
        self.frame += n
        if self.loop is not None and self.frame >= self.loop[1]:
            length = self.loop[1] - self.loop[0]
            places[places >= self.loop[1]] -= length
            self.frame -= length
        self.places.append(places)

    def play(self, n_samples: int, sizes=(512,)) -> None:
        done = 0
        while done < n_samples:
            for size in sizes:
                self.block(size)
                done += size

    def clicked(self) -> list[int]:
        """The song's samples at which clicks were heard."""
        places = np.concatenate(self.places)
        return [int(places[at]) for at in clicks(np.concatenate(self.heard))]

    def lines(self) -> list[int]:
        """The bar lines the DAW passed, as often as it did."""
        lines = []
        for places in self.places:
            end = int(places[-1]) + 1
            for first, last in self._stretches(places):
                lines += bar_lines(self.rate, self.tempo, self.metre, first, min(last, end) if last else end)
        return lines

    @staticmethod
    def _stretches(places: np.ndarray) -> Iterator[tuple[int, int]]:
        edges = np.flatnonzero(np.diff(places) != 1)
        starts = [0, *(edges + 1)]
        ends = [*edges, len(places) - 1]
        for start, end in zip(starts, ends, strict=True):
            yield int(places[start]), int(places[end]) + 1


@pytest.fixture
def host() -> Iterator[ClickHost]:
    with ipc_endpoint() as endpoint:
        made = ClickHost(endpoint)
        yield made
        made.server.close()


def near(clicked: list[int], lines: list[int]) -> None:
    assert len(clicked) == len(lines), (clicked, lines)
    assert all(abs(a - b) <= 1 for a, b in zip(clicked, lines, strict=True)), (clicked, lines)


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (7, 8)])
@pytest.mark.parametrize("tempo", [60.0, 97.3, 120.0, 180.0])
@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_a_click_made_for_a_bar_is_heard_on_it(lib, host, rate, tempo, metre):
    stage = Stage(lib, host, rate, tempo, metre)
    stage.frame = bar_lines(rate, tempo, metre, 40 * rate, 50 * rate)[0] - rate // 10
    stage.block(512, wait=False)
    stage.play(int(2.5 * metre[0] * 4 / metre[1] * 60 / tempo * rate))
    lines = [line for line in stage.lines() if line > 30 * rate]
    assert len(lines) in (3, 4)
    near([at for at in stage.clicked() if at > 30 * rate], lines)
    stage.daw.close()


@pytest.mark.parametrize("sizes", [(1, 2, 3, 64), (4096,), (17, 1000, 333), (2048, 1)])
def test_blocks_of_any_size(lib, host, sizes):
    stage = Stage(lib, host, 48000, 180.0)
    stage.play(3 * 48000, sizes)
    near(stage.clicked(), [line for line in stage.lines() if line > 0])
    stage.daw.close()


def test_leaps_land_on_the_bars_of_the_new_place(lib, host):
    stage = Stage(lib, host, 48000, 133.0, (3, 4))
    for place in (5 * 48000 + 7, 48001, 200 * 48000, 100, 777_777):
        stage.play(48000)
        stage.frame = place
        stage.block(512, wait=False)  # nothing can have come for it yet
        stage.heard.clear()
        stage.places.clear()
        stage.heard.append(np.zeros(0, np.float32))
        stage.play(3 * 48000)
        near(stage.clicked(), stage.lines())
        assert len(stage.lines()) in (2, 3)
    stage.daw.close()


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("tempo", [100.0, 143.0])
def test_a_loop_goes_round_without_a_gap_and_on_its_bars(lib, host, told, tempo):
    stage = Stage(lib, host, 48000, tempo)
    bar = round(4 * 60 / tempo * 48000)
    stage.tells_loop, stage.loop = told, (bar, 2 * bar)
    stage.frame = bar
    stage.block(512, wait=False)
    stage.play(5 * bar)
    heard, places = np.concatenate(stage.heard), np.concatenate(stage.places)
    wraps = np.flatnonzero(np.diff(places) < -100)
    assert len(wraps) >= 4
    first = wraps[0] if told else wraps[1]
    start = first - 4800
    gaps = np.flatnonzero(heard[start:] < 0.5 * host.tone)
    assert len(gaps) == 0, "the music runs on through the loop"
    near(
        clicks(heard[start:]),
        [int(wrap) + 1 - int(start) for wrap in wraps if wrap >= first],
    )
    stage.daw.close()


def test_a_change_of_tempo_is_heard_on_the_new_bars(lib, host):
    stage = Stage(lib, host, 48000, 120.0)
    stage.play(3 * 48000)
    before = stage.frame / 48000 * 2  # beats
    clock, beat, tempo, lines, heard = stage.frame, before, 90.0, [], []
    for _ in range(0, 8 * 48000, 512):
        until(lambda: stage.daw.ready(512), lambda: host.serve(1))
        after = beat + 512 / 48000 * tempo / 60
        if int(after // 4) != int(beat // 4):
            lines.append(clock + round((after // 4 * 4 - beat) * 60 / tempo * 48000))
        heard.append(stage.daw.process(512, Song(True, clock, beat, tempo))[0])
        clock, beat = clock + 512, after
    near([at + stage.frame for at in clicks(np.concatenate(heard))], lines)
    assert len(lines) == 3
    stage.daw.close()
