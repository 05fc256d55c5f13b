"""Plays three minutes on the real `descant play`, with controllers, a hum and loops; reports.

`python -m tools.stage_show --out FOLDER`: JACK's dummy server at 48 kHz with 256 samples, two
programs as controllers, a third that hums into the input and records the output, the embedded model
generating all the while. Writes a report, a picture and the sound; judges nothing.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.figure import Figure

from tools.picture import FAINT, INK, PANEL, PAPER, SECTION_COLOURS
from tools.stage_rig import Jack, Script, ScriptedPlayer, ended, environment_of, wait_for

RATE, PERIOD = 48000, 256
HUM = Path(__file__).parents[1] / "presets" / "performances" / "first-light-hum.wav"
PADS = {
    60: "loop 1 press",
    61: "loop 2 capture",
    62: "loop 3 press",
    63: "loop 4 capture",
    64: "loop 1 overdub",
    65: "loop 2 mute",
    66: "loop 3 reverse",
    67: "loop 4 undo",
    68: "loop 1 stop all",
    69: "loop 4 redo",
}
KNOBS = {20: "x", 21: "y", 22: "xy", 23: "temperature"}
# Of the whole: what is pressed when. Keys 36 and up are the preset's pads.
PRESSES = (
    *((0.00, 36), (0.04, 60), (0.10, 60), (0.16, 37), (0.22, 61), (0.28, 64), (0.34, 64), (0.38, 38)),
    *((0.44, 62), (0.50, 62), (0.54, 39), (0.60, 63), (0.65, 65), (0.70, 65), (0.74, 66), (0.80, 36)),
    *((0.84, 67), (0.87, 69), (0.90, 37), (0.97, 68)),
)
# Plays a hum again and again and records what comes in; channels 2, float32.
HUMMER = """
import sys, numpy as np, sounddevice, soundfile
hum, rate = soundfile.read(sys.argv[1], dtype="float32")
heard, at = [], 0
import soxr
hum = soxr.resample(hum, rate, 48000)
hum = np.concatenate((hum, np.zeros(24000, np.float32)))
def block(data, out, frames, time, status):
    global at
    places = (at + np.arange(frames)) % len(hum)
    out[:] = hum[places, None]
    at += frames
    heard.append(data.copy())
device = next(i for i, d in enumerate(sounddevice.query_devices()) if d["name"] == "system")
with sounddevice.Stream(samplerate=48000, blocksize=256, device=(device, device), channels=2, dtype="float32",
                        callback=block):
    print("ready", flush=True)
    sys.stdin.readline()
soundfile.write(sys.argv[2], np.concatenate(heard), 48000, subtype="FLOAT")
"""
ENDED = re.compile(
    r"(\d+) blocks, (\d+) xruns, (\d+) underruns \((\d+) of our feeding\), (\d+) restarts, (\d+) events of "
    r"controllers, (\d+) loops"
)


@dataclass(frozen=True)
class Shown:
    """One performance. wave: [C, T] float32 at RATE. said: what the command printed."""

    seconds: float
    presses: int
    moves: int
    blocks: int
    xruns: int
    underruns: int
    unfed: int
    restarts: int
    events: int
    loops: int
    wave: np.ndarray
    said: str


def pads(seconds: float) -> Script:
    """Every press, and its release a little later."""
    script: Script = []
    for share, key in PRESSES:
        script += [(share * seconds, [0x90, key, 100]), (share * seconds + 0.1, [0x80, key, 0])]
    return sorted(script, key=lambda row: row[0])


def knobs(seconds: float) -> Script:
    """The point on the plane goes round, forty messages a second, and the temperature up and down, slowly."""
    script: Script = [(0.01, [0xB0, 22, 127])]
    for number in range(round(seconds * 20)):
        at, turn = number / 20, 2 * np.pi * number / 20 / 12
        if number % 200 < 120:  # six seconds of every ten
            script.append((at, [0xB0, 20, round(63.5 + 63 * np.cos(turn))]))
            script.append((at, [0xB0, 21, round(63.5 + 63 * np.sin(turn))]))
        if number % 20 == 0:
            script.append((at, [0xB0, 23, round(70 + 20 * np.sin(turn / 3))]))
    return sorted(script, key=lambda row: row[0])


def perform(seconds: float = 180.0, period: int = PERIOD) -> Shown:
    """Play it. Raises RuntimeError where `descant play` ends early, TimeoutError where it never begins."""
    jack = Jack(RATE, period, exact=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_profiles(folder)
        environment = environment_of(jack)
        jack.start()
        players = [ScriptedPlayer("pads", jack.environment), ScriptedPlayer("knobs", jack.environment)]
        words = [sys.executable, "-m", "descant.host.cli", "play", "--takes", str(folder / "takes")]
        words += ["--block", str(period), "--controllers", name, "--threads", "1"]
        words += ["--midi-port", "pads", "--midi-port", "knobs"]
        log, sound = folder / "log", folder / "heard.wav"
        with log.open("wb") as said:
            play = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT, env=environment)
        hummer = None
        try:
            for words_of in ("pads:keys is connected", "knobs:keys is connected"):
                wait_for(lambda: _said(play, log, words_of), words_of, 120)  # noqa: B023
            ours = _audio_ports(jack)
            hummer = subprocess.Popen(
                [sys.executable, "-c", HUMMER, str(HUM), str(sound)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            )  # fmt: skip
            assert hummer.stdout is not None and hummer.stdin is not None
            if hummer.stdout.readline().strip() != "ready":
                raise RuntimeError("the humming program ended")
            theirs = [port for port in _audio_ports(jack) if port not in ours]
            for kind_out, kind_in, one, other in (
                ("out_", "in_", theirs, ours),
                ("out_", "in_", ours, theirs),
            ):
                sources = [port for port in one if kind_out in port]
                targets = [port for port in other if kind_in in port]
                for source, target in zip(sources, targets):
                    jack.connect(source, target)
            scripts = [pads(seconds), knobs(seconds)]
            for player, script in zip(players, scripts):
                player.play(script)
            for player in players:
                player.sent()
            hummer.stdin.write("\n")
            hummer.stdin.flush()
            hummer.wait(60)
            play.send_signal(2)
            play.wait(60)
        finally:
            for player in players:
                player.unplug()
            ended(hummer, play)
            jack.stop()
        text = log.read_text(errors="replace")
        wave, _ = soundfile.read(sound, dtype="float32", always_2d=True)
    return shown(seconds, wave.T, text)


def shown(seconds: float, wave: np.ndarray, said: str) -> Shown:
    """What the command's last line counts. Raises RuntimeError where there is none."""
    ended = ENDED.search(said)
    if ended is None:
        raise RuntimeError(f"descant play did not end as it should: {said[-800:]}")
    blocks, xruns, underruns, unfed, restarts, events, loops = map(int, ended.groups())
    presses, moves = len(PRESSES), len(knobs(seconds))
    return Shown(
        seconds, presses, moves, blocks, xruns, underruns, unfed, restarts, events, loops, wave, said
    )


def report(played: Shown) -> str:
    """In lines."""
    heard = played.wave
    level = 20 * np.log10(max(1e-9, float(np.sqrt((heard**2).mean()))))
    return "\n".join(
        (
            f"{played.seconds:.0f} s at {RATE} Hz / {PERIOD}: {played.presses} presses, {played.moves} "
            f"moves of knobs, {played.events} acted on, {played.loops} loops at the end",
            f"{played.blocks} blocks, {played.xruns} xruns of the server, {played.underruns} underruns "
            f"({played.unfed} of feeding), {played.restarts} restarts of the audio process",
            f"heard: {heard.shape[1] / RATE:.1f} s, {level:.1f} dBFS, peak {np.abs(heard).max():.2f}, "
            f"longest silence {longest_silence(heard):.2f} s",
            "",
            played.said.strip(),
        )
    )


def longest_silence(wave: np.ndarray) -> float:
    """The longest run of exact zeros after the first sound, in seconds of RATE."""
    sounding = np.flatnonzero(wave.any(axis=0))
    return float(np.diff(sounding).max() - 1) / RATE if len(sounding) > 1 else wave.shape[1] / RATE


def draw(played: Shown) -> Figure:
    """The sound with every press, and where the point on the plane was."""
    figure = Figure(figsize=(16, 8), dpi=110, facecolor=PAPER)
    rows = figure.subplots(3, 1, sharex=True, height_ratios=(2, 2, 1))
    wave = played.wave.mean(axis=0)
    step = max(1, len(wave) // 4000)
    parts = wave[: len(wave) // step * step].reshape(-1, step)
    seconds = np.arange(len(parts)) * step / RATE
    rows[0].fill_between(seconds, parts.min(axis=1), parts.max(axis=1), color=SECTION_COLOURS[0], lw=0)
    noise = np.random.default_rng(0).normal(0, 1e-7, len(wave))  # silence has no logarithm
    rows[1].specgram(wave + noise, NFFT=2048, Fs=RATE, noverlap=1024, vmin=-140, vmax=-30)
    rows[1].set_ylim(0, 6000)
    for share, key in PRESSES:
        label = PADS.get(key, f"pad {key - 35}")
        rows[0].axvline(share * played.seconds, color=FAINT, lw=0.6)
        rows[0].text(share * played.seconds, 1.02, label, color=INK, fontsize=8, rotation=40,
                     transform=rows[0].get_xaxis_transform())  # fmt: skip
    for number, name in KNOBS.items():
        moved = [(at, data[2]) for at, data in knobs(played.seconds) if data[1] == number]
        rows[2].plot(*zip(*moved), ".", ms=2, label=name)
    rows[2].legend(loc="right", fontsize=8)
    for axes, name in zip(rows, ("heard", "Hz", "knobs")):
        axes.set_facecolor(PANEL)
        axes.tick_params(colors=FAINT)
        axes.set_ylabel(name, color=INK)
    rows[2].set_xlabel("seconds", color=INK)
    rows[2].set_xlim(0, seconds[-1])
    figure.suptitle(report(played).splitlines()[1], color=INK, x=0.01, ha="left", y=0.995, fontsize=10)
    figure.subplots_adjust(left=0.05, right=0.98, top=0.86, bottom=0.07, hspace=0.08)
    return figure


def _write_profiles(folder: Path) -> None:
    rows = "".join(f'[[bindings]]\non = "note {key}"\ndo = "{do}"\n' for key, do in PADS.items())
    (folder / "pads.toml").write_text(f'name = "pads"\nport = "pads"\n{rows}')
    rows = "".join(
        f'[[bindings]]\non = "cc {number}"\ndo = "parameter {name}"\npick_up = false\n'
        for number, name in KNOBS.items()
    )
    (folder / "knobs.toml").write_text(f'name = "knobs"\nport = "knobs"\n{rows}')


def _audio_ports(jack: Jack) -> list[str]:
    return [
        port
        for port in jack.ports().split()
        if not port.startswith("system") and ("out_" in port or "in_" in port)
    ]


def _said(play: subprocess.Popen[bytes], log: Path, words: str) -> bool:
    text = log.read_text(errors="replace")
    if play.poll() is not None:
        raise RuntimeError(f"descant play ended: {text[-800:]}")
    return words in text


def main() -> None:
    """Thread: main."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    reader.add_argument("--seconds", type=float, default=180.0)
    reader.add_argument("--out", type=Path, default=Path("out"))
    args = reader.parse_args()
    played = perform(args.seconds)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "stage-show.txt").write_text(report(played) + "\n")
    soundfile.write(args.out / "stage-show.wav", played.wave.T, RATE)
    draw(played).savefig(args.out / "stage-show.png")
    print(report(played))


if __name__ == "__main__":
    main()
