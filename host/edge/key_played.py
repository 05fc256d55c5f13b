"""Which key is played in, as far as what a client remembers of its session tells: by words or by chords."""

from __future__ import annotations

import numpy as np

from descant.host.edge.recall import Recall
from descant.host.keys import key_of
from descant.host.pad_figures import key_named
from descant.host.trigger import OF_KEY


def classes_played(recall: Recall | None) -> tuple[int, ...] | None:
    """The pitch classes of the key that is played in: as the words say it ("in A minor"), or the chords."""
    if recall is None:
        return None
    preset, slot = recall.pads.preset, recall.playing
    text = "" if slot is None or not recall.pads.holds(slot) else recall.pads.words(slot)
    found = key_named(text) or next(filter(None, (key_named(row.text) for row in preset.prompts)), None)
    if found is None and (chords := preset.progression_of(0 if slot is None or slot >= OF_KEY else slot)):
        weights = np.bincount([note for chord in chords.chords for note in chord], minlength=12)
        key = key_of(weights.astype(np.float64))
        found = None if key is None else key.classes
    return found
