"""MIDI ports: every controller that is there or comes is opened, and one that goes is let go of.

One activity, the owner's: it fetches what has come, looks for new ports now and then, and sends. What
comes in between waits in rtmidi's own queues, with its time: a callback for each message would have to wait
for Python at each, and the audio server for it. A port is known by its name.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import Any

import rtmidi

from descant.host.edge.midi_queue import Came, MidiQueue
from descant.host.midi_words import Midi, read_midi, write_midi

LOOK_SECONDS = 1.0
RARELY_SECONDS = 16.0  # the most between looks where there is no MIDI system at all
RTMIDI_QUEUE = 65536  # messages of a port between two fetches
FETCH_SECONDS = 0.001  # between fetches while waiting
OWN = "descant"


class MidiPorts:
    """Thread: its owner's. wanted: parts of names, empty for every port. api: rtmidi's number, 0 for the
    best one.
    """

    def __init__(self, wanted: tuple[str, ...] = (), api: int = rtmidi.API_UNSPECIFIED) -> None:
        self.why = ""
        self._wanted, self._api = wanted, api
        self._inputs: dict[str, Any] = {}
        self._last: dict[str, float] = {}  # of each port: when its last message came
        self._fetched = time.monotonic()
        self._outputs: dict[str, Any] = {}
        self._queue = MidiQueue()
        self._looked, self._rest = 0.0, LOOK_SECONDS
        self._asked_anew, self._anew = 0.0, LOOK_SECONDS  # of a system that shows no ports
        self._probe: Any = None
        self._gone_already: set[str] | None = None  # what the last look missed

    @property
    def names(self) -> tuple[str, ...]:
        """The open inputs."""
        return tuple(self._inputs)

    @property
    def lost(self) -> int:
        """Messages for which there was no room, so far."""
        return self._queue.lost

    def look(self, now: bool = False) -> tuple[list[str], list[str]]:
        """(names that came, names that went) since the last look; looks once a second.

        Where there is no MIDI system at all each look asks every one of them, which takes milliseconds and
        may print: those looks become rarer, up to one in sixteen seconds. So do the questions whether a
        system that shows no ports has died, while none of its ports is open here: each takes some hundredths.
        """
        seconds = time.monotonic()
        if not now and seconds - self._looked < self._rest:
            return [], []
        self._looked = seconds
        try:
            if self._probe is None:
                self._probe = self._system()
            there, outs = self._probe[0].get_ports(), self._probe[1].get_ports()
            self.why, self._rest = "", LOOK_SECONDS
        except Exception as error:  # no MIDI system, or it died: rtmidi's own errors, or anything
            self.why, there, outs, self._probe = f"MIDI does not work here ({error})", [], [], None
            self._rest = min(2 * self._rest, RARELY_SECONDS)
        if there:
            self._anew = LOOK_SECONDS
        elif self._gone_already is not None and (self._inputs or seconds - self._asked_anew >= self._anew):
            self._forget()  # nothing, twice: perhaps a system that died, of which this one would never know
            self._asked_anew, self._anew = seconds, min(2 * self._anew, RARELY_SECONDS)
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

    def missing(self) -> tuple[list[str], list[str]]:
        """(what is wanted of which no port there is now, the ports there are)."""
        there: list[str] = []
        with suppress(Exception):  # no MIDI system, which looks tell of
            self._probe = self._probe or self._system()
            there = self._probe[0].get_ports()
        return [
            name for name in self._wanted if not any(name.lower() in port.lower() for port in there)
        ], there

    def take(self, most: int = 1 << 30) -> list[Came]:
        """What has come: (seconds of the monotonic clock, port, message), in order; at most so many."""
        self._fetch()
        return self._queue.take(most)

    def wait(self, seconds: float) -> None:
        """Until something has come, or for so long."""
        until = time.monotonic() + seconds
        while not self._fetch() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, FETCH_SECONDS))

    def _fetch(self) -> bool:
        """Take over what rtmidi has; whether there is anything."""
        before, self._fetched = self._fetched, time.monotonic()
        for name, port in self._inputs.items():
            while (message := port.get_message()) is not None:
                data, later = message
                # so long after the one before, but neither in the future nor before the last fetch
                seconds = min(max(self._last.get(name, 0.0) + later, before), self._fetched)
                self._last[name] = seconds
                if (midi := read_midi(data)) is not None:
                    self._queue.put(seconds, name, midi)
        return len(self._queue) > 0

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
        port = rtmidi.MidiIn(self._api, OWN, queue_size_limit=RTMIDI_QUEUE)
        port.ignore_types(sysex=True, timing=False, active_sense=True)
        port.open_port(index, f"from {name}"[:60])
        return port

    def _close(self, name: str) -> None:
        self._last.pop(name, None)
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
