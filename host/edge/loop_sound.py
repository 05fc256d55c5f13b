"""What a loop plays now, read from the memory that the audio process shares.

Thread: the owner's. The state is small and the sound is copied once; the audio process is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import msgspec
import numpy as np

from descant.host.edge.audio_memory import AudioMemory
from descant.host.errors import LooperError
from descant.host.events import Wave


@dataclass(frozen=True)
class LoopLayer:
    """The version of a loop that sounds. pages: without the lead-in. length: samples of a cycle at its own
    speed, 0 for an empty slot."""

    pages: tuple[int, ...]
    length: Fraction
    backwards: bool
    half: bool


def layers(memory: AudioMemory) -> list[LoopLayer] | None:
    """What each slot plays; None while it is being written down."""
    try:
        return [_layer(slot) for slot in msgspec.json.decode(memory.read_state())["slots"]]
    except (msgspec.MsgspecError, KeyError, IndexError, TypeError, ValueError):
        return None


def cycle(memory: AudioMemory, slot: int) -> Wave:
    """One cycle of a loop as it is heard, [C, n]; slot: from 0. Errors: LooperError where there is none."""
    found = layers(memory)
    layer = None if found is None else found[slot] if 0 <= slot < len(found) else None
    if layer is None or layer.length < 1:
        raise LooperError(
            f"Loop {slot + 1} holds nothing to go on from",
            "everything plays on",
            "record or capture it first",
        )
    kept = [memory.pages[page] for page in layer.pages if 0 <= page < len(memory.pages)]
    wave: Wave = np.concatenate(kept, axis=1)[:, : int(layer.length)].copy()
    if layer.backwards:
        wave = wave[:, ::-1].copy()
    if layer.half:  # every sample lasts two
        places = np.arange(2 * wave.shape[1]) / 2
        wave = np.stack([np.interp(places, np.arange(wave.shape[1]), row) for row in wave]).astype(np.float32)
    return wave


def _layer(slot: dict[str, object]) -> LoopLayer:
    versions, at = slot["versions"], slot["at"]
    assert isinstance(versions, list) and isinstance(at, int)
    if not versions:
        return LoopLayer((), Fraction(0), False, False)
    row = versions[at]
    pages = tuple(int(page) for page in row["pages"][1:])
    return LoopLayer(pages, Fraction(row["length"]), bool(row.get("reversed")), bool(row.get("half")))
