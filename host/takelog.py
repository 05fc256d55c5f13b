"""What a session took in, as it took it: enough to play the performance again, sample for sample.

Knows nothing about what events mean.
"""

from __future__ import annotations

from dataclasses import dataclass

from descant.host.events import Capture, HostEvent

MAX_ENTRIES = 200_000
MAX_CAPTURED = 64_000_000  # samples of captured audio kept: 22 minutes at 48 kHz


@dataclass(frozen=True)
class Restart:
    """Not a client's event: the stream was given up for being late, and begun anew ahead of at_sample."""

    at_sample: int


@dataclass(frozen=True)
class Ease:
    """Not a client's event: from at_sample on the session is on that rung of the overload ladder."""

    at_sample: int
    rung: int


@dataclass(frozen=True)
class LogEntry:
    """An event, and the first sample that it could change when it was handled: of one that is ridden, often a
    later one than for what came after it.

    sequence: of the client's message that it was; None where that is not known.
    """

    changeable: int
    event: HostEvent | Restart | Ease
    sequence: int | None = None


class TakeLog:
    """Entries in the order they were handled. complete: False once something no longer fitted."""

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self.complete = True
        self._captured = 0

    def add(self, entry: LogEntry) -> None:
        """Keep an entry, or note that the log is no longer complete."""
        if isinstance(entry.event, Capture):
            self._captured += entry.event.part.size
        if len(self.entries) >= MAX_ENTRIES or self._captured > MAX_CAPTURED:
            self.complete = False
            return
        self.entries.append(entry)
