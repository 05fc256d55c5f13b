"""The outlines of loops, read from the memory that the audio process shares: a level a column.

Thread: the owner's, one loop a turn, so that nothing waits. Knows nothing about windows.
"""

from __future__ import annotations

import time

import numpy as np

from descant.host.edge.audio_memory import AudioMemory
from descant.host.edge.loop_sound import layers
from descant.host.edge.stage_words import OUTLINE
from descant.host.loop_memory import PAGE

STEP = 8  # of so many samples one is looked at
AGAIN_SECONDS = 0.5  # what is recorded or overdubbed goes on being written
GRAIN = 256  # samples a rough level stands for


class LoopOutlines:
    """version: counts what changed."""

    def __init__(self, memory: AudioMemory) -> None:
        self.version = 0
        self._memory = memory
        self._seen, self._looked = 0, 0.0
        self._waiting: list[tuple[int, list[int], float]] = []
        self._made: dict[int, tuple[int, bytes]] = {}

    def turn(self) -> None:
        """Look whether loops have changed; make one outline."""
        count, now = self._memory.state_count, time.monotonic()
        if not self._waiting and (count != self._seen or (count and now - self._looked > AGAIN_SECONDS)):
            found = layers(self._memory)
            if found is None:
                return  # it is being written just now
            self._waiting = [(i, list(layer.pages), float(layer.length)) for i, layer in enumerate(found)]
            self._seen, self._looked = count, now
        if self._waiting:
            index, pages, length = self._waiting.pop()
            outline = self._outline(pages, length)
            if outline != self._made.get(index, (0, b""))[1]:
                self.version += 1
                self._made[index] = self.version, outline

    def newer_than(self, version: int) -> dict[int, bytes]:
        """The outlines by slot that changed since; b"" for an empty one."""
        return {slot: outline for slot, (made, outline) in self._made.items() if made > version}

    def _outline(self, pages: list[int], length: float) -> bytes:
        if length < OUTLINE:
            return b""
        grains = np.zeros(len(pages) * PAGE // GRAIN, np.float32)
        for place, page in enumerate(pages):
            if 0 <= page < len(self._memory.pages):
                wave = np.abs(self._memory.pages[page][:, ::STEP]).max(axis=0)
                grains[place * PAGE // GRAIN : (place + 1) * PAGE // GRAIN] = wave.reshape(
                    PAGE // GRAIN, -1
                ).max(axis=1)
        edges = np.linspace(0, min(len(grains), length / GRAIN), OUTLINE + 1)
        starts = np.minimum(edges[:-1].astype(int), max(0, len(grains) - 1))
        if len(grains) == 0:
            return b""
        levels = np.maximum.reduceat(grains, starts)
        return bytes(np.clip(np.sqrt(levels) * 255, 0, 255).astype(np.uint8))
