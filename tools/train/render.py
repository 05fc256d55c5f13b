"""Renders composed pieces with FluidSynth into shards: mono 32 kHz audio and frame labels.

A shard is NAME.npy (int16 [N, T], one row a piece) and NAME.json (captions, family, tempo ...) and
NAME.labels.npz (melody [N, F] pitch class or -1, chords [N, F] bit mask of pitch classes, beat [N, F] beats
from the piece's start).
One MIDI file holds a whole shard, so that the soundfont is loaded once.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

import mido
import numpy as np
import soundfile as sf

from .composer import DRUM_CHANNEL, Piece, compose

SAMPLE_RATE, HOP = 32000, 640
PIECE_SECONDS = 30.72  # 1536 frames
GAP_SECONDS = 1.28
TICKS_PER_SECOND = 2000
SOUNDFONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"


def labels_of(piece: Piece, n_frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frame labels: melody, chords, beat, each [F].

    melody: int8 pitch class, -1 none. chords: int16 bit mask. beat: float32 beats from the piece's start.
    """
    beat = np.arange(n_frames) * HOP / SAMPLE_RATE * piece.tempo / 60.0
    melody = np.full(n_frames, -1, np.int8)
    for note in piece.melody:
        melody[(beat >= note.start - 1e-6) & (beat < note.start + note.length)] = note.key % 12
    chords = np.zeros(n_frames, np.int16)
    for start, length, classes in piece.chords:
        chords[(beat >= start - 1e-6) & (beat < start + length)] = sum(1 << c for c in classes)
    return melody, chords, beat.astype(np.float32)


def _events(piece: Piece, offset: float) -> list[tuple[float, int, mido.Message]]:
    """(seconds, order, message) of one piece that starts at offset seconds; at its end all is silenced."""
    out: list[tuple[float, int, mido.Message]] = []
    end = offset + PIECE_SECONDS
    for channel in [*range(3), DRUM_CHANNEL]:
        level = mido.Message("control_change", channel=channel, control=7, value=piece.levels.get(channel, 0))
        out.append((offset - 0.05, 0, level))
        if channel in piece.programs:
            program = mido.Message("program_change", channel=channel, program=piece.programs[channel])
            out.append((offset - 0.05, 0, program))
        out.append((end, 3, mido.Message("control_change", channel=channel, control=120, value=0)))
    for note in piece.notes:
        start = offset + note.start * 60.0 / piece.tempo
        stop = min(end, start + max(0.03, note.length * 60.0 / piece.tempo))
        if start < end - 0.02:
            velocity = int(np.clip(note.velocity, 1, 127))
            on = mido.Message("note_on", channel=note.channel, note=note.key, velocity=velocity)
            out.append((start, 2, on))
            out.append((stop, 1, mido.Message("note_off", channel=note.channel, note=note.key)))
    return out


def render_shard(
    folder: Path, name: str, seeds: list[int], soundfont: str = SOUNDFONT, gain: float = 0.5
) -> None:
    """Composes and renders one shard of pieces; skips it when it is there.

    Raises CalledProcessError when FluidSynth fails, ValueError when it renders at another sample rate.
    """
    if (folder / f"{name}.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [compose(seed, PIECE_SECONDS) for seed in seeds]
    stride = PIECE_SECONDS + GAP_SECONDS
    events = sorted(
        (e for i, p in enumerate(pieces) for e in _events(p, 0.1 + i * stride)),
        key=lambda e: (round(e[0] * TICKS_PER_SECOND), e[1]),
    )
    track, last = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000)]), 0
    for seconds, _, message in events:
        tick = round(seconds * TICKS_PER_SECOND)
        track.append(message.copy(time=tick - last))
        last = tick
    midi = mido.MidiFile(ticks_per_beat=TICKS_PER_SECOND, tracks=[track])
    with tempfile.TemporaryDirectory() as scratch:
        midi.save(Path(scratch) / "shard.mid")
        sound = ["-g", str(gain), "-r", str(SAMPLE_RATE), "-C", "0", "-o", "synth.reverb.level=0.35"]
        files = ["-F", f"{scratch}/shard.wav", soundfont, f"{scratch}/shard.mid"]
        command = ["fluidsynth", "-ni", "-q", *sound, *files]
        subprocess.run(command, check=True, capture_output=True)
        audio, rate = sf.read(f"{scratch}/shard.wav", dtype="float32")
    if rate != SAMPLE_RATE:
        raise ValueError(f"FluidSynth rendered at {rate} Hz, {SAMPLE_RATE} wanted")
    mono = audio.mean(axis=1)
    length = round(PIECE_SECONDS * SAMPLE_RATE)
    rows = np.zeros((len(pieces), length), np.float32)
    for i in range(len(pieces)):
        start = round((0.1 + i * stride) * SAMPLE_RATE)
        cut = mono[start : start + length]
        rows[i, : len(cut)] = cut
        rms = float(np.sqrt(np.mean(cut**2))) + 1e-9
        rows[i] *= min(0.09 / rms, 0.95 / (float(np.abs(cut).max()) + 1e-9))  # equal loudness, never clipped
    labels = [labels_of(p, length // HOP) for p in pieces]
    np.save(folder / f"{name}.npy", np.round(rows * 32767).astype(np.int16))
    np.savez(
        folder / f"{name}.labels.npz",
        melody=np.stack([m for m, _, _ in labels]),
        chords=np.stack([c for _, c, _ in labels]),
        beat=np.stack([b for _, _, b in labels]),
    )
    keep = ("seed", "tempo", "beats_per_bar", "genre", "family", "key", "scale", "captions")
    (folder / f"{name}.json").write_text(json.dumps([{k: asdict(p)[k] for k in keep} for p in pieces]))
