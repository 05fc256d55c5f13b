"""What each genre of the procedural composer is made of: tempi, scales, progressions, grooves, instruments.

Data only. Drum grids are 16 steps a bar of 4/4 (12 of 3/4 are cut from them): x hit, o soft hit, . rest.
"""

from __future__ import annotations

from dataclasses import dataclass

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}

# family -> (General MIDI program (0-based), spoken name, lowest and highest key of its melodies)
LEADS: dict[str, tuple[tuple[int, str, int, int], ...]] = {
    "piano": ((0, "piano", 60, 88), (4, "electric piano", 58, 84), (1, "bright piano", 60, 88)),
    "chromatic percussion": (
        (11, "vibraphone", 60, 86),
        (12, "marimba", 57, 84),
        (9, "glockenspiel", 72, 96),
        (10, "music box", 67, 91),
    ),
    "organ": ((16, "organ", 57, 84), (19, "church organ", 55, 81), (21, "accordion", 57, 84)),
    "guitar": (
        (24, "nylon guitar", 55, 79),
        (25, "acoustic guitar", 55, 79),
        (26, "jazz guitar", 55, 79),
        (27, "electric guitar", 55, 81),
        (29, "overdriven guitar", 55, 79),
    ),
    "strings": ((40, "violin", 62, 88), (42, "cello", 45, 69), (48, "string ensemble", 57, 84)),
    "brass": ((56, "trumpet", 58, 82), (57, "trombone", 48, 70), (60, "french horn", 50, 74)),
    "reed": (
        (65, "alto saxophone", 56, 80),
        (66, "tenor saxophone", 50, 75),
        (68, "oboe", 60, 84),
        (71, "clarinet", 55, 82),
    ),
    "flute": ((73, "flute", 62, 91), (74, "recorder", 67, 91), (75, "pan flute", 62, 86)),
    "synth lead": ((80, "square synth lead", 57, 86), (81, "saw synth lead", 55, 84)),
    "synth pad": ((89, "warm synth pad", 57, 81), (90, "polysynth", 57, 84), (88, "synth pad", 57, 84)),
}

# General MIDI drum keys used by the grids
KICK, RIM, SNARE, CLAP, HAT, OPEN_HAT = 36, 37, 38, 39, 42, 46
TOM, CRASH, RIDE, CONGA, SHAKER = 45, 49, 51, 63, 70


@dataclass(frozen=True)
class Genre:
    """One genre: everything the composer may choose from."""

    name: str
    tempo: tuple[int, int]
    scales: tuple[str, ...]
    progressions: tuple[tuple[int, ...], ...]  # scale degrees, one a bar, 0 is the tonic
    seventh: float  # probability that its chords carry a seventh
    swing: float  # beat fraction of the off-beat eighth: 0.5 straight, 0.66 shuffled
    leads: tuple[str, ...]  # families
    chords: tuple[tuple[int, str], ...]  # program, spoken name
    comp: tuple[str, ...]  # accompaniment styles: hold, pulse, arp, offbeat, stab, strum
    basses: tuple[tuple[int, str], ...]
    bass_style: tuple[str, ...]  # root, eighths, walk, synco, octave, long
    grooves: tuple[dict[int, str], ...]  # empty dict: no drums
    moods: tuple[str, ...]
    density: float  # how busy its melodies are, 0..1
    metres: tuple[int, ...] = (4,)


PIANO, EPIANO, NYLON, STEEL, CLEAN = (
    (0, "piano"),
    (4, "electric piano"),
    (24, "nylon guitar"),
    (25, "acoustic guitar"),
    (27, "electric guitar"),
)
ORGAN, STRINGS, PAD, CHOIR = (16, "organ"), (48, "strings"), (89, "synth pad"), (52, "choir")
DOUBLE, FINGER, PICK, SYNTHBASS = (
    (32, "double bass"),
    (33, "bass guitar"),
    (34, "picked bass"),
    (38, "synth bass"),
)
FOUR = {KICK: "x...x...x...x...", OPEN_HAT: "..x...x...x...x.", CLAP: "....x.......x..."}
ROCK = {KICK: "x.....x.x.......", SNARE: "....x.......x...", HAT: "x.x.x.x.x.x.x.x."}
BRUSH = {RIDE: "x...x..ox...x..o", HAT: "....x.......x...", KICK: "o.......o......."}

GENRES: tuple[Genre, ...] = (
    Genre(
        "pop",
        (90, 128),
        ("major", "minor"),
        ((0, 4, 5, 3), (5, 3, 0, 4), (0, 5, 3, 4)),
        0.1,
        0.5,
        ("piano", "guitar", "synth lead", "strings", "flute"),
        (PIANO, EPIANO, STEEL, PAD),
        ("pulse", "strum", "hold"),
        (FINGER, SYNTHBASS),
        ("eighths", "root"),
        (ROCK, {KICK: "x...x...x...x...", SNARE: "....x.......x...", HAT: "x.x.x.x.x.x.x.x."}),
        ("bright", "uplifting", "catchy", "warm"),
        0.55,
    ),
    Genre(
        "rock",
        (100, 150),
        ("mixolydian", "minor", "major"),
        ((0, 6, 3, 0), (0, 3, 4, 3), (0, 0, 6, 3)),
        0.0,
        0.5,
        ("guitar", "organ", "guitar"),
        (CLEAN, (29, "overdriven guitar"), ORGAN),
        ("pulse", "hold"),
        (PICK, FINGER),
        ("eighths",),
        (ROCK, {KICK: "x..x..x.x..x....", SNARE: "....x.......x...", HAT: "x.x.x.x.x.x.x.x."}),
        ("driving", "energetic", "raw"),
        0.55,
    ),
    Genre(
        "jazz",
        (80, 150),
        ("dorian", "major", "minor"),
        ((1, 4, 0, 0), (0, 5, 1, 4), (1, 4, 0, 5)),
        1.0,
        0.66,
        ("reed", "brass", "piano", "guitar", "chromatic percussion"),
        (PIANO, (26, "jazz guitar")),
        ("stab", "offbeat"),
        (DOUBLE,),
        ("walk",),
        (BRUSH,),
        ("calm", "smoky", "relaxed", "late-night"),
        0.6,
        (4, 4, 4, 3),
    ),
    Genre(
        "blues",
        (70, 115),
        ("mixolydian", "dorian"),
        ((0, 0, 0, 0, 3, 3, 0, 0, 4, 3, 0, 4), (0, 3, 0, 4)),
        1.0,
        0.66,
        ("guitar", "reed", "organ", "piano"),
        (PIANO, ORGAN, CLEAN),
        ("pulse", "stab"),
        (FINGER, DOUBLE),
        ("walk", "root"),
        ({KICK: "x.......x.......", SNARE: "....x.......x...", RIDE: "x..ox..ox..ox..o"},),
        ("slow", "gritty", "soulful"),
        0.5,
    ),
    Genre(
        "funk",
        (92, 116),
        ("dorian", "mixolydian"),
        ((0, 0, 3, 3), (0, 0, 0, 4)),
        1.0,
        0.5,
        ("brass", "reed", "synth lead", "organ"),
        (CLEAN, EPIANO),
        ("stab", "offbeat"),
        (FINGER, (36, "slap bass")),
        ("synco", "octave"),
        ({KICK: "x..x......x..x..", SNARE: "....x..o.o..x...", HAT: "xxxxxxxxxxxxxxxx"},),
        ("groovy", "tight", "playful"),
        0.6,
    ),
    Genre(
        "house",
        (118, 128),
        ("minor", "dorian"),
        ((0, 5, 2, 6), (0, 0, 3, 4)),
        0.6,
        0.5,
        ("piano", "synth lead", "synth pad", "organ"),
        (PIANO, EPIANO, PAD),
        ("offbeat", "stab"),
        (SYNTHBASS,),
        ("octave", "synco"),
        (FOUR, {KICK: "x...x...x...x...", HAT: "x.xxx.xxx.xxx.xx", CLAP: "....x.......x..."}),
        ("deep", "uplifting", "hypnotic"),
        0.5,
    ),
    Genre(
        "techno",
        (124, 140),
        ("minor",),
        ((0, 0, 0, 0), (0, 0, 5, 5)),
        0.0,
        0.5,
        ("synth lead", "synth pad"),
        (PAD, (81, "saw synth")),
        ("arp", "pulse"),
        (SYNTHBASS, (39, "acid bass")),
        ("octave", "eighths"),
        ({KICK: "x...x...x...x...", HAT: "..x...x...x...x.", RIM: "...x..x....x..x."},),
        ("dark", "driving", "hypnotic"),
        0.7,
    ),
    Genre(
        "hip hop",
        (78, 98),
        ("minor", "dorian"),
        ((0, 5, 3, 4), (0, 0, 5, 5)),
        0.6,
        0.56,
        ("piano", "chromatic percussion", "flute", "reed"),
        (EPIANO, PIANO, STRINGS),
        ("hold", "stab"),
        (SYNTHBASS, FINGER),
        ("synco", "long"),
        ({KICK: "x..x...x..x.....", SNARE: "....x.......x...", HAT: "x.x.x.x.x.xxx.x."},),
        ("laid-back", "dusty", "moody"),
        0.45,
    ),
    Genre(
        "ambient",
        (60, 84),
        ("major", "minor", "dorian"),
        ((0, 3), (0, 5, 3, 3), (0, 2)),
        0.5,
        0.5,
        ("synth pad", "flute", "chromatic percussion", "piano", "strings"),
        (PAD, STRINGS, CHOIR),
        ("hold", "arp"),
        (DOUBLE, SYNTHBASS),
        ("long",),
        ({},),
        ("floating", "peaceful", "spacious"),
        0.25,
    ),
    Genre(
        "folk",
        (84, 124),
        ("major", "mixolydian", "dorian"),
        ((0, 3, 0, 4), (0, 4, 3, 0), (5, 3, 0, 4)),
        0.0,
        0.5,
        ("flute", "guitar", "strings", "organ"),
        (STEEL, NYLON),
        ("strum", "arp"),
        (DOUBLE,),
        ("root",),
        ({}, {SHAKER: "x.x.x.x.x.x.x.x.", KICK: "x.......x......."}),
        ("gentle", "rustic", "cheerful"),
        0.5,
        (4, 3),
    ),
    Genre(
        "classical",
        (70, 130),
        ("major", "minor"),
        ((0, 3, 4, 0), (0, 5, 1, 4), (0, 4, 5, 3)),
        0.2,
        0.5,
        ("strings", "piano", "flute", "reed", "brass"),
        (PIANO, STRINGS, (46, "harp")),
        ("arp", "hold"),
        ((42, "cello"), DOUBLE),
        ("long", "root"),
        ({},),
        ("elegant", "tender", "noble"),
        0.5,
        (4, 3),
    ),
    Genre(
        "reggae",
        (70, 92),
        ("major", "minor"),
        ((0, 3, 0, 4), (0, 4, 5, 3)),
        0.1,
        0.5,
        ("organ", "brass", "guitar", "flute"),
        (CLEAN, ORGAN),
        ("offbeat",),
        (FINGER,),
        ("synco",),
        ({KICK: "........x.......", SNARE: "........x.......", HAT: "x.x.x.x.x.x.x.x."},),
        ("sunny", "laid-back", "easy"),
        0.45,
    ),
    Genre(
        "latin",
        (92, 128),
        ("minor", "dorian", "major"),
        ((0, 4, 4, 0), (0, 3, 4, 4)),
        0.6,
        0.5,
        ("guitar", "brass", "flute", "piano"),
        (NYLON, PIANO),
        ("synco", "offbeat"),
        (DOUBLE, FINGER),
        ("synco",),
        ({CONGA: "x.ox.ox.x.ox.oxx", RIM: "x..x..x...x.x...", SHAKER: "xoxoxoxoxoxoxoxo"},),
        ("sultry", "festive", "warm"),
        0.6,
    ),
    Genre(
        "cinematic",
        (66, 110),
        ("minor", "dorian", "major"),
        ((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 4)),
        0.1,
        0.5,
        ("strings", "brass", "piano", "reed"),
        (STRINGS, CHOIR, PAD),
        ("hold", "pulse"),
        ((43, "contrabass"), (42, "cello")),
        ("long", "eighths"),
        ({}, {TOM: "x.....x.x.....xx", KICK: "x.......x......."}),
        ("epic", "tense", "dramatic"),
        0.35,
    ),
)
