"""The process that sends MIDI clock (`python -m descant.host.edge.clock_process WANTED API`): ticks on time.

A process of its own, for in one that plays a tick waits for Python while blocks are mixed. The main thread
sleeps from tick to tick; a second one reads where time and song are, a line of JSON each, on standard input.
The end of that input is the end. If the owner hangs, ticks go on by what it said last.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any, BinaryIO

import rtmidi

from descant.host.beat_clock import ClockOut
from descant.host.edge.settings import ask_for_real_time
from descant.host.errors import DeviceError
from descant.host.loop_state import timeline_in
from descant.host.midi_words import Midi, write_midi
from descant.host.transport import Timeline

MODULE = "descant.host.edge.clock_process"
OWN_PORT = "own"
READY = "ready"
AHEAD_SECONDS = 0.02  # decided at once: so much later another tempo is told
LATE_SECONDS = 0.1  # beyond this ticks are left out instead of sent in a heap
Now = tuple[float, float, float, Timeline]  # a position, its time in seconds, samples a second, the song


class Ticker:
    """port: of rtmidi, open. ended: the owner is gone, or wants no more."""

    def __init__(self, port: Any) -> None:
        self.ended = threading.Event()
        self._port = port
        self._clock = ClockOut()
        self._now: Now | None = None

    def listen(self, source: BinaryIO) -> None:
        """Thread: the reading one. Take over what the owner says until it ends."""
        timeline: Timeline | None = None
        with suppress(OSError, ValueError, KeyError, TypeError):  # half a line: the owner died in it
            for line in source:
                said = json.loads(line)
                timeline = timeline_in(said["timeline"]) if "timeline" in said else timeline
                if timeline is not None:
                    self._now = float(said["position"]), float(said["seconds"]), float(said["rate"]), timeline
        self.ended.set()

    def run(self) -> None:
        """Thread: main. Tick until the end; a stop is the last word."""
        at: int | None = None
        while not self.ended.is_set():
            now = self._now
            if now is None:
                self.ended.wait(AHEAD_SECONDS)
                continue
            position, seconds, rate, timeline = now
            here = position + (time.monotonic() - seconds) * rate
            if at is None or not here - LATE_SECONDS * rate <= at <= here + 1.0 * rate:
                at = max(0, round(here))
            until = max(at + 1, round(here + AHEAD_SECONDS * rate))
            for sample, midi in self._clock.between(timeline, at, until):
                _sleep(seconds + (sample - position) / rate)
                self._send(midi)
            at = until
            _sleep(seconds + (at - position) / rate - AHEAD_SECONDS / 2)
        if self._clock.playing:
            self._send(Midi("stop"))
            time.sleep(AHEAD_SECONDS)  # a port that is closed takes with it what it has not sent

    def _send(self, midi: Midi) -> None:
        with suppress(Exception):  # whoever listened is gone: time goes on
            self._port.send_message(list(write_midi(midi)))


def _sleep(until: float) -> None:
    while (left := until - time.monotonic()) > 0:
        time.sleep(left)


def opened(wanted: str, api: int) -> Any:
    """The output whose name has `wanted` in it, or a port of our own. Raises DeviceError."""
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


def main(arguments: list[str]) -> None:
    """Thread: main. Says READY once the port is there, else why it is not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, whose end is ours
    wanted, api = arguments
    try:
        port = opened(wanted, int(api))
    except DeviceError as error:
        print(json.dumps([error.what, error.still, error.do]), flush=True)
        return
    ticker = Ticker(port)
    threading.Thread(target=ticker.listen, args=(sys.stdin.buffer,), daemon=True).start()
    print(json.dumps(READY), flush=True)
    gc.collect()
    gc.freeze()
    ask_for_real_time()
    ticker.run()
    port.delete()


if __name__ == "__main__":
    main(sys.argv[1:])
