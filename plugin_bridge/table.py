"""The machinery of the message table: what a row is, what every message carries, the limits of the wire.

Knows nothing about which messages exist (`wire`) nor how they become bytes (`codec`).
"""

from __future__ import annotations

import struct
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np

from descant.plugin_bridge.fields import (
    MAX_BLOCK_SAMPLES,
    MAX_CHANNELS,
    Choice,
    Flag,
    Kind,
    Position,
    u32,
    u64,
)

PROTOCOL_VERSION = 1
VERSIONS = (1, 1)
"""Lowest and highest protocol version this code speaks."""
MAGIC = 0xDE
"""High byte of the first field; the low byte is the protocol version."""
HEADER = struct.Struct("<HHQIq")
MAX_PARTS = 5
MAX_PART_BYTES = 2 * 4 * MAX_CHANNELS * MAX_BLOCK_SAMPLES
"""Bytes a socket lets through (1 MiB); a longer part ends the connection."""
MAX_PROMPT = 2000
HEARTBEAT_MS = 50
HEARTBEAT_MISSES = 3

Sender = Literal["bridge", "host", "both"]


class Message(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What every message carries in its header.

    session: 0 before `welcome`. sequence: counts up per sender and connection, stamped when sent, wraps at
    2**32. at_sample: when, in samples per channel at the client's rate; of an `audio` block the first
    sample's position.
    """

    session: Annotated[int, u64()] = 0
    sequence: Annotated[int, u32()] = 0
    at_sample: Position = 0

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(np.array_equal(getattr(self, f), getattr(other, f)) for f in self.__struct_fields__)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Row:
    """One row of the table. name: snake case. packed: the scalars after the header. parts: fields with a
    raw part.
    """

    name: str
    number: int
    sender: Sender
    cls: type[Message]
    doc: str
    fields: tuple[tuple[str, Kind], ...]
    packed: struct.Struct
    parts: tuple[str, ...]


ROWS: list[Row] = []
BY_NUMBER: dict[int, Row] = {}
BY_CLASS: dict[type[Message], Row] = {}
HEADER_FIELDS: tuple[tuple[str, Kind], ...]

M = TypeVar("M", bound=Message)


def _kinds(cls: type[Message]) -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        if typing.get_origin(hint) is Literal:
            kinds[name] = Choice(typing.get_args(hint))
        elif hint is bool:
            kinds[name] = Flag()
        else:
            kinds[name] = typing.get_args(hint)[1]
    return kinds


def row(number: int, sender: Sender) -> Callable[[type[M]], type[M]]:
    """Enter a message class in the table."""

    def enter(cls: type[M]) -> type[M]:
        fields = tuple(
            (name, kind) for name, kind in _kinds(cls).items() if name not in Message.__struct_fields__
        )
        name = "".join("_" + c.lower() if c.isupper() else c for c in cls.__name__).lstrip("_")
        packed = struct.Struct("<" + "".join(kind.codes for _, kind in fields))
        parts = tuple(field for field, kind in fields if kind.raw)
        assert number not in BY_NUMBER and len(parts) < MAX_PARTS
        entry = Row(name, number, sender, cls, (cls.__doc__ or "").strip(), fields, packed, parts)
        ROWS.append(entry)
        BY_NUMBER[number] = BY_CLASS[cls] = entry
        return cls

    return enter


HEADER_FIELDS = tuple((name, kind) for name, kind in _kinds(Message).items())
