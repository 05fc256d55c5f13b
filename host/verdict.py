"""Whether pads are good by what was heard of them: what is wrong, in words a preset's author can act on.

Figures in, words out; every bound is here.
"""

from __future__ import annotations

import re

import numpy as np

from descant.host.audition import Audition
from descant.host.preset import Preset

LEVEL = (-36.0, -10.0)  # dBFS: softer is lost beside a band, louder has no room left
PEAK = -0.1  # dBTP
GAP = 0.75  # s without sound, in music that should go on
LOUDER = 6.0  # LU above or below the preset's other pads: a hand goes to the fader at every change
ONSETS = 0.1  # attacks a quarter note: less is one held sound
STRUCK = 0.6  # strikes a quarter note, where the words ask for drums
BUSY = 5.0  # strikes a quarter note: a machine gun; sixteenths are 4
STUCK = 1.5  # bars of one note or chord, where nothing holds it longer
IN_KEY = 0.75  # of the pitched energy; a random note is in any key with 0.58
CHORDS = 0.12  # chroma cosine with its own chords above that with moved ones
APART = 3.0  # dB a band between two pads of a preset
UNSTEADY = 9.0  # dB a band between seeds of one pad: nobody knows what it will sound like
DUPLICATE = 2.0  # dB a band between two presets, pad for nearest pad
_DRUMS = re.compile(r"(?<!\bno )(?<!\bwithout )\b(drums?|brushes|percussion)\b", re.IGNORECASE)


def asks_for_drums(text: str) -> bool:
    """Whether words name something that is struck all the time."""
    return _DRUMS.search(text) is not None


def longest_hold(preset: Preset, slot: int) -> float:
    """How many bars a pad's music may stay on one note or chord: with drums a line has to move; without, as
    long as its chords hold."""
    progression = preset.progression_of(slot)
    if progression is None or asks_for_drums(preset.prompts[slot].text):
        return STUCK
    return STUCK * progression.longest


def complaints(heard: Audition, slot: int) -> list[str]:
    """What is wrong with a pad, worst first; nothing for a good one. Figures are means over its seeds, but of
    peaks and gaps, where one is enough."""
    rows = [one.figures for one in heard.of(slot)]
    level = float(np.mean([row.level for row in rows]))
    louder = heard.louder(slot)
    than = "louder" if louder > 0 else "softer"
    onsets = float(np.mean([row.onsets for row in rows]))
    struck = float(np.mean([row.strikes for row in rows]))
    still = float(np.mean([row.still for row in rows]))
    drums = asks_for_drums(heard.preset.prompts[slot].text)
    peak, gap = max(row.peak for row in rows), max(row.gap for row in rows)
    in_key = float(np.mean([row.in_key for row in rows]))
    chords = float(np.mean([row.chords - row.others for row in rows]))
    spread = heard.spread(slot)
    other, near = heard.nearest(slot)
    found = [
        (peak > PEAK, f"peaks at {peak:.1f} dBTP"),
        (not LEVEL[0] <= level <= LEVEL[1], f"level {level:.0f} dBFS"),
        (gap > GAP, f"silent for {gap:.1f} s"),
        (abs(louder) > LOUDER, f"{abs(louder):.0f} LU {than} than the others"),
        (onsets < ONSETS, f"{onsets:.1f} attacks a beat"),
        (struck > BUSY, f"{struck:.1f} strikes a beat"),
        (drums and struck < STRUCK, f"no drums heard ({struck:.1f} strikes a beat)"),
        (still > longest_hold(heard.preset, slot), f"stuck for {still:.1f} bars"),
        (in_key < IN_KEY, f"in key {in_key:.2f}"),  # both are False where there is nothing to compare with
        (chords < CHORDS, f"chords {chords:+.2f}"),
        (near < APART, f"like pad {other} ({near:.1f} dB)"),
        (spread > UNSTEADY, f"seeds {spread:.1f} dB apart"),
    ]
    return [words for wrong, words in found if wrong]
