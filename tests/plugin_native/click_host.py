"""A host whose music is a click on each bar line, by the host's own timeline; it follows jumps and loops."""

from __future__ import annotations

import math
import sys
from fractions import Fraction

import numpy as np

from descant.host.events import Heartbeat
from descant.host.pacing import Pacing
from descant.host.translate import to_event
from descant.host.transport import Timeline
from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import SmallHost

CLICK = 12  # samples: a shape whose first one is known by its height


class ClickHost(SmallHost):
    """Call `serve` often. lead, commit: seconds. Between bars there is a quiet tone, so that gaps show.
    gone: what its preset wants to be heard when it is gone, "fade" or "hold".
    """

    def __init__(
        self, endpoint: str, lead: float = 0.4, commit: float = 0.06, tone: float = 0.01, gone: str = "fade"
    ) -> None:
        super().__init__(endpoint)
        self.gone, self.told = gone, False
        self.lead, self.commit, self.tone = lead, commit, tone
        self.rate = 0
        self.timeline = Timeline.internal(48000, 120.0)
        self.pacing = Pacing(48000, 0, 0)
        self.notes: list[wire.NoteOn] = []
        self.seen = 0

    def answer(self, hello: wire.Hello) -> wire.Message:
        self.rate, self.epoch, self.made, self.told = hello.sample_rate, 0, 0, False
        self.timeline = Timeline.internal(self.rate, 120.0)
        self.pacing = Pacing(self.rate, int(self.lead * self.rate), int(self.commit * self.rate))
        return super().answer(hello)

    def serve(self, timeout_ms: int = 0) -> None:
        super().serve(timeout_ms)
        for _, message in self.got[self.seen :]:
            if isinstance(message, wire.Transport):
                self._follow(message)
            elif isinstance(message, wire.Heartbeat):
                self._hear(message)
        self.seen = len(self.got)
        if self.rate:
            self.beat()
            self.told = self.told or self.server.send(self.client, wire.Fallback(self.gone))
            self._make()

    def _follow(self, message: wire.Transport) -> None:
        before = self.timeline
        self.timeline, _ = self.timeline.followed(to_event(message))
        if self.timeline is not before:
            self._anew(max(message.at_sample, self.pacing.playhead))

    def _hear(self, message: wire.Heartbeat) -> None:
        beat = to_event(message)
        assert isinstance(beat, Heartbeat)
        if self.pacing.stale(beat):
            return
        jumped = self.pacing.jumped(beat)
        self.pacing = self.pacing.heard(beat)
        if jumped:
            self._anew(beat.playhead)

    def _anew(self, at: int) -> None:
        self.epoch += 1
        self.made = at

    def _make(self) -> None:
        end = self.pacing.playhead + min(self.pacing.lead, self.pacing.credit)
        while self.made < end:
            n = min(480, end - self.made)
            wave = np.full((2, n), self.tone, np.float32)
            line = self.made - CLICK
            while (line := self.timeline.line(max(0, line), "bar")) < self.made + n:
                for i in range(CLICK):
                    if 0 <= line + i - self.made < n:
                        wave[:, line + i - self.made] = 1.0 - 0.5 * i / CLICK
                line += 1
            audio = wire.Audio(self.epoch, wave, at_sample=self.made)
            if not self.server.send(self.client, audio):
                return
            self.made += n


def clicks(heard: np.ndarray) -> list[int]:
    """Where clicks begin in [n]: the first sample of each stretch that is loud."""
    loud = heard > 0.4
    return [int(i) for i in np.flatnonzero(loud & ~np.concatenate(([False], loud[:-1])))]


def bar_lines(rate: int, tempo: float, metre: tuple[int, int], first: int, end: int) -> list[int]:
    """The DAW's own bar lines: samples of the song in first..end-1."""
    bar = Fraction(4 * metre[0], metre[1]) * 60 * rate / Fraction(tempo)
    lines = range(math.ceil(first / bar), math.ceil(end / bar))
    return [math.floor(k * bar + Fraction(1, 2)) for k in lines]


if __name__ == "__main__":  # in a process of its own, to be killed and stopped: ENDPOINT GONE
    host = ClickHost(sys.argv[1], gone=sys.argv[2])
    print("ready", flush=True)
    while True:
        host.serve(5)
