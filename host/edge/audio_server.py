"""The parent's handle on live audio: starts the audio process, starts another when it dies, and keeps its
memory.

Thread: any one, `turn` now and then (every 20 ms or so); a reader of its own takes what the process says.
Nothing waits for a device: `position_at` goes on by the clock while there is none.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec
import numpy as np
import numpy.typing as npt

from descant.host.clock_fit import ClockFit
from descant.host.edge import audio_words as words
from descant.host.edge.audio_memory import AudioMemory, Layout
from descant.host.loop_memory import PAGE
from descant.host.loop_press import Press, checked_press
from descant.host.loop_state import timeline_out
from descant.host.transport import Timeline

Wave = npt.NDArray[np.float32]
MODULE = "descant.host.edge.audio_process"
PAST_SECONDS = 60.0  # of the input that are always remembered
BACK_SECONDS = 2.0  # of sound after a process was replaced, and it is said to be back
HUNG_SECONDS = 0.6  # without a turn of its main loop it is killed
STARTING_SECONDS = 8.0
LOOKING_SECONDS = 4.0  # a client of a server that is just starting may wait for ever
RESTS = (0.0, 0.0, 0.5, 1.0)  # seconds before each start in a row that came to nothing


class AudioServer:
    """Live audio. rate: Hz of the timeline. devices: see AudioOrder. round_trip: samples that were measured
    with a device at a rate (the timeline's) and a block, None where nobody did.

    inputs: channels of the device that are heard. latency: samples from output to input, as
    measured or else `reported` by the device.
    said: faults and notes as (what, still, do), oldest first. device: what plays now, "" while nothing
    does. restarts: processes that had to be replaced.
    """

    def __init__(
        self,
        rate: int = 48000,
        channels: int = 2,
        *,
        devices: tuple[str, ...] = (),
        inputs: tuple[int, int] = (0, 2),
        outputs: tuple[int, int] = (0, 2),
        block: int = 256,
        slots: int = 8,
        pool_seconds: float = 240.0,
        round_trip: Callable[[str, int, int], int | None] = lambda device, rate, block: None,
    ) -> None:
        layout = Layout(
            rate,
            channels,
            1 << 16,
            max(1, int(pool_seconds * rate / PAGE)),
            round(PAST_SECONDS * rate) + 8192,
        )
        self.memory = AudioMemory.made(layout)
        self.rate, self.channels, self.block, self.slots = rate, channels, block, slots
        self.device, self.why, self.device_rate = "", "starting", 0
        self.inputs = self.latency = self.reported = 0
        self.restarts = 0
        self.said: deque[tuple[str, str, str]] = deque(maxlen=256)
        self.status: tuple[words.SlotWord, ...] = ()
        self.fit = ClockFit(rate)
        self._order = words.AudioOrder(self.memory.descriptor, layout, devices, inputs, outputs, block, slots)
        self._stamp = 0
        self._round_trip, self._changed = round_trip, False
        self._timeline: Timeline | None = None
        self._in_a_row = 0
        self._closed = False
        self._lost_at: float | None = None  # when a process was last replaced, until sound is back
        self._spare: subprocess.Popen[bytes] | None = None  # loading takes most of the time of a start
        self._process = self._started()
        self._began = self._beaten = time.monotonic()
        self._beat = self.memory.beat

    def __enter__(self) -> AudioServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def position_at(self, seconds: float) -> float:
        """The sample of the timeline that is asked for at a time of the monotonic clock."""
        return self.fit.position_at(seconds) if self.fit.updates else 0.0

    def turn(self) -> None:
        """Look how it goes; replace the process if it has died or hangs."""
        now = time.monotonic()
        stamp = self.memory.stamp
        if stamp not in (0, self._stamp):
            self._stamp = stamp
            n = self.memory.position
            if self.memory.stamp == stamp:  # both of one block
                self.fit.update(n, stamp / 1e9)
                self._in_a_row = 0
        if self._changed:
            self._changed = False
            if self.device:
                measured = self._round_trip(self.device, self.rate, self.block)
                self.set_latency(self.reported if measured is None else measured)
        if self.memory.beat != self._beat:
            self._beat, self._beaten = self.memory.beat, now
        patience = HUNG_SECONDS if self.memory.sounding else STARTING_SECONDS
        looking = now - self.memory.looking / 1e9 if self.memory.looking else 0.0
        silent = now - max(self._beaten, self._began)
        if self._process.poll() is None and silent <= patience and looking <= LOOKING_SECONDS:
            if self._spare is None and self.memory.blocks:
                self._spare = self._spawned()
            if self._lost_at is not None and self.memory.sounding and now - self._lost_at > BACK_SECONDS:
                self._lost_at = None
                self.said.append(("Sound is back.", "Loops are where they were.", "Nothing need be done."))
            return
        rest = RESTS[min(self._in_a_row, len(RESTS) - 1)]
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if now - self._began < rest:
            return
        if self._lost_at is None:  # once, however often it is tried
            self.said.append(
                (
                    "The audio device stopped, or its process died.",
                    "Loops keep their place, and the music goes on being made.",
                    "Nothing: it comes back by itself when the device does.",
                )
            )
        self._lost_at = now
        self.restarts += 1
        self._replace("the audio process was replaced")

    def _replace(self, why: str) -> None:
        """Another process in the place of one that has ended."""
        self._let_go(self._process)
        self.device, self.why = "", why
        self.memory.sounding = self.memory.looking = 0
        self._in_a_row += 1
        self._process = self._started()
        self._began = self._beaten = time.monotonic()
        self._beat = self.memory.beat

    def use(self, devices: tuple[str, ...]) -> None:
        """Play through other devices (see AudioOrder) from now on; loops keep their place."""
        self._order = msgspec.structs.replace(self._order, devices=devices)
        self._process.kill()
        self._process.wait()
        self._replace("another device was chosen")

    def press(self, press: Press) -> None:
        """A press for the looper. Errors: LooperError."""
        checked_press(press, self.slots)
        self._tell(words.PressWord(press.at_sample, press.slot, press.action, press.quantise, press.value))

    def follow(self, timeline: Timeline) -> None:
        """Time as it is from now on, for the looper's lines."""
        self._timeline = timeline
        self._tell(words.TimelineWord(timeline_out(timeline)))

    def set_latency(self, n_samples: int) -> None:
        """The measured round trip: recordings are moved back by it."""
        self.latency = n_samples
        self._tell(words.LatencyWord(n_samples))

    def close(self) -> None:
        """End the process; killed when it does not. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self._tell(words.StopWord())
        self._let_go(self._process)
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(2.0)
        if self._spare is not None:
            self._let_go(self._spare)
            self._spare.kill()
            self._spare.wait()
            assert self._spare.stdout is not None
            self._spare.stdout.close()
        self.memory.close()

    def _spawned(self) -> subprocess.Popen[bytes]:
        """A process that has loaded what it needs and waits for its order."""
        return subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self.memory.descriptor,),
            bufsize=0,
            process_group=None if sys.platform == "win32" else 0,  # Ctrl-C is for the owner, who ends it
        )

    def _let_go(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(OSError):
            assert process.stdin is not None
            process.stdin.close()

    def _started(self) -> subprocess.Popen[bytes]:
        order = self._order
        if self.fit.updates:
            now = time.monotonic()
            order = msgspec.structs.replace(
                order, position=self.fit.position_at(now), seconds=now, at_rate=self.fit.rate
            )
        process, self._spare = self._spare or self._spawned(), None
        assert process.stdin is not None and process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(words.line(order))
        self._reader = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._reader.start()
        return process

    def _tell(self, word: words.Down) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(OSError, ValueError):  # it has just died: its successor is told what matters
            stdin.write(words.line(word))

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Thread: reader; ends with the process."""
        assert process.stdout is not None
        with process.stdout as lines:
            for text in iter(lines.readline, b""):
                match words.read_up(text):
                    case words.DeviceWord() as word:
                        self.device, self.why, self.device_rate = word.name, word.why, word.device_rate
                        self.inputs, self.reported = word.inputs, round(word.latency * self.rate)
                        self._changed = True
                        if not word.name:
                            self.said.append(
                                (
                                    f"Nothing is heard: {word.why}.",
                                    "Loops keep their place, and the music goes on being made.",
                                    "Plug a device in or start its server; it is found by itself.",
                                )
                            )
                    case words.SlotsWord() as word:
                        self.status = word.slots
                    case words.NoteWord() as word:
                        self.said.append((word.what, word.still, word.do))
