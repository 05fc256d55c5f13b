"""A JACK server without a sound card, and a client that plays MIDI into a program and records."""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from tests.plugin_native.rig import tool
from tests.plugin_native.test_core_native import until

_numbers = itertools.count()
RATE, PERIOD = 48000, 256


@contextmanager
def jack_server() -> Iterator[dict[str, str]]:
    """A synchronous dummy server under a name of its own; the environment in which programs find it."""
    name = f"descant-{os.getpid()}-{next(_numbers)}"
    environment = {**os.environ, "JACK_DEFAULT_SERVER": name, "JACK_NO_AUDIO_RESERVATION": "1"}
    words = [tool("jackd"), "-n", name, "-S", "-r", "-d", "dummy", "-r", str(RATE), "-p", str(PERIOD)]
    server = subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    )
    try:
        yield environment
    finally:
        server.terminate()
        server.wait(20)
        for left in Path("/dev/shm").glob(f"*{name}*"):
            with suppress(OSError):
                left.unlink()


class Recorder:
    """A JACK client: `heard` and `frames` (of the transport) grow with each period while it records."""

    def __init__(self, environment: dict[str, str]) -> None:
        import jack

        os.environ["JACK_NO_AUDIO_RESERVATION"] = "1"
        jack.set_error_function(lambda message: None)
        jack.set_info_function(lambda message: None)
        made: list[Any] = []

        def connect() -> None:
            with suppress(jack.JackOpenError):
                made.append(
                    jack.Client("probe", servername=environment["JACK_DEFAULT_SERVER"], no_start_server=True)
                )

        until(lambda: made, connect)
        self.client = made[0]
        self.heard: list[np.ndarray] = []
        self.frames: list[int] = []  # of the transport at each period's first sample; -1: it stands still
        self.sent: list[tuple[int, bytes]] = []  # (transport frame, bytes) of the MIDI played
        self._to_play: list[tuple[int, bytes]] = []
        self._lock = threading.Lock()
        self._in = self.client.inports.register("in")
        self._out = self.client.midi_outports.register("out")
        self._rolling = jack.ROLLING
        self.client.set_process_callback(self._process)
        self.client.set_timebase_callback(self._tell_time)
        self.client.activate()

    def _tell_time(self, state: Any, n: int, position: Any, new: bool) -> None:
        """120 quarter notes a minute in 4/4, as a timebase master says them."""
        beat, tick = divmod(position.frame * 2 / RATE, 1.0)
        position.valid = 0x10  # bars, beats and ticks
        position.bar, position.beat, position.tick = int(beat) // 4 + 1, int(beat) % 4 + 1, int(tick * 1920)
        position.beats_per_bar, position.beat_type = 4.0, 4.0
        position.ticks_per_beat, position.beats_per_minute = 1920.0, 120.0

    def _process(self, n: int) -> None:
        state, position = self.client.transport_query_struct()
        frame = int(position.frame) if state == self._rolling else -1
        self._out.clear_buffer()
        with self._lock:
            for offset, data in self._to_play:
                self._out.write_midi_event(offset, data)
                self.sent.append((frame + offset, data))
            self._to_play.clear()
            self.heard.append(self._in.get_array().copy())
            self.frames.append(frame)

    def play(self, offset: int, *data: int) -> None:
        """MIDI bytes at an offset of the next period."""
        with self._lock:
            self._to_play.append((offset, bytes(data)))

    def listen(self, program: str) -> None:
        """Record a program's first output, once it has one. Not also `control` it: round a circle JACK is a
        period late.
        """
        until(lambda: self._ports(program, is_audio=True, is_output=True))
        until(lambda: self._joined(self._ports(program, is_audio=True, is_output=True)[0], self._in))

    def control(self, program: str) -> None:
        """Play MIDI into a program, once it takes some."""
        until(lambda: self._ports(program, is_midi=True, is_input=True))
        until(lambda: self._joined(self._out, self._ports(program, is_midi=True, is_input=True)[0]))

    def _ports(self, program: str, **kind: bool) -> list[str]:
        return [port.name for port in self.client.get_ports(f"{program}:.*", **kind)]

    def _joined(self, source: Any, sink: Any) -> bool:
        """Connect; False while the program is not running yet."""
        import jack

        with suppress(jack.JackErrorCode):
            self.client.connect(source, sink)
            return True
        return False

    def taken(self) -> tuple[np.ndarray, np.ndarray]:
        """(heard [n], its place in the song [n]) of the periods in which the transport rolled."""
        with self._lock:
            periods = [(wave, at) for wave, at in zip(self.heard, self.frames, strict=True) if at >= 0]
        if not periods:
            return np.zeros(0, np.float32), np.zeros(0, np.int64)
        heard = np.concatenate([wave for wave, _ in periods])
        return heard, np.concatenate([at + np.arange(len(wave)) for wave, at in periods])

    def close(self) -> None:
        self.client.deactivate()
        self.client.close()
