"""Single keys of a terminal while one plays live; where there is no terminal, there are none.

Thread: the owner's. The terminal is as it was when the block ends.
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress

from descant.host.controller import Do

KEYS = {
    "h": "hum arm", "u": "hum last", "p": "hum listen", "g": "hum generate", "k": "hum snap",
    "o": "hum octave", "x": "hum drop", "r": "hum redo 1", "t": "tap", " ": "panic",
    **{str(number): f"slot {number}" for number in range(1, 10)},
}  # fmt: skip
HELP = (
    "keys: 1-9 pads, h hum after a count-in, u what was just hummed, p listen, g generate, r bar 1 again, "
    "k key, o octaves, x drop, t tap, space silence; ? how to bind pads and knobs"
)


class TerminalKeys:
    """open: whether there is a terminal to read."""

    def __init__(self, descriptor: int = 0) -> None:
        self.open = False
        self._descriptor = descriptor
        self._before: object = None

    def __enter__(self) -> TerminalKeys:
        if sys.platform != "win32":
            import termios
            import tty

            with suppress(termios.error, OSError):
                self._before = termios.tcgetattr(self._descriptor)
                tty.setcbreak(self._descriptor)
                self.open = True
        return self

    def __exit__(self, *error: object) -> None:
        if self.open:
            import termios

            self.open = False
            with suppress(termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]

    def pressed(self) -> list[Do]:
        """What is wanted by the keys since the last look."""
        return [Do(KEYS[letter]) for letter in self.typed() if letter in KEYS]

    def typed(self) -> str:
        """The keys themselves."""
        if not self.open or not select.select([self._descriptor], [], [], 0)[0]:
            return ""
        typed = os.read(self._descriptor, 256).decode(errors="ignore")
        if not typed:  # it was closed
            self.open = False
        return typed
