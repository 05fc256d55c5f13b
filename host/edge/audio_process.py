"""The audio process: a device's callback, the looper in it, and nothing else that could hold it up.

Three activities. The callback (PortAudio's thread, or a clock of our own while there is no device): copies
what came in and what the generator has made, adds the loops, returns. A reader of standard input: queues
presses. The main loop, fifty turns a second: tells how it goes, keeps what a successor needs, and looks
whether the callback still comes. When it does not, the device's server is gone and closing would hang, so
the process ends at once; its parent starts another. No torch here.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from descant.host.edge import audio_words as words
from descant.host.edge.audio_memory import AudioMemory
from descant.host.edge.audio_tick import Tick
from descant.host.edge.duplex import Duplex, NoDevice
from descant.host.loop_press import Press
from descant.host.loop_state import restore, state_of, timeline_in
from descant.host.looper import Looper

TURN_SECONDS = 0.02
DEAD_SECONDS = 0.25  # without a callback for so long, the device's server is gone
FIRST_SECONDS = 0.75  # more, for the first one to come
LOOK_SECONDS = 0.5  # between looks for a device, while there is none
STALLED = 3  # exit code


class Source(Protocol):
    """What calls the tick: a device, or a clock."""

    def close(self) -> None: ...


class ClockSource:
    """No device: a thread of our own that ticks as time goes by, so that loops keep their place."""

    def __init__(self, tick: Tick, block: int) -> None:
        self._tick, self._block, self._open = tick, block, True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._open = False
        self._thread.join()

    def _run(self) -> None:
        """Thread: audio."""
        tick = self._tick
        while self._open:
            behind = tick.due(time.monotonic()) - tick.looper.position
            if behind < 0:  # as a device would: a block is asked for when its first sample is due
                time.sleep(-behind / tick.looper.rate)
            elif behind > 1000 * self._block:  # the machine slept: no use in catching up
                tick.looper.position += int(behind)
            else:
                tick.silent_block(self._block)


class AudioProcess:
    """Thread: main of the audio process. order: see AudioOrder. say: takes one line for the parent."""

    def __init__(self, order: words.AudioOrder, say: Callable[[bytes], object]) -> None:
        layout = order.layout
        self.memory = AudioMemory(order.descriptor, layout)
        self.looper = Looper(
            layout.rate,
            layout.channels,
            order.slots,
            slot_seconds=order.slot_seconds,
            past_seconds=order.past_seconds,
            memory=self.memory.pages,
        )
        if state := self.memory.read_state():
            restore(self.looper, msgspec.json.decode(state))
        self.tick = Tick(self.looper, self.memory)
        self._order, self._say = order, say
        self._running = True
        self._saved, self._told = -1, b""
        self._source: Source | None = None
        self._looked = 0.0
        self._why = ""

    def run(self) -> None:
        """Until told to stop, or the device's callback stops coming."""
        order = self._order
        if order.at_rate:
            self.tick.take_over(order.position, order.seconds, order.at_rate)
        blocks, moved = 0, time.monotonic()
        while self._running:
            now = time.monotonic()
            if not isinstance(self._source, Duplex) and now - self._looked > LOOK_SECONDS:
                self._look()
                moved = time.monotonic() + FIRST_SECONDS
            elif self.memory.blocks != blocks:
                blocks, moved = self.memory.blocks, now
            elif now - moved > DEAD_SECONDS:
                self._save()
                self._say(words.line(words.DeviceWord("", "the device stopped asking for sound")))
                os._exit(STALLED)  # closing the stream of a dead server can take many seconds
            self.memory.beat += 1
            self._save()
            self._tell()
            time.sleep(TURN_SECONDS)
        if self._source is not None:
            self._source.close()

    def obey(self, word: words.Down) -> None:
        """Thread: reader. Take a word of the parent's."""
        match word:
            case words.PressWord():
                self.looper.press(Press(**msgspec.structs.asdict(word)))
            case words.TimelineWord():
                self.looper.follow(timeline_in(word.timeline))
            case words.LatencyWord():
                self.looper.latency = word.samples
            case words.StopWord():
                self.stop()

    def stop(self) -> None:
        self._running = False

    def _look(self) -> None:
        """Open the first device of the order that can be opened; a clock runs until there is one."""
        self._looked = time.monotonic()
        order = self._order
        found: Source | None = None
        self.memory.looking = time.monotonic_ns()
        try:
            found = Duplex.found(order, self.tick)
        except NoDevice as error:
            why = str(error)
            if self._source is None or why != self._why:
                self._say(words.line(words.DeviceWord("", why)))
            self._why = why
            if self._source is None:
                self._source = ClockSource(self.tick, order.block or 256)
            self.memory.looking = 0
            return
        assert isinstance(found, Duplex)
        if self._source is not None:
            self._source.close()
        self._source = found
        found.start()
        self.memory.looking = 0
        self._say(
            words.line(
                words.DeviceWord(found.name, "", found.device_rate, order.block, found.inputs, found.latency)
            )
        )

    def _save(self) -> None:
        """What a successor needs, if anything has changed and nothing changes just now."""
        changes = self.looper.changes
        if changes == self._saved:
            return
        with suppress(RuntimeError, ValueError):  # it changed while we looked: the next turn has it
            data = msgspec.json.encode(state_of(self.looper))
            if self.looper.changes == changes:
                self.memory.write_state(data)
                self._saved = changes

    def _tell(self) -> None:
        slots = tuple(
            words.SlotWord(**{**row.__dict__, "length": float(row.length)}) for row in self.looper.status()
        )
        told = words.line(words.SlotsWord(slots))
        if told != self._told:
            self._told = told
            self._say(told)
        while self.looper.notes:
            self._say(words.line(words.NoteWord(*self.looper.notes.popleft())))


def main() -> None:
    """Thread: main. The first line of standard input is the order; the parent's death is its end of file."""
    sys.setswitchinterval(0.0005)
    first = sys.stdin.buffer.readline()
    if not first:  # a spare one that was never needed
        return
    order = msgspec.json.decode(first, type=words.AudioOrder)
    output = sys.stdout.buffer
    lock = threading.Lock()

    def say(text: bytes) -> None:
        with lock, suppress(BrokenPipeError):
            output.write(text)
            output.flush()

    process = AudioProcess(order, say)

    def listen() -> None:
        """Thread: reader."""
        for text in sys.stdin.buffer:
            try:
                process.obey(words.read_down(text))
            except Exception as error:  # whatever it is, sound goes on
                lines = [getattr(error, name, str(error)) for name in ("what", "still", "do")]
                say(words.line(words.NoteWord(*lines)))
        process.stop()

    threading.Thread(target=listen, daemon=True).start()
    gc.collect()
    gc.freeze()
    process.run()


if __name__ == "__main__":
    main()
