"""Kills the audio server under a playing loop and starts it again: for how long, and how far off.

`python -m tools.stage_kill --times 5`: a JACK dummy server, the real audio process. Prints figures.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from descant.host.edge.audio_server import AudioServer
from descant.host.loop_press import Press
from descant.host.transport import Timeline
from tools.stage_rig import Jack, wait_for

TEMPO = 120.0
WATCHED_SECONDS = 0.15  # later the driver's own clock has drifted or lost periods


@dataclass(frozen=True)
class Fallback:
    """noticed: from the kill until another process was started. server: from the kill until
    the server was back. sounding: from the kill, loop: from the server's return, until the loop was heard.
    phase_ms: of its first blocks, against where they would have been by the driver's clock before the kill.
    """

    noticed: float
    server: float
    sounding: float
    phase_ms: float

    @property
    def loop(self) -> float:
        return self.sounding - self.server


def measure(times: int = 1, rate: int = 48000, period: int = 256) -> list[Fallback]:
    """Kill so often. Raises TimeoutError naming what did not come."""
    jack = Jack(rate, period, exact=True)
    os.environ.update(jack.environment)
    jack.start()
    found: list[Fallback] = []
    try:
        with AudioServer(rate, block=period, slots=1, pool_seconds=20) as server:
            server.follow(Timeline.internal(rate, TEMPO))
            _until(server, lambda: server.fit.settled and bool(server.device), "a device")
            _capture_tone(server)
            for _ in range(times):
                found.append(_killed(server, jack))
    finally:
        if jack.process is not None:
            jack.stop()
    return found


def report(found: list[Fallback]) -> str:
    """A line for each kill, and the worst."""
    lines = [
        f"another process after {row.noticed:.2f} s, server back after {row.server:.2f} s, loop heard "
        f"{row.loop:.2f} s after that ({row.sounding:.2f} s in all), phase off by {row.phase_ms:+.3f} ms"
        for row in found
    ]
    worst = max(abs(row.phase_ms) for row in found)
    lines.append(
        f"worst of {len(found)}: noticed {max(row.noticed for row in found):.2f} s, loop "
        f"{max(row.loop for row in found):.2f} s after its server, phase {worst:.3f} ms"
    )
    return "\n".join(lines)


def _killed(server: AudioServer, jack: Jack) -> Fallback:
    _until(server, lambda: server.fit.settled, "a settled clock")
    _rest(server, 3.0)  # how fast the driver runs is known better then
    now = time.monotonic()
    due, then, rate, restarts = server.position_at(now), now, server.fit.rate, server.restarts
    killed = time.monotonic()
    jack.kill()
    _until(server, lambda: server.restarts > restarts, "another process")
    noticed = time.monotonic() - killed
    jack.start()
    back = time.monotonic() - killed
    off: list[float] = []
    first = 0.0

    def watched() -> bool:
        nonlocal first
        stamp, position = server.memory.stamp, server.memory.position
        if stamp / 1e9 > killed + back and server.memory.stamp == stamp:  # of one block, after the return
            first = first or time.monotonic()
            if time.monotonic() - first < WATCHED_SECONDS:
                off.append(position - (due + (stamp / 1e9 - then) * rate))
        return bool(off) and bool(server.device) and _loud(server)

    _until(server, watched, "the loop again")
    sounding = time.monotonic() - killed
    return Fallback(noticed, back, sounding, 1000 * float(np.median(off)) / server.rate)


def _capture_tone(server: AudioServer) -> None:
    """Two bars of a tone as if generated; a loop is captured of it."""
    bar = round(4 * 60 * server.rate / TEMPO)
    tone = (0.5 * np.sin(np.arange(4 * bar) * 0.05)).astype(np.float32)
    start, made = server.memory.position + 4800, 0

    def fed() -> bool:
        nonlocal made
        while made < len(tone) and start + made < server.memory.position + 9600:
            server.memory.play(start + made, np.stack([tone[made : made + 480]] * 2))
            made += 480
        return server.memory.position > start + 3 * bar

    _until(server, fed, "two bars")
    server.press(Press(server.memory.position, 0, "capture", value=1))
    _until(server, lambda: bool(server.status) and server.status[0].state == "playing", "a loop")
    _rest(server, (len(tone) - made) / server.rate + 4.0)
    _until(server, lambda: _loud(server), "the loop's sound")


def _loud(server: AudioServer) -> bool:
    return float(server.memory.levels[1, 0, 0]) > 0.3


def _until(server: AudioServer, condition: Callable[[], bool], what: str) -> None:
    def turned() -> bool:
        server.turn()
        return condition()

    wait_for(turned, what)


def _rest(server: AudioServer, seconds: float) -> None:
    until = time.monotonic() + seconds
    _until(server, lambda: time.monotonic() > until, "time")


def main() -> None:
    """Thread: main."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    reader.add_argument("--times", type=int, default=5)
    print(report(measure(reader.parse_args().times)))


if __name__ == "__main__":
    main()
