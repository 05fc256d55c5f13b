"""Whether pads are good by what was heard of them: what is wrong, in words a preset's author can act on.

Figures in, words out; every bound is here.
"""

from __future__ import annotations

import numpy as np

from descant.host.audition import Audition

LEVEL = (-36.0, -10.0)  # dBFS: softer is lost beside a band, louder has no room left
PEAK = -0.1  # dBTP
GAP = 0.75  # s without sound, in music that should go on
ONSETS = (0.1, 5.0)  # attacks a quarter note: a drone, a machine gun
IN_KEY = 0.75  # of the pitched energy; a random note is in any key with 0.58
CHORDS = 0.12  # chroma cosine with its own chords above that with moved ones
APART = 3.0  # dB a band between two pads of a preset
UNSTEADY = 9.0  # dB a band between seeds of one pad: nobody knows what it will sound like
DUPLICATE = 2.0  # dB a band between two presets, pad for nearest pad


def complaints(heard: Audition, slot: int) -> list[str]:
    """What is wrong with a pad, worst first; nothing for a good one. Figures are means over its seeds, but of
    peaks and gaps, where one is enough."""
    rows = [one.figures for one in heard.of(slot)]
    level = float(np.mean([row.level for row in rows]))
    onsets = float(np.mean([row.onsets for row in rows]))
    peak, gap = max(row.peak for row in rows), max(row.gap for row in rows)
    in_key = float(np.mean([row.in_key for row in rows]))
    chords = float(np.mean([row.chords - row.others for row in rows]))
    spread = heard.spread(slot)
    other, near = heard.nearest(slot)
    found = [
        (peak > PEAK, f"peaks at {peak:.1f} dBTP"),
        (not LEVEL[0] <= level <= LEVEL[1], f"level {level:.0f} dBFS"),
        (gap > GAP, f"silent for {gap:.1f} s"),
        (not ONSETS[0] <= onsets <= ONSETS[1], f"{onsets:.1f} attacks a beat"),
        (in_key < IN_KEY, f"in key {in_key:.2f}"),  # both are False where there is nothing to compare with
        (chords < CHORDS, f"chords {chords:+.2f}"),
        (near < APART, f"like pad {other} ({near:.1f} dB)"),
        (spread > UNSTEADY, f"seeds {spread:.1f} dB apart"),
    ]
    return [words for wrong, words in found if wrong]
