"""MIDI clock from a process of its own, at a real port: ticks, and on again after it was killed."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
import rtmidi

from descant.host.edge.midi_clock import MidiClock
from descant.host.midi_words import Midi, read_midi
from descant.host.transport import Timeline
from tests.rig.conftest import wait_for

pytestmark = pytest.mark.jack
RATE, TEMPO = 48_000, 125.0


class Listener:
    """heard: messages with their times."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, Midi]] = []
        self._ports: list[rtmidi.MidiIn] = []

    def connect(self) -> bool:
        """To the newest clock there is, by a port of its own."""
        port = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name="listener")
        found = [index for index, name in enumerate(port.get_ports()) if "clock" in name]
        if not found:
            port.delete()
            return False
        port.ignore_types(timing=False)
        port.set_callback(self._take)
        port.open_port(found[-1])
        self._ports.append(port)
        return True

    def _take(self, event: tuple[list[int], float], data: object) -> None:
        if (midi := read_midi(event[0])) is not None:
            self.heard.append((time.monotonic(), midi))

    def kinds(self) -> list[str]:
        return [midi.kind for _, midi in self.heard]

    def close(self) -> None:
        for port in self._ports:
            port.delete()


def test_ticks_come_go_on_after_a_kill_and_end_with_a_stop(jack):
    timeline = Timeline.internal(RATE, TEMPO)
    clock = MidiClock("own", api=rtmidi.API_UNIX_JACK)
    began = time.monotonic()
    listener = Listener()

    def told() -> bool:
        now = time.monotonic()
        clock.tell((now - began) * RATE, now, RATE, timeline)
        return True

    try:
        wait_for(lambda: told() and listener.connect(), "the clock's port")
        wait_for(lambda: told() and listener.kinds().count("clock") > 60, "ticks")
        at = np.array([when for when, midi in listener.heard if midi.kind == "clock"])
        assert (
            0.5 < np.median(np.diff(at)) * TEMPO / 60 * 24 < 2
        )  # however late this machine lets some of them

        os.kill(clock.pid, signal.SIGKILL)
        wait_for(lambda: told() and clock.starts == 2, "another process")
        listener.heard.clear()
        wait_for(lambda: told() and listener.connect(), "its port")
        wait_for(lambda: told() and "start" in listener.kinds(), "a start at a bar line")
        wait_for(lambda: told() and listener.kinds().count("clock") > 24, "ticks again")
    finally:
        clock.close()
    wait_for(lambda: listener.kinds()[-1:] == ["stop"], "a stop at the end")
    listener.close()


def test_an_owner_that_hangs_leaves_the_beat_alone(jack):
    clock = MidiClock("own", api=rtmidi.API_UNIX_JACK)
    listener = Listener()
    try:
        now = time.monotonic()
        clock.tell(0.0, now, RATE, Timeline.internal(RATE, TEMPO))
        wait_for(listener.connect, "the clock's port")
        wait_for(lambda: listener.kinds().count("clock") > 50, "ticks without a word")
    finally:
        clock.close()
        listener.close()
    clock.close()
