"""A hum as a MIDI file: the notes of its pitch trace, with the tempo and the key of its take.

Thread: any but audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mido
import numpy as np

from descant.host.keys import ALL
from descant.host.pitch import Note

TICKS = 480  # a quarter note
TEMPO = 120.0  # where a take has none


def write_midi(
    target: Path, notes: Sequence[Note], tempo: float = 0.0, key: str = "", name: str = ""
) -> None:
    """Notes as a file of one track. tempo: quarter notes a minute, 0 for TEMPO. key: "C", "F#m" or "".

    Raises OSError.
    """
    tempo = tempo if 4.0 <= tempo <= 960.0 else TEMPO
    track = mido.MidiTrack()
    if name:
        track.append(mido.MetaMessage("track_name", name=name.encode("latin-1", "replace").decode("latin-1")))
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    if key in {known.name for known in ALL}:
        track.append(mido.MetaMessage("key_signature", key=key))
    events: list[tuple[int, int, int, int]] = []  # tick, 0 for off, key, velocity: off before on at a tick
    for note in notes:
        start = round(note.start * tempo / 60 * TICKS)
        end = max(start + 1, round((note.start + note.seconds) * tempo / 60 * TICKS))
        events += [(start, 1, note.key, note.velocity), (end, 0, note.key, 0)]
    at = 0
    for tick, on, number, velocity in sorted(events):
        kind = "note_on" if on else "note_off"
        track.append(mido.Message(kind, note=number, velocity=int(np.clip(velocity, 0, 127)), time=tick - at))
        at = tick
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS)
    file.tracks.append(track)
    file.save(str(target))
