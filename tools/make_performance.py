"""Makes the shipped performance, `presets/performances/first-light.*`: pads, a CC ride, a hum and its notes.

Run `python -m tools.make_performance` after a change here; `--check` only compares with what is committed.
The first bar (bar 0) is a count-in: each pad is pressed a beat before the bar line where its music is wanted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile

from tools.hum_synth import HumNote, hum, write_notes

FOLDER = Path(__file__).resolve().parent.parent / "presets" / "performances"
NAME = "first-light"
TEMPO = 120.0  # quarter notes per minute
BEATS = 4  # a bar
PPQ = 480
PAD_CHANNEL = 9  # where pad controllers send
SECTIONS = (  # (bar at which it starts to sound, pad key, velocity, name)
    (1, 36, 112, "pad 1"),
    (5, 37, 104, "pad 2"),
    (9, 38, 112, "pad 3"),
    (13, 39, 120, "pad 4"),
    (17, 40, 100, "stop"),
)
BARS = 18  # the count-in, four sections of four bars, and one to fade in
RIDE_CONTROLLER = 1  # the modulation wheel
RIDE = (
    (9.0, 0.25),
    (11.0, 1.0),
    (13.0, 0.5),
    (15.0, 0.9),
    (17.0, 0.3),
)  # (bar, value 0..1), straight lines between

HUM_RATE = 32000
HUM_BARS = 4
HUM_SEED = 7
MELODY = (  # (beat of the clip, beats, key): C major, four bars, ends where it can begin again
    (0.0, 1.0, 64), (1.0, 1.0, 67), (2.0, 1.5, 69), (3.5, 0.5, 67),
    (4.0, 1.0, 64), (5.0, 1.0, 62), (6.0, 1.75, 60),
    (8.0, 1.0, 62), (9.0, 1.0, 64), (10.0, 1.5, 67), (11.5, 0.5, 69),
    (12.0, 1.0, 67), (13.0, 1.0, 64), (14.0, 1.75, 60),
)  # fmt: skip


def performance() -> mido.MidiFile:
    """The pads, the ride and the tempo, as a Standard MIDI File of type 1."""
    song = mido.MidiFile(type=1, ticks_per_beat=PPQ)
    conductor = [
        (0, mido.MetaMessage("track_name", name="First light")),
        (0, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(TEMPO))),
        (0, mido.MetaMessage("time_signature", numerator=BEATS, denominator=4)),
        (0, mido.MetaMessage("marker", text="count-in")),
    ]
    pads: list[tuple[int, mido.Message | mido.MetaMessage]] = [
        (0, mido.MetaMessage("track_name", name="Pads"))
    ]
    for bar, key, velocity, name in SECTIONS:
        conductor.append((_tick(bar), mido.MetaMessage("marker", text=name)))
        press = _tick(bar) - PPQ
        pads.append((press, mido.Message("note_on", channel=PAD_CHANNEL, note=key, velocity=velocity)))
        pads.append((press + PPQ // 4, mido.Message("note_off", channel=PAD_CHANNEL, note=key, velocity=0)))
    ride: list[tuple[int, mido.Message | mido.MetaMessage]] = [
        (0, mido.MetaMessage("track_name", name="Ride"))
    ]
    last = -1
    bars, values = zip(*RIDE, strict=True)
    for tick in range(_tick(bars[0]), _tick(bars[-1]), PPQ // 2):
        value = round(127 * float(np.interp(tick / _tick(1), bars, values)))
        if value != last:
            message = mido.Message(
                "control_change", channel=PAD_CHANNEL, control=RIDE_CONTROLLER, value=value
            )
            ride.append((tick, message))
            last = value
    for events in (conductor, pads, ride):
        track = mido.MidiTrack()
        at = 0
        for tick, message in sorted(events, key=lambda event: event[0]):
            track.append(message.copy(time=tick - at))
            at = tick
        track.append(mido.MetaMessage("end_of_track", time=_tick(BARS) - at))
        song.tracks.append(track)
    return song


def melody() -> list[HumNote]:
    """The hummed notes, in seconds from the clip's start."""
    beat = 60.0 / TEMPO
    return [
        HumNote(round(at * beat, 6), round((at + long) * beat - 0.01, 6), key) for at, long, key in MELODY
    ]


def make(folder: Path) -> list[Path]:
    """Writes the three files into `folder` and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    midi, wav, notes = (folder / f"{NAME}{end}" for end in (".mid", "-hum.wav", "-hum.json"))
    performance().save(str(midi))
    seconds = HUM_BARS * BEATS * 60.0 / TEMPO
    soundfile.write(wav, hum(melody(), seconds, HUM_RATE, HUM_SEED), HUM_RATE, subtype="PCM_16")
    write_notes(notes, melody(), seconds, TEMPO)
    return [midi, wav, notes]


def check(folder: Path) -> list[str]:
    """Names of files in `folder` that this script makes otherwise, beyond one 16-bit step of the hum."""
    stale = []
    with tempfile.TemporaryDirectory() as scratch:
        for fresh in make(Path(scratch)):
            kept = folder / fresh.name
            if not kept.exists():
                stale.append(fresh.name)
            elif fresh.suffix == ".wav":
                a, b = (soundfile.read(path, dtype="int16")[0].astype(int) for path in (fresh, kept))
                if a.shape != b.shape or int(np.abs(a - b).max()) > 1:
                    stale.append(fresh.name)
            elif fresh.read_bytes() != kept.read_bytes():
                stale.append(fresh.name)
    return stale


def _tick(bar: float) -> int:
    return round(bar * BEATS * PPQ)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when a committed file is stale"
    )
    if parser.parse_args().check:
        stale = check(FOLDER)
        for name in stale:
            print(f"{FOLDER.name}/{name} is stale: run python -m tools.make_performance", file=sys.stderr)
        return 1 if stale else 0
    for path in make(FOLDER):
        print(f"{path.name}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
