"""Telling a client what its session has taken in: each entry of the log once, a line each, as it comes.

Knows nothing about the wire but how long a text may be.
"""

from __future__ import annotations

from descant.host.events import NotedOut
from descant.host.takelog import Ease, LogEntry, Restart, TakeLog

ENTRIES = 500  # told at once: lines of at most 65 characters


class Teller:
    """Thread: the session's. What of one log has been told. wanted: whether the client asked for it."""

    def __init__(self) -> None:
        self.wanted = False
        self._told = 0
        self._complete = True

    def tell(self, log: TakeLog, at_sample: int) -> list[NotedOut]:
        """What is new since the last time; [] where nothing is, or nobody wants it."""
        if not self.wanted or (self._told == len(log.entries) and self._complete == log.complete):
            return []
        self._complete = log.complete
        outputs = []
        while True:
            lot = log.entries[self._told : self._told + ENTRIES]
            self._told += len(lot)
            outputs.append(NotedOut(at_sample, "\n".join(map(_line, lot)), log.complete))
            if self._told == len(log.entries):
                return outputs


def _line(entry: LogEntry) -> str:
    match entry.event:
        case Restart():
            return f"restart {entry.event.at_sample} {entry.changeable}"
        case Ease():
            return f"ease {entry.event.rung} {entry.event.at_sample} {entry.changeable}"
    return f"event {-1 if entry.sequence is None else entry.sequence} {entry.changeable}"
