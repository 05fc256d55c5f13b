"""MIDI ports: every controller that is there or comes is opened, and one that goes is let go of.

Two activities: rtmidi's threads put what comes into a queue with its time, and return; the owner takes it
from there, looks for new ports now and then, and sends. A port is known by its name.
"""

from __future__ import annotations

import re
import time
from collections import deque
from contextlib import suppress
from typing import Any

import rtmidi

from descant.host.midi_words import Midi, read_midi, write_midi

LOOK_SECONDS = 1.0
QUEUED = 65536  # messages: several seconds of the fastest controllers
OWN = "descant"


class MidiPorts:
    """Thread: its owner's. wanted: parts of names, empty for every port. api: rtmidi's number, 0 for the
    best one.
    """

    def __init__(self, wanted: tuple[str, ...] = (), api: int = rtmidi.API_UNSPECIFIED) -> None:
        self.lost = 0  # messages for which there was no room
        self.why = ""
        self._wanted, self._api = wanted, api
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, Any] = {}
        self._queue: deque[tuple[float, str, Midi]] = deque()
        self._looked = 0.0
        self._probe: Any = None
        self._gone_already: set[str] | None = None  # what the last look missed

    @property
    def names(self) -> tuple[str, ...]:
        """The open inputs."""
        return tuple(self._inputs)

    def look(self, now: bool = False) -> tuple[list[str], list[str]]:
        """(names that came, names that went) since the last look; looks once a second."""
        seconds = time.monotonic()
        if not now and seconds - self._looked < LOOK_SECONDS:
            return [], []
        self._looked = seconds
        try:
            if self._probe is None:
                self._probe = self._system()
            there, outs = self._probe[0].get_ports(), self._probe[1].get_ports()
            self.why = ""
        except Exception as error:  # no MIDI system, or it died: rtmidi's own errors, or anything
            self.why, there, outs, self._probe = f"MIDI does not work here ({error})", [], [], None
        if not there and self._gone_already is not None:
            self._forget()  # nothing, twice: perhaps a system that died, of which this one would never know
        missing = {name for name in self._inputs if name not in there}
        went = [name for name in self._inputs if name in missing & (self._gone_already or set())]
        self._gone_already = (
            missing if missing or not there else None
        )  # a system in turmoil shows none for once
        for name in went:
            self._close(name)
        came = []
        for index, name in enumerate(there):
            if name in self._inputs or not self._is_wanted(name):
                continue
            with suppress(Exception):  # gone again, or taken: the next look tells
                self._inputs[name] = self._opened(index, name)
                came.append(name)
                if name_out := _partner(name, outs):
                    output = rtmidi.MidiOut(self._api, OWN)
                    output.open_port(outs.index(name_out), f"to {name}"[:60])
                    self._outputs[name] = output
        return came, went

    def take(self) -> list[tuple[float, str, Midi]]:
        """What has come: (seconds of the monotonic clock, port, message), in order."""
        taken = []
        while self._queue:
            taken.append(self._queue.popleft())
        return taken

    def send(self, name: str, midi: Midi) -> None:
        """To the controller of that name, if it can be spoken to."""
        if name in self._outputs:
            with suppress(Exception):  # it has just gone
                self._outputs[name].send_message(list(write_midi(midi)))

    def close(self) -> None:
        for name in list(self._inputs):
            self._close(name)
        self._forget()

    def _forget(self) -> None:
        for probe in self._probe or ():
            probe.delete()
        self._probe = None

    def _system(self) -> Any:
        """Something to ask for ports. Where there is no ALSA sequencer, JACK's ports are taken."""
        apis = [self._api] if self._api else rtmidi.get_compiled_api()
        for last, api in enumerate(apis, 1):
            try:
                probe = (rtmidi.MidiIn(api, OWN), rtmidi.MidiOut(api, OWN))
            except Exception:  # rtmidi's own errors: that system is not there
                if last == len(apis):
                    raise
                continue
            self._api = api
            return probe
        raise OSError("this rtmidi knows no MIDI system")

    def _opened(self, index: int, name: str) -> Any:
        port = rtmidi.MidiIn(self._api, OWN, queue_size_limit=QUEUED)
        port.ignore_types(sysex=True, timing=False, active_sense=True)
        port.open_port(index, f"from {name}"[:60])
        port.set_callback(self._came, name)
        return port

    def _came(self, event: tuple[list[int], float], name: str) -> None:
        """Thread: rtmidi's."""
        seconds = time.monotonic()
        midi = read_midi(event[0])
        if midi is None:
            return
        if len(self._queue) >= QUEUED:
            self.lost += 1
        else:
            self._queue.append((seconds, name, midi))

    def _close(self, name: str) -> None:
        for ports in (self._inputs, self._outputs):
            if (port := ports.pop(name, None)) is not None:
                with suppress(Exception):
                    port.delete()

    def _is_wanted(self, name: str) -> bool:
        if OWN in name.lower() or "through" in name.lower():
            return False
        return not self._wanted or any(part.lower() in name.lower() for part in self._wanted)


def _partner(name: str, outs: list[str]) -> str | None:
    """The output port of the same controller, by its name; by its client's name where the ports differ."""
    if name in outs:
        return name
    twin = name.replace("capture", "playback")
    if twin in outs:
        return twin
    client = _client(name)
    return next((out for out in outs if client != "system" and _client(out) == client), None)


def _client(name: str) -> str:
    """JACK numbers clients of the same name: "pads" and "pads-01" are one controller's."""
    return re.sub(r"-\d\d$", "", name.split(":")[0])
