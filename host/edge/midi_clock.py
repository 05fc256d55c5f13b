"""MIDI clock out: the stage's time as ticks at a port, for drum machines, synthesizers and other programs.

Two activities: the owner says where time and song are, each turn; a thread of its own sleeps from tick to
tick and sends. If the owner hangs, ticks go on by what it said last.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any, Literal

import rtmidi

from descant.host.beat_clock import ClockOut
from descant.host.edge.settings import ask_for_real_time
from descant.host.errors import DeviceError
from descant.host.midi_words import Midi, write_midi
from descant.host.transport import Timeline

OWN_PORT = "own"
AHEAD_SECONDS = 0.02  # decided at once: so much later another tempo is told
LATE_SECONDS = 0.1  # beyond this ticks are left out instead of sent in a heap
Now = tuple[float, float, float, Timeline]  # a position, its time in seconds, samples a second, the song


class MidiClock:
    """Thread: the owner's, its own aside. Raises DeviceError where there is no such output.

    wanted: part of an output port's name, or OWN_PORT for a port of our own, to which others connect. sent:
    messages so far; late: how often ticks were left out.
    """

    def __init__(self, wanted: str, api: int = rtmidi.API_UNSPECIFIED) -> None:
        self.sent = self.late = 0
        self._port = _opened(wanted, api)
        self._clock = ClockOut()
        self._now: Now | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="descant midi clock", daemon=True)
        self._thread.start()

    def tell(self, position: float, seconds: float, rate: float, timeline: Timeline) -> None:
        """Where time and song are."""
        self._now = position, seconds, rate, timeline

    def want(self, what: Literal["start", "stop", "continue"]) -> None:
        """For those who listen; the stage's own time never stands still."""
        self._clock.want(what)

    def close(self) -> None:
        """A stop is the last word. Harmless when repeated."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._thread.join()
        if self._clock.playing:
            self._send(Midi("stop"))
        time.sleep(AHEAD_SECONDS)  # a port that is closed takes with it what it has not sent
        self._port.delete()

    def _run(self) -> None:
        """Thread: its own."""
        ask_for_real_time()
        at: int | None = None
        while not self._ending.is_set():
            now = self._now
            if now is None:
                self._ending.wait(AHEAD_SECONDS)
                continue
            position, seconds, rate, timeline = now
            here = position + (time.monotonic() - seconds) * rate
            if at is None or not here - LATE_SECONDS * rate <= at <= here + 1.0 * rate:
                self.late += at is not None
                at = max(0, round(here))
            until = max(at + 1, round(here + AHEAD_SECONDS * rate))
            for sample, midi in self._clock.between(timeline, at, until):
                self._sleep(seconds + (sample - position) / rate)
                self._send(midi)
            at = until
            self._sleep(seconds + (at - position) / rate - AHEAD_SECONDS / 2)

    def _sleep(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            time.sleep(left)

    def _send(self, midi: Midi) -> None:
        with suppress(Exception):  # whoever listened is gone: time goes on
            self._port.send_message(list(write_midi(midi)))
            self.sent += 1


def _opened(wanted: str, api: int) -> Any:
    why = "no MIDI system is there"
    for candidate in [api] if api else rtmidi.get_compiled_api():
        try:
            port = rtmidi.MidiOut(candidate, "descant")
            if wanted == OWN_PORT:
                port.open_virtual_port("clock")
                return port
            names = port.get_ports()
            for index, name in enumerate(names):
                if wanted.lower() in name.lower():
                    port.open_port(index, "clock")
                    return port
            why = f"there are {', '.join(names) or 'none'}"
            port.delete()
        except Exception as error:  # rtmidi's own errors: that system is not there, or has no ports of ours
            why = str(error)
    raise DeviceError(
        f"There is no MIDI output {wanted!r} to send a clock to: {why}.",
        "Everything else works without it.",
        f'Name (part of) an output after --clock-out, or "{OWN_PORT}" for a port that others connect to.',
    )
