"""Every error of the host, in one family: what happened, what still works, what to do.

Knows nothing about where an error is shown; `code` is the short word that travels in a fault.
"""

from __future__ import annotations


class HostError(Exception):
    """The host refuses something. str() is exactly three lines: `what`, `still`, `do`.

    what: what happened, naming the value. still: what goes on working. do: what the reader can do next.
    """

    code = "host"

    def __init__(self, what: str, still: str, do: str) -> None:
        self.what = _one_line(what)
        self.still = _one_line(still)
        self.do = _one_line(do)
        super().__init__(f"{self.what}\n{self.still}\n{self.do}")

    def __reduce__(self) -> tuple[type[HostError], tuple[str, str, str]]:
        return type(self), (self.what, self.still, self.do)


class PresetError(HostError):
    """A preset file cannot be used, or no preset has that name."""

    code = "preset"


class TransportError(HostError):
    """A tempo, beat position, metre or loop that no timeline can follow."""

    code = "transport"


class EventError(HostError):
    """An event from a client that names something out of range or unknown."""

    code = "event"


class HumError(HostError):
    """A captured clip no melody can be read from."""

    code = "hum"


class LooperError(HostError):
    """A loop slot, an action or a launch line that does not exist."""

    code = "looper"


class DeviceError(HostError):
    """An audio device or MIDI port that cannot be used."""

    code = "device"


class TakeError(HostError):
    """A take that cannot be recorded, found or exported."""

    code = "take"


class SessionError(HostError):
    """A session that cannot be opened, is not open, or cannot be resumed."""

    code = "session"


def _one_line(text: str) -> str:
    """The text on one line, at most 400 characters, so that three lines stay three lines."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 400 else flat[:397] + "..."


def sentences(*parts: str) -> str:
    """What happened, what still works, what to do, as one line to be read: each part a sentence."""
    kept = [part.strip() for part in parts if part.strip()]
    return " ".join(part[0].upper() + part[1:] + ("" if part[-1] in ".!?" else ".") for part in kept)
