"""How fast controllers are answered: for each of their messages when it came and when it was on its way.

Written as a table when the performance is over; nothing is written while it lasts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from descant.host.edge.midi_queue import Came

ROWS = 1 << 18
"""The most that are kept; later messages are not."""
COLUMNS = ("port", "kind", "channel", "number", "value", "came", "told", "at_sample")


class MidiTrace:
    """Thread: the owner's. lines: of the table, in the order of handling.

    came, told: seconds of the monotonic clock; told: when whatever it asked for had been handed to the host's
    socket or to the audio process. A knob's value may wait there for its turn, or for a newer one.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []  # text, which the collector of garbage need not walk through

    def told(self, came: list[Came], position_at: Callable[[float], float]) -> None:
        """These have been handled just now."""
        now = time.monotonic()
        for seconds, port, midi in came[: ROWS - len(self.lines)]:
            words = f"{midi.kind},{midi.channel},{midi.number},{midi.value},{seconds:.6f},{now:.6f}"
            self.lines.append(f"{_quoted(port)},{words},{round(position_at(seconds))}\n")

    def write(self, path: Path) -> None:
        """As CSV. Raises OSError."""
        with path.open("w", encoding="utf-8") as file:
            file.write(",".join(COLUMNS) + "\n")
            file.writelines(self.lines)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
