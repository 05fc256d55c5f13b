"""A take's way back to sound: how its session was opened and what it took in, as bytes to keep.

Messages are kept as they travel on the wire. Knows nothing about where the bytes lie.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from descant.host import translate
from descant.host.errors import HostError, TakeError
from descant.host.events import SessionHello
from descant.host.preset import Preset
from descant.host.takelog import Ease, LogEntry, Restart
from descant.plugin_bridge import WireError

VERSION = 1


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """One entry of a session's log: a message's parts, a restart's position, or (position, rung)."""

    changeable: int
    message: list[bytes] = []
    restart: int | None = None
    ease: tuple[int, int] | None = None


class Opened(msgspec.Struct, frozen=True):
    """How a session was opened, and where on its timeline the take begins.

    presets: those its events may name, as they were. model: as it was asked for; "" where that is not known.
    threads: of torch, as asked for; 0 for the default.
    """

    begin: int
    hello: SessionHello
    presets: list[Preset]
    model: str = ""
    threads: int = 0
    version: int = VERSION


def pack_opened(opened: Opened) -> bytes:
    return msgspec.msgpack.encode(opened)


def unpack_opened(data: bytes) -> Opened:
    """Errors: TakeError."""
    try:
        opened = msgspec.msgpack.decode(data, type=Opened)
    except msgspec.DecodeError as error:
        raise _unknown(str(error)) from error
    if opened.version != VERSION:
        raise _unknown(f"it was kept by another version ({opened.version})")
    return opened


def pack(entries: Iterable[Noted], known: bool) -> bytes:
    """A piece of a log. known: nothing is missing before its end."""
    return msgspec.msgpack.encode((known, list(entries)))


def unpack(pieces: Iterable[bytes]) -> tuple[list[LogEntry], bool]:
    """The log, and whether it is all of it. Errors: TakeError."""
    entries: list[LogEntry] = []
    whole = True
    try:
        for piece in pieces:
            known, noted = msgspec.msgpack.decode(piece, type=tuple[bool, list[Noted]])
            whole = whole and known
            entries += map(_entry, noted)
    except (msgspec.DecodeError, WireError, HostError) as error:
        raise _unknown(str(error).splitlines()[0]) from error
    return entries, whole


def _entry(noted: Noted) -> LogEntry:
    if noted.restart is not None:
        return LogEntry(noted.changeable, Restart(noted.restart))
    if noted.ease is not None:
        return LogEntry(noted.changeable, Ease(*noted.ease))
    return LogEntry(noted.changeable, translate.to_event(translate.decode(noted.message)))


def _unknown(why: str) -> TakeError:
    return TakeError(
        f"What this take's session took in cannot be read: {why}.",
        "Its sound is there, whole.",
        "Export the take instead of rendering it.",
    )
