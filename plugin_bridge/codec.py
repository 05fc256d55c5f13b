"""Messages to bytes and back, by the rows of the table; the only place that packs or unpacks.

Knows nothing about sockets, sessions or time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from descant.plugin_bridge.errors import Code, WireError
from descant.plugin_bridge.fields import STILL, Choice, Flag, Names, Samples, Text
from descant.plugin_bridge.table import (
    BY_CLASS,
    BY_NUMBER,
    HEADER,
    HEADER_FIELDS,
    MAGIC,
    PROTOCOL_VERSION,
    VERSIONS,
    Message,
    Row,
)


class Header(NamedTuple):
    """The fields of a header as they stand, unchecked."""

    version: int
    type: int
    session: int
    sequence: int
    at_sample: int


def encode(message: Message, *, session: int | None = None, sequence: int | None = None) -> list[bytes]:
    """The parts of a message. session, sequence: stamped instead of the message's own.

    Raises WireError (RANGE, TEXT, NOT_FINITE) for a field that the decoder would refuse.
    """
    entry = BY_CLASS[type(message)]
    session = message.session if session is None else session
    sequence = message.sequence if sequence is None else sequence
    for (name, kind), value in zip(HEADER_FIELDS, (session, sequence, message.at_sample), strict=True):
        kind.check(name, value)
    scalars: list[Any] = []
    parts = [b""]
    for name, kind in entry.fields:
        value = getattr(message, name)
        kind.check(f"{entry.name}.{name}", value)
        if isinstance(kind, Samples):
            scalars += value.shape
            parts.append(kind.to_part(value))
        elif isinstance(kind, Text | Names):
            parts.append(kind.to_part(value))
        else:
            scalars.append(kind.names.index(value) if isinstance(kind, Choice) else value)
    header = HEADER.pack(MAGIC << 8 | PROTOCOL_VERSION, entry.number, session, sequence, message.at_sample)
    parts[0] = header + entry.packed.pack(*scalars)
    return parts


def peek(part: bytes) -> Header | None:
    """The header at the start of part 0, unchecked; None if it is not this protocol's."""
    if len(part) < HEADER.size:
        return None
    version, *rest = HEADER.unpack_from(part)
    return Header(version & 0xFF, *rest) if version >> 8 == MAGIC else None


def decode(parts: Sequence[bytes]) -> Message:
    """The message in these parts. Audio is a read-only view of its part.

    Raises WireError with the code that fits, and nothing else, whatever the bytes.
    """
    if not parts or len(parts[0]) < HEADER.size:
        raise WireError(
            Code.SIZE, "A message is shorter than its header.", STILL, f"Send {HEADER.size} bytes or more."
        )
    header = peek(parts[0])
    if header is None:
        raise WireError(
            Code.NOT_DESCANT, "A message is not of this protocol.", STILL, "Connect something else here."
        )
    entry = BY_NUMBER.get(header.type)
    low, high = VERSIONS
    if not low <= header.version <= high and (entry is None or entry.name != "refused"):
        raise WireError(
            Code.VERSION,
            f"A message speaks protocol version {header.version}.",
            f"Versions {low} to {high} work here." if low < high else f"Version {low} works here.",
            "Install a plugin and a host of the same version.",
        )
    if entry is None:
        raise WireError(
            Code.TYPE, f"There is no message type {header.type}.", STILL, "Send a type of the protocol page."
        )
    if len(parts) != 1 + len(entry.parts):
        what = f"{entry.name} came in {len(parts)} parts."
        raise WireError(Code.PARTS, what, STILL, f"Send {1 + len(entry.parts)} parts.")
    if len(parts[0]) != HEADER.size + entry.packed.size:
        what = f"{entry.name} has {len(parts[0])} bytes in its first part."
        raise WireError(Code.SIZE, what, STILL, f"Send {HEADER.size + entry.packed.size} bytes.")
    HEADER_FIELDS[2][1].check("at_sample", header.at_sample)
    return _fields(entry, header, parts)


def _fields(entry: Row, header: Header, parts: Sequence[bytes]) -> Message:
    scalars = iter(entry.packed.unpack_from(parts[0], HEADER.size))
    raw = iter(parts[1:])
    values: dict[str, Any] = {}
    for name, kind in entry.fields:
        full_name = f"{entry.name}.{name}"
        if isinstance(kind, Samples):
            value: Any = kind.from_shape(full_name, next(raw), next(scalars), next(scalars))
        elif isinstance(kind, Text | Names):
            value = kind.from_part(full_name, next(raw))
        else:
            value = next(scalars)
            if isinstance(kind, Choice):
                value = kind.names[value] if value < len(kind.names) else value
            elif isinstance(kind, Flag) and value < 2:
                value = bool(value)
        kind.check(full_name, value)
        values[name] = value
    return entry.cls(session=header.session, sequence=header.sequence, at_sample=header.at_sample, **values)
