"""Composes one short piece from a seed: notes of every part, captions, melody and chords as labels.

Pure: a seed in, a Piece out. Knows nothing about audio, MIDI files or the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .genres import CRASH, GENRES, LEADS, SCALES, Genre

PITCH_NAMES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
DRUM_CHANNEL = 9


@dataclass(frozen=True)
class Note:
    """One sounding note.

    channel: its part's MIDI channel. start: quarter notes from the piece's start. length: in quarter notes.
    """

    channel: int
    start: float
    length: float
    key: int
    velocity: int


@dataclass(frozen=True)
class Piece:
    """A composed piece. programs: MIDI channel -> General MIDI program. levels: channel -> CC 7 volume.

    melody: the lead's notes. chords: (start beat, length in beats, pitch classes). family: the lead's family,
    "" without one.
    """

    seed: int
    tempo: float
    beats_per_bar: int
    n_bars: int
    genre: str
    family: str
    key: int
    scale: str
    notes: tuple[Note, ...]
    melody: tuple[Note, ...]
    chords: tuple[tuple[float, float, tuple[int, ...]], ...]
    programs: dict[int, int]
    levels: dict[int, int]
    captions: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return self.n_bars * self.beats_per_bar * 60.0 / self.tempo


def _chord_keys(scale: tuple[int, ...], degree: int, seventh: bool) -> list[int]:
    """Semitones above the tonic of the chord on a scale degree: root, third, fifth (, seventh)."""
    return [
        scale[(degree + s) % 7] + 12 * ((degree + s) // 7) for s in ((0, 2, 4, 6) if seventh else (0, 2, 4))
    ]


def _swung(beat: float, swing: float) -> float:
    """Moves an off-beat eighth (and the sixteenths about it) to where the swing puts it."""
    whole, part = divmod(beat, 1.0)
    return whole + (part * swing / 0.5 if part < 0.5 else swing + (part - 0.5) * (1 - swing) / 0.5)


def _rhythm(rng: np.random.Generator, beats: int, density: float) -> list[tuple[float, float]]:
    """One bar of melody rhythm: (start, length) in beats, denser when density is higher."""
    out, at = [], 0.0
    while at < beats - 1e-6:
        long, short = 1.0 - density, density
        length = float(
            rng.choice(
                [0.25, 0.5, 0.5, 0.75, 1.0, 1.5, 2.0],
                p=_norm([0.25 * short, short, short, 0.3, 0.9, 0.7 * long, 0.9 * long]),
            )
        )
        length = min(length, beats - at)
        if rng.random() > 0.14:
            out.append((at, length))
        at += length
    return out


def _norm(weights: list[float]) -> list[float]:
    total = sum(weights)
    return [w / total for w in weights]


def _melody(
    rng: np.random.Generator,
    genre: Genre,
    scale: tuple[int, ...],
    key: int,
    bars: list[list[int]],
    beats: int,
    low: int,
    high: int,
) -> list[tuple[float, float, int, int]]:
    """A lead line: one-bar rhythms repeated (A B A C or A A B A), small steps, chord tones where strong.

    bars: chord of each bar, semitones above key. low, high: MIDI keys. -> (start, length, key, velocity).
    """
    ladder = [k for k in range(low, high + 1) if (k - key) % 12 in scale]
    at = len(ladder) // 2 + int(rng.integers(-2, 3))
    motifs = [_rhythm(rng, beats, genre.density) for _ in range(3)]
    form = [0, 1, 0, 2] if rng.random() < 0.6 else [0, 0, 1, 0]
    rest_every = int(rng.choice([0, 0, 4, 8]))
    out = []
    for bar, chord in enumerate(bars):
        if rest_every and bar % rest_every == rest_every - 1:
            continue
        for start, length in motifs[form[bar % 4]]:
            step = int(rng.choice([-3, -2, -1, -1, 0, 1, 1, 2, 3]))
            at = int(np.clip(at + step, 1, len(ladder) - 2))
            if (start % 1.0 == 0 and rng.random() < 0.7) or length >= 1.0:
                classes = {(c + key) % 12 for c in chord}
                at = min(range(len(ladder)), key=lambda i: (ladder[i] % 12 not in classes, abs(i - at)))
            velocity = int(np.clip(98 + (8 if start % 2 == 0 else 0) + rng.integers(-9, 10), 60, 124))
            out.append(
                (
                    bar * beats + _swung(start, genre.swing),
                    length * float(rng.uniform(0.8, 0.98)),
                    ladder[at],
                    velocity,
                )
            )
        if rng.random() < 0.12:
            at = len(ladder) // 2
    return out


def _comp(
    style: str, rng: np.random.Generator, voiced: list[int], beats: int, swing: float
) -> list[tuple[float, float, int, int]]:
    """One bar of accompaniment in a style: (start, length, key, velocity)."""
    base = 66
    if style == "hold":
        return [(0.0, beats * 0.98, k, base) for k in voiced]
    if style == "pulse":
        return [(b, 0.85, k, base + (6 if b == 0 else 0)) for b in range(beats) for k in voiced]
    if style == "offbeat":
        return [(b + swing, 0.35, k, base + 4) for b in range(beats) for k in voiced]
    if style == "stab":
        hits = [0.0, 1.5] if rng.random() < 0.5 else [1.0, 2.5]
        return [(_swung(h, swing), 0.4, k, base + 8) for h in hits if h < beats for k in voiced]
    if style == "synco":
        return [(h, 0.4, k, base + 4) for h in (0.0, 0.75, 1.5, 2.5, 3.25) if h < beats for k in voiced]
    if style == "strum":
        return [
            (b * 0.5 + 0.012 * i, 0.48, k, base + (8 if b % 2 == 0 else -8))
            for b in range(2 * beats)
            if b != 1
            for i, k in enumerate(voiced)
        ]
    order = voiced + voiced[-2:0:-1]
    return [(i * 0.5, 0.6, order[i % len(order)], base) for i in range(2 * beats)]


def _bass(
    style: str, rng: np.random.Generator, chord: list[int], next_root: int, key: int, beats: int, swing: float
) -> list[tuple[float, float, int, int]]:
    """One bar of bass in a style: (start, length, key, velocity)."""
    root = 36 + (key + chord[0]) % 12
    if root > 43:
        root -= 12
    tones = [root, root + (chord[1] - chord[0]), root + (chord[2] - chord[0])]
    if style == "long":
        return [(0.0, beats * 0.98, root, 82)]
    if style == "root":
        return [(0.0, 1.6, root, 88)] + ([(2.0, 1.6, tones[2], 82)] if beats == 4 else [])
    if style == "eighths":
        return [(i * 0.5, 0.44, root, 88 if i % 2 == 0 else 76) for i in range(2 * beats)]
    if style == "walk":
        line = [root, tones[1], tones[2], 36 + (key + next_root) % 12 - 1]
        return [(float(b), 0.9, line[b % 4] if b < beats - 1 else line[3], 86) for b in range(beats)]
    if style == "octave":
        return [(i * 0.5, 0.4, root + (12 if i % 2 else 0), 88) for i in range(2 * beats)]
    return [
        (h, w, k, 88)
        for h, w, k in (
            (0.0, 0.7, root),
            (0.75, 0.4, root),
            (1.5, 0.7, tones[2]),
            (2.5, 0.4, root),
            (3.0, 0.7, tones[2] if rng.random() < 0.5 else root),
        )
        if h < beats
    ]


def compose(seed: int, min_seconds: float = 30.0) -> Piece:
    """Composes the piece of this seed, at least min_seconds long in whole bars. Same seed, same piece."""
    rng = np.random.default_rng(seed)
    genre = GENRES[int(rng.integers(len(GENRES)))]
    tempo = float(rng.integers(genre.tempo[0], genre.tempo[1] + 1))
    beats = int(rng.choice(genre.metres))
    key, scale_name = int(rng.integers(12)), str(rng.choice(genre.scales))
    scale = SCALES[scale_name]
    n_bars = int(np.ceil(min_seconds * tempo / 60.0 / beats))
    progression = genre.progressions[int(rng.integers(len(genre.progressions)))]
    seventh = bool(rng.random() < genre.seventh)
    bars = [_chord_keys(scale, progression[b % len(progression)], seventh) for b in range(n_bars)]

    layers = rng.random()  # solo lead, small group, everything, no lead
    with_lead, with_chords = layers < 0.86, layers > 0.14
    with_bass, with_drums = layers > 0.24, layers > 0.32
    family = str(rng.choice(genre.leads)) if rng.random() < 0.6 else str(rng.choice(list(LEADS)))
    program, lead_name, low, high = LEADS[family][int(rng.integers(len(LEADS[family])))]
    notes: list[Note] = []
    programs: dict[int, int] = {}
    levels: dict[int, int] = {}
    parts: list[str] = []

    melody: list[Note] = []
    if with_lead:
        programs[0], levels[0] = program, 112
        melody = [Note(0, *n) for n in _melody(rng, genre, scale, key, bars, beats, low, high)]
        notes += melody
        parts.append(lead_name)
    chord_choice = genre.chords[int(rng.integers(len(genre.chords)))]
    style = str(rng.choice(genre.comp))
    if with_chords:
        programs[1], levels[1] = chord_choice[0], 72 if with_lead else 96
        lowest = 50 + 3 * int(rng.integers(4))  # where the voicing sits: close position above this key
        for b, chord in enumerate(bars):
            voiced = sorted(lowest + (key + c - lowest) % 12 for c in chord)
            notes += [
                Note(1, b * beats + s, w, k, v + int(rng.integers(-5, 6)))
                for s, w, k, v in _comp(style, rng, voiced, beats, genre.swing)
            ]
        if chord_choice[1] != lead_name:
            parts.append(chord_choice[1])
    bass_choice = genre.basses[int(rng.integers(len(genre.basses)))]
    bass_style = str(rng.choice(genre.bass_style))
    if with_bass:
        programs[2], levels[2] = bass_choice[0], 92
        for b, chord in enumerate(bars):
            following = bars[(b + 1) % n_bars][0]
            notes += [
                Note(2, b * beats + s, w, k, v)
                for s, w, k, v in _bass(bass_style, rng, chord, following, key, beats, genre.swing)
            ]
        parts.append(bass_choice[1])
    groove = genre.grooves[int(rng.integers(len(genre.grooves)))]
    if with_drums and groove:
        levels[DRUM_CHANNEL] = 88
        for b in range(n_bars):
            for drum, grid in groove.items():
                for i, hit in enumerate(grid[: 4 * beats]):
                    if hit != ".":
                        velocity = (
                            (96 if hit == "x" else 56) - (14 if i % 2 else 0) + int(rng.integers(-6, 7))
                        )
                        notes.append(
                            Note(DRUM_CHANNEL, b * beats + _swung(i / 4, genre.swing), 0.2, drum, velocity)
                        )
            if b % 8 == 0 and rng.random() < 0.3:
                notes.append(Note(DRUM_CHANNEL, float(b * beats), 0.5, CRASH, 84))
        parts.append("brushes" if genre.name == "jazz" else "drums")

    led_by = family if with_lead else ""
    held = [
        (float(b * beats), float(beats), tuple(sorted({(key + c) % 12 for c in chord})))
        for b, chord in enumerate(bars)
    ]
    return Piece(
        seed=seed,
        tempo=tempo,
        beats_per_bar=beats,
        n_bars=n_bars,
        genre=genre.name,
        family=led_by,
        key=key,
        scale=scale_name,
        notes=tuple(sorted(notes, key=lambda n: n.start)),
        melody=tuple(melody),
        chords=tuple(held) if with_chords else (),
        programs=programs,
        levels=levels,
        captions=_captions(rng, genre, tempo, beats, key, scale_name, led_by, lead_name, parts),
    )


def _captions(
    rng: np.random.Generator,
    genre: Genre,
    tempo: float,
    beats: int,
    key: int,
    scale: str,
    family: str,
    lead: str,
    parts: list[str],
) -> tuple[str, ...]:
    """Six true captions of different length and wording: what a person might type for this piece."""
    mood = str(rng.choice(genre.moods))
    listed = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    where = f"in {PITCH_NAMES[key]} {scale}"
    pace = "slow" if tempo < 86 else "fast" if tempo > 122 else "mid-tempo"
    waltz = " in three" if beats == 3 else ""
    shown = lead if family else parts[0]
    role = f"{shown} melody" if family else f"{shown} accompaniment, no melody"
    return (
        f"{mood} {genre.name} with {listed} at {tempo:.0f} bpm {where}{waltz}",
        f"{mood} {genre.name} with {listed}",
        f"{genre.name}, {role}",
        f"{pace} {genre.name} with {shown}, {where}",
        f"{shown}" if len(parts) == 1 else f"{shown}, {mood} {genre.name}{waltz}",
        f"{mood} {genre.name} at {tempo:.0f} bpm with {shown}"
        + (f" ({family})" if family and family not in shown else ""),
    )
