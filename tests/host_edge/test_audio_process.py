"""The clock that ticks while there is no device asks for blocks as a device would: when they are due."""

import time

from descant.host.edge.audio_memory import AudioMemory, Layout
from descant.host.edge.audio_process import ClockSource
from descant.host.edge.audio_tick import Tick
from descant.host.looper import Looper

BLOCK = 2048


def test_blocks_of_the_clock_begin_where_they_are_due():
    memory = AudioMemory.made(Layout(48000, 1, 1 << 16, 16))
    try:
        tick = Tick(Looper(48000, 1, 1, memory=memory.pages), memory)
        began, late = time.monotonic(), []
        source = ClockSource(tick, BLOCK)
        try:
            while time.monotonic() - began < 30 and not (late and min(late) < BLOCK / 4):
                stamp, position = memory.stamp, memory.position
                if stamp and memory.stamp == stamp:  # both of one block
                    late.append(tick.due(stamp / 1e9) - position)
                time.sleep(0.001)
        finally:
            source.close()
        assert -2 < min(late) < BLOCK / 4
    finally:
        memory.close()
