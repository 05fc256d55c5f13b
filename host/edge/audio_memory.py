"""The memory that the audio process and its parent share: what is played, what came in, the loops, how it
goes.

It belongs to the parent and outlives the audio process. Every number has one writer. Streams are addressed
by absolute position, not queued: a process that is replaced goes on at the right place. Not for Windows
yet.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from descant.host.errors import DeviceError
from descant.host.loop_memory import PAGE

Wave = npt.NDArray[np.float32]
STATE_BYTES = 1 << 20


class Layout(msgspec.Struct, frozen=True):
    """What the memory holds. rate: Hz. channels: of all streams in it. ring: samples remembered of each of
    them.

    pages: of the loops. heard: samples remembered of the input, where that is more than `ring`.
    """

    rate: int
    channels: int
    ring: int
    pages: int
    heard: int = 0

    @property
    def past(self) -> int:
        """Samples of the input that are remembered."""
        return max(self.ring, self.heard)


@dataclass
class _Field:
    """One int64 of the header."""

    index: int

    def __get__(self, memory: AudioMemory, owner: type | None = None) -> int:
        return int(memory.numbers[self.index])

    def __set__(self, memory: AudioMemory, value: int) -> None:
        memory.numbers[self.index] = value


class AudioMemory:
    """Attach with the descriptor and layout of the one who made it (`made`).

    Written by the audio process
    - position, stamp: the first sample of the last block, and the nanosecond of the monotonic clock at which
      it was asked for (0 while they are being written). blocks: callbacks. xruns: as the device reported
      them. underruns: blocks in which what was expected of the generator was not there. slow: callbacks that
      took longer than their block lasts. beat: counts turns of the process's own loop. sounding: 1 while a
      device plays, 0 while only a clock runs. heard_until: end of what came in.
      looking: the nanosecond at which it began to look for a device, 0 while it does not.
    - levels: [2, C, 3] (input, output; channel; peak, held, clips). quiet: samples of silence at the input.

    Written by the parent
    - aside_until: end of what is heard beside the music and never recorded (a click, a take that is listened
      to). made_until: end of what was made. making: 1 while the generator is expected to have sound ready.
    """

    position, stamp, blocks, xruns, underruns = (_Field(i) for i in range(5))
    slow, beat, sounding, heard_until, quiet = (_Field(i) for i in range(5, 10))
    state_length, state_count, looking = _Field(10), _Field(11), _Field(12)
    made_until, making, aside_until = _Field(16), _Field(17), _Field(18)

    def __init__(self, descriptor: int, layout: Layout) -> None:
        self.descriptor, self.layout = descriptor, layout
        self._map = mmap.mmap(descriptor, _size(layout))
        channels, ring = layout.channels, layout.ring
        at = 0

        def take(dtype: type, *shape: int) -> npt.NDArray[Any]:
            nonlocal at
            flat: npt.NDArray[Any] = np.frombuffer(self._map, dtype, int(np.prod(shape)), at)
            at += flat.nbytes
            return flat.reshape(shape)

        self.numbers = take(np.int64, 64)
        self.levels: Wave = take(np.float32, 2, channels, 3)
        self._state = take(np.uint8, STATE_BYTES)
        self._made: Wave = take(np.float32, channels, ring)
        self._heard: Wave = take(np.float32, channels, layout.past)
        self._aside: Wave = take(np.float32, channels, ring)
        self.pages: Wave = take(np.float32, layout.pages, channels, PAGE)

    @classmethod
    def made(cls, layout: Layout) -> AudioMemory:
        """New memory, zeroed, without a name: it is gone when the last process has let go of it."""
        if sys.platform == "win32":
            raise DeviceError(
                "Live audio is not there for Windows yet.",
                "Everything else works: the plugin in a DAW, render, play with a file.",
                "Play through a DAW.",
            )
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("descant-audio")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, _size(layout))
        return cls(descriptor, layout)

    def close(self) -> None:
        os.close(self.descriptor)

    def play(self, at: int, wave: Wave) -> None:
        """Thread: parent. Put generated sound [C, n] at its position, n <= ring; what lies beyond is as
        before.
        """
        _put(self._made, at, wave)
        self.made_until = at + wave.shape[1]

    def take_made(self, at: int, out: Wave) -> bool:
        """Thread: audio. Fill out [C, n] with the generator's sound; False where some of it was not there."""
        n, until = int(out.shape[1]), self.made_until
        there = min(n, max(0, until - at)) if until - at <= self.layout.ring else 0
        _get(self._made, at, out[:, :there])
        out[:, there:] = 0.0
        return there == n

    def play_aside(self, at: int, wave: Wave) -> None:
        """Thread: parent. Put what is heard beside the music [C, n] at its position; it ends where nothing
        more is put.
        """
        _put(self._aside, at, wave)
        self.aside_until = at + wave.shape[1]

    def take_aside(self, at: int, out: Wave) -> bool:
        """Thread: audio. Fill out [C, n] with it; False, and nothing done, where there is none of it."""
        n, until = int(out.shape[1]), self.aside_until
        there = min(n, until - at)
        if there <= 0 or until - at > self.layout.ring:
            return False
        _get(self._aside, at, out[:, :there])
        out[:, there:] = 0.0
        return True

    def note_heard(self, at: int, wave: Wave) -> None:
        """Thread: audio. Keep what came in [C, n]; a hole before it is silence."""
        hole = at - self.heard_until
        if 0 < hole < self.layout.past and self.heard_until:
            self._heard[:, np.arange(self.heard_until, at) % self.layout.past] = 0.0
        _put(self._heard, at, wave)
        self.heard_until = at + wave.shape[1]

    def heard(self, at: int, n: int) -> Wave:
        """Thread: parent. What came in [C, n] from a position on; raises ValueError when it is no longer,
        or not
        yet, there."""
        if not self.heard_until - self.layout.past <= at <= self.heard_until - n:
            raise ValueError(f"the input of {at}..{at + n} is not remembered")
        out = np.empty((self.layout.channels, n), np.float32)
        _get(self._heard, at, out)
        return out

    def write_state(self, data: bytes) -> None:
        """Thread: audio process, main. Keep what a successor needs; the last whole one counts."""
        if len(data) > STATE_BYTES // 2:
            return
        half = (self.state_count + 1) % 2 * (STATE_BYTES // 2)
        self._state[half : half + len(data)] = np.frombuffer(data, np.uint8)
        self.state_length = len(data)
        self.state_count += 1

    def read_state(self) -> bytes:
        """What the last process left; b"" when it left nothing."""
        if self.state_count == 0:
            return b""
        half = self.state_count % 2 * (STATE_BYTES // 2)
        return self._state[half : half + self.state_length].tobytes()


def _size(layout: Layout) -> int:
    floats = layout.channels * (6 + 2 * layout.ring + layout.past + layout.pages * PAGE)
    return 64 * 8 + STATE_BYTES + 4 * floats


def _put(ring: Wave, at: int, wave: Wave) -> None:
    size, n = ring.shape[1], wave.shape[1]
    place = at % size
    first = min(n, size - place)
    ring[:, place : place + first] = wave[:, :first]
    ring[:, : n - first] = wave[:, first:]


def _get(ring: Wave, at: int, out: Wave) -> None:
    size, n = ring.shape[1], out.shape[1]
    place = at % size
    first = min(n, size - place)
    out[:, :first] = ring[:, place : place + first]
    out[:, first:] = ring[:, : n - first]
