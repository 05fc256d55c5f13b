"""What a loop plays is read from shared memory as it is heard: its end, backwards, at half speed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import msgspec
import numpy as np
import pytest

from descant.host.edge.audio_memory import AudioMemory, Layout
from descant.host.edge.loop_sound import cycle
from descant.host.errors import LooperError
from descant.host.loop_press import Press
from descant.host.loop_state import state_of
from descant.host.looper import Looper
from descant.host.transport import Timeline

RATE, BLOCK = 8000, 200


@pytest.fixture
def memory() -> Iterator[AudioMemory]:
    memory = AudioMemory.made(Layout(RATE, 1, 1 << 16, 64))
    yield memory
    memory.close()


def test_a_cycle_is_what_is_heard(memory: AudioMemory) -> None:
    """A looper records two bars of a ramp; what is read is what it plays, cycle after cycle."""
    looper = Looper(RATE, 1, 2, memory=memory.pages)
    looper.follow(Timeline.internal(RATE, 240))  # a bar is 8000 samples
    heard = np.zeros((1, 8 * RATE), np.float32)

    def run(first: int, end: int, loud: bool) -> None:
        for at in range(first, end, BLOCK):
            given = np.sin(np.arange(at, at + BLOCK) / 37, dtype=np.float32)[None] * np.float32(0.5 * loud)
            looper.process(at, given, heard[:, at : at + BLOCK])

    looper.press(Press(0, 0, "record", "bar"))
    run(0, RATE, True)
    looper.press(Press(RATE, 0, "press", "bar"))
    run(RATE, 2 * RATE, False)
    memory.write_state(msgspec.json.encode(state_of(looper)))
    wave = cycle(memory, 0)
    assert Fraction(wave.shape[1]) == looper.slots[0].layer.length
    run(2 * RATE, 4 * RATE, False)
    period = wave.shape[1]
    inner = slice(200, period - 200)  # the seam apart
    played = heard[:, 2 * RATE : 2 * RATE + period]
    assert np.abs(played[:, inner] - wave[:, inner]).max() < 1e-6 < np.abs(wave).max()
    for action, wanted in (("reverse", wave[:, ::-1]), ("half", np.repeat(wave[:, ::-1], 2, axis=1))):
        looper.press(Press(4 * RATE, 0, action, "off"))
        run(4 * RATE, 5 * RATE, False)
        memory.write_state(msgspec.json.encode(state_of(looper)))
        found = cycle(memory, 0)
        assert found.shape == wanted.shape and np.abs(found - wanted).max() < 0.02


def test_an_empty_or_unknown_slot_holds_nothing(memory: AudioMemory) -> None:
    looper = Looper(RATE, 1, 2, memory=memory.pages)
    for state in (msgspec.json.encode(state_of(looper)), b"{"):
        memory.write_state(state)
        for slot in (0, 1, 2, -1):
            with pytest.raises(LooperError, match="nothing to go on from"):
                cycle(memory, slot)
