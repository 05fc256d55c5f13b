"""Measures the MIDI clock that `descant play --clock-out own` sends, with a second program that listens.

`python -m tools.stage_clock`: JACK's dummy server, the embedded model generating. Prints counts and jitter;
judges nothing. JACK hands a tick on with its next period, which is part of what is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.stage_rig import Jack, ended, environment_of, wait_for

LISTENER = """
import json, sys, time, rtmidi
port = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name="listener"); port.ignore_types(timing=False)
heard = []
port.set_callback(lambda event, data: heard.append((time.monotonic(), event[0])))
while not (found := [i for i, name in enumerate(port.get_ports()) if "clock" in name]):
    time.sleep(0.05)
port.open_port(found[0])
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(heard))
"""
TICK, START, STOP = 0xF8, 0xFA, 0xFC


@dataclass(frozen=True)
class Ticks:
    """seconds: when ticks came, [n]. said: the other messages, with the number of ticks before each."""

    seconds: np.ndarray
    said: tuple[tuple[int, tuple[int, ...]], ...]

    @property
    def tempo(self) -> float:
        """Quarter notes a minute, by all of them."""
        return 60 * (len(self.seconds) - 1) / 24 / float(self.seconds[-1] - self.seconds[0])

    @property
    def off_ms(self) -> np.ndarray:
        """Each tick against the even row that fits them best, [n]."""
        places = np.arange(len(self.seconds))
        slope, start = np.polyfit(places, self.seconds, 1)
        return 1000 * (self.seconds - start - slope * places)


def measure(seconds: float, period: int = 64) -> Ticks:
    """Listen to it. Raises RuntimeError where `descant play` ends early."""
    jack = Jack(period=period, exact=True)
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "log"
        environment = environment_of(jack)
        jack.start()
        words = [sys.executable, "-m", "descant.host.cli", "play", "--no-takes", "--threads", "1"]
        words += ["--block", str(period), "--clock-out", "own", "--prompt", "slow strings"]
        with log.open("wb") as said:
            play = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT, env=environment)
        listener = subprocess.Popen(
            [sys.executable, "-c", LISTENER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            assert listener.stdout is not None and listener.stdin is not None
            if listener.stdout.readline().strip() != "ready":
                raise RuntimeError("the listening program ended")
            wait_for(lambda: b"slow strings" in log.read_bytes(), "music", 120)
            time.sleep(seconds)
            if play.poll() is not None:
                raise RuntimeError(f"descant play ended: {log.read_text(errors='replace')[-500:]}")
            play.send_signal(2)
            play.wait(30)
            listener.stdin.write("\n")
            listener.stdin.flush()
            return ticks(json.loads(listener.stdout.readline()))
        finally:
            ended(listener, play)
            jack.stop()


def ticks(heard: list[tuple[float, list[int]]]) -> Ticks:
    """What was heard, sorted out."""
    found: list[float] = []
    said: list[tuple[int, tuple[int, ...]]] = []
    for at, data in heard:
        if data == [TICK]:
            found.append(at)
        else:
            said.append((len(found), tuple(data)))
    return Ticks(np.array(found), tuple(said))


def report(heard: Ticks) -> str:
    """In lines."""
    off = np.abs(heard.off_ms)
    steps = 1000 * np.diff(heard.seconds)
    said = ", ".join(f"{' '.join(f'{byte:02X}' for byte in data)} after {n}" for n, data in heard.said)
    return "\n".join(
        (
            f"{len(heard.seconds)} ticks, {heard.tempo:.3f} beats a minute; other messages: {said or 'none'}",
            f"off the even row: median {np.median(off):.2f} ms, p99 {np.percentile(off, 99):.2f} ms, worst "
            f"{off.max():.2f} ms; from tick to tick {steps.min():.2f} to {steps.max():.2f} ms",
        )
    )


def main() -> None:
    """Thread: main."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    reader.add_argument("--seconds", type=float, default=20.0)
    reader.add_argument("--period", type=int, default=64, help="JACK's, samples at 48 kHz")
    args = reader.parse_args()
    print(report(measure(args.seconds, args.period)))


if __name__ == "__main__":
    main()
