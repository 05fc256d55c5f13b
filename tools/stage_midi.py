"""Measures how controllers are answered by the real `descant play`: how fast, and in a flood.

`python -m tools.stage_midi keys` and `... flood`: a JACK dummy server, a second program as the controller,
the embedded model generating meanwhile. Prints percentiles and counts; judges nothing.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.stage_rig import Jack, Script, ScriptedPlayer, wait_for

PROFILE = """name = "measured"
port = "measured"
[[bindings]]
on = "cc 74"
do = "parameter temperature"
pick_up = false
[[bindings]]
on = "cc 75"
do = "parameter temperature"
encoding = "binary offset"
"""
SILENT_KEYS = range(100, 120)  # bound by no preset that ships: they are told to the host and change nothing
COUNTS = re.compile(r"(\d+) blocks, (\d+) xruns, (\d+) underruns \((\d+) of our feeding\)")


@dataclass(frozen=True)
class Measured:
    """What one run showed.

    sent, came: messages. left_out: as the command said. disordered: those that came before one sent earlier.
    unended: keys whose last word was not that they had been let go. doubled: messages that nobody had sent.
    unfed: of the underruns, those of music that was there and was not handed on. port_ms: from the second
    program's call to our port, JACK's period in it, [n]; told_ms: from there to the host's socket, [n].
    """

    sent: int
    came: int
    left_out: int
    disordered: int
    unended: int
    doubled: int
    blocks: int
    xruns: int
    underruns: int
    unfed: int
    port_ms: np.ndarray
    told_ms: np.ndarray


def keys(seconds: float, seed: int = 1) -> Script:
    """Keys at random times, some forty milliseconds apart on average, as fingers would."""
    rng = np.random.default_rng(seed)
    script: Script = []
    at, number = 0.0, 0
    while at < seconds:
        key = SILENT_KEYS[number % len(SILENT_KEYS)]
        script += [(at, [0x90, key, 1 + number % 127]), (at + 0.01, [0x80, key, 0])]
        at += 0.015 + float(rng.exponential(0.025))
        number += 1
    return script


def flood(seconds: float, rate: int = 10_000) -> Script:
    """Two knobs, one of them endless, at full speed, and a twentieth of all messages keys, down and up."""
    script: Script = []
    for number in range(round(seconds * rate)):
        at = number // 10 * 10 / rate  # ten at once
        if number % 20 == 0:
            on = number % 40 == 0
            key = SILENT_KEYS[number // 40 % len(SILENT_KEYS)]
            script.append((at, [0x90 if on else 0x80, key, 1 + number // 40 % 127 if on else 0]))
        elif number % 2:
            script.append((at, [0xB0, 74, number // 2 % 128]))
        else:
            script.append((at, [0xB0, 75, 63 + number // 2 % 3]))
    return script


def measure(script: Script, period: int = 256, music: bool = True) -> Measured:
    """Play a script into `descant play` on a server of its own. Raises RuntimeError where that fails."""
    jack = Jack(period=period, exact=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "measured.toml").write_text(PROFILE)
        trace = Path(folder) / "trace.csv"
        environment = {**os.environ, **jack.environment}
        jack.start()
        player = ScriptedPlayer("measured", jack.environment)
        words = [sys.executable, "-m", "descant.host.cli", "play", "--no-takes", "--threads", "1"]
        words += ["--block", str(period), "--controllers", folder, "--midi-port", "measured"]
        words += ["--trace", str(trace)] + (["--prompt", "slow strings"] if music else [])
        log = Path(folder) / "log"
        with log.open("wb") as said:
            play = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT, env=environment)
        try:
            _await(play, log, "measured:keys is connected")
            if music:
                _await(play, log, "slow strings")
            player.play(script)
            sent = player.sent()
            _rest(play, log)
            play.send_signal(2)
            play.wait(30)
        finally:
            player.unplug()
            if play.poll() is None:
                play.kill()
                play.wait()
            jack.stop()
        return judged(script, sent, trace, log.read_text(errors="replace"))


def judged(script: Script, sent: list[float], trace: Path, said: str) -> Measured:
    """The script beside what was traced."""
    with trace.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    status = {"note_on": 0x90, "note_off": 0x80, "control": 0xB0}
    waiting: dict[tuple[int, ...], list[int]] = {}
    for index, (_, data) in enumerate(script):
        waiting.setdefault(tuple(data), []).append(index)
    for found in waiting.values():
        found.reverse()
    order: list[int] = []
    port_ms, told_ms = [], []
    last: dict[int, str] = {}
    doubled = 0
    for row in rows:
        kind, number, value = row["kind"], int(row["number"]), int(row["value"])
        if kind.startswith("note"):
            last[number] = kind
        left = waiting.get((status[kind], number, value))
        if not left:
            doubled += 1
            continue
        index = left.pop()
        order.append(index)
        port_ms.append(1000 * (float(row["came"]) - sent[index]))
        told_ms.append(1000 * (float(row["told"]) - float(row["came"])))
    counts = COUNTS.search(said)
    if counts is None:
        raise RuntimeError(f"descant play did not end as it should: {said[-500:]}")
    left_out = re.search(r"(\d+) messages left out", said)
    return Measured(
        len(script), len(rows), int(left_out[1]) if left_out else 0,
        int((np.diff(order) < 0).sum()) if order else 0,
        sum(kind != "note_off" for kind in last.values()), doubled,
        int(counts[1]), int(counts[2]), int(counts[3]), int(counts[4]), np.array(port_ms), np.array(told_ms),
    )  # fmt: skip


def report(measured: Measured) -> str:
    """In lines."""

    def spread(name: str, values: np.ndarray) -> str:
        low, high, most = np.percentile(values, (50, 99, 100))
        return f"{name}: median {low:.2f} ms, p99 {high:.2f} ms, worst {most:.2f} ms"

    both = measured.port_ms + measured.told_ms
    return "\n".join(
        (
            f"{measured.sent} messages sent, {measured.came} came, {measured.left_out} left out, "
            f"{measured.disordered} out of order, {measured.unended} keys never ended, "
            f"{measured.doubled} that nobody sent",
            spread("from the port to the host, addressed by its sample", measured.told_ms),
            spread("from the second program's call, JACK's period in it", both),
            f"{measured.blocks} blocks, {measured.xruns} xruns, {measured.underruns} underruns, "
            f"{measured.unfed} of them of feeding",
        )
    )


def _await(play: subprocess.Popen[bytes], log: Path, words: str) -> None:
    def said() -> bool:
        text = log.read_text(errors="replace")
        if play.poll() is not None:
            raise RuntimeError(f"descant play ended: {text[-500:]}")
        return words in text

    wait_for(said, words, 120)


def _rest(play: subprocess.Popen[bytes], log: Path) -> None:
    """Let it catch up: as long as there may be something in the ports and queues."""
    try:
        play.wait(3)
    except subprocess.TimeoutExpired:
        return
    raise RuntimeError(f"descant play ended: {log.read_text(errors='replace')[-500:]}")


def main() -> None:
    """Thread: main."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    reader.add_argument("what", choices=("keys", "flood"))
    reader.add_argument("--seconds", type=float, default=10.0)
    reader.add_argument("--rate", type=int, default=10_000, help="of the flood, messages a second")
    reader.add_argument("--period", type=int, default=256, help="JACK's, samples at 48 kHz")
    reader.add_argument("--no-music", action="store_true", help="the host waits meanwhile")
    args = reader.parse_args()
    script = keys(args.seconds) if args.what == "keys" else flood(args.seconds, args.rate)
    print(report(measure(script, args.period, not args.no_music)))


if __name__ == "__main__":
    main()
