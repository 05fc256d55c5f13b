"""What is asked of the process that listens to hums, and what it answers.

MessagePack with its length before it. Waves travel as float32 bytes, one channel.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec
import numpy as np

from descant.host.events import Wave
from descant.host.pitch import Note, Trace

MAX_BYTES = 1 << 27  # two minutes at 192 kHz
_LENGTH = struct.Struct("<I")


class Push(msgspec.Struct, frozen=True, tag="push"):
    """More of clip `number`, at rate Hz; last: all of it is there."""

    number: int
    rate: int
    wave: bytes
    last: bool = False


class Judge(msgspec.Struct, frozen=True, tag="judge"):
    """How closely music follows notes; see host/follow.py."""

    number: int
    rate: int
    music: bytes
    notes: list[tuple[float, float, int, int]]


class Keep(msgspec.Struct, frozen=True, tag="keep"):
    """Write a hum as a take; see host/takes.py."""

    number: int
    folder: str
    rate: int
    wave: bytes
    tempo: float
    key: str


Asked = Push | Judge | Keep


class Traced(msgspec.Struct, frozen=True, tag="traced"):
    """More rows of a clip's trace, three float32 arrays."""

    number: int
    hz: bytes
    confidence: bytes
    level: bytes
    last: bool
    by: str = ""


class Judged(msgspec.Struct, frozen=True, tag="judged"):
    """score < 0: nothing to compare."""

    number: int
    score: float
    chance: float
    late: float


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """As which take."""

    number: int
    take: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It could not be done, and why."""

    number: int
    why: str


Answer = Traced | Judged | Kept | Failed

_ASKED = msgspec.msgpack.Decoder(Asked)
_ANSWER = msgspec.msgpack.Decoder(Answer)


def put(stream: BinaryIO, word: Asked | Answer) -> None:
    """Write one. Raises OSError, ValueError when the other end is gone."""
    data = msgspec.msgpack.encode(word)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def _get(stream: BinaryIO) -> bytes | None:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (n,) = _LENGTH.unpack(head)
    if n > MAX_BYTES:
        raise ValueError(f"{n} bytes at once")
    data = stream.read(n)
    return data if len(data) == n else None


def get_asked(stream: BinaryIO) -> Asked | None:
    """The next one; None at the end."""
    data = _get(stream)
    return None if data is None else _ASKED.decode(data)


def get_answer(stream: BinaryIO) -> Answer | None:
    """The next one; None at the end."""
    data = _get(stream)
    return None if data is None else _ANSWER.decode(data)


def wave_in(data: bytes) -> Wave:
    return np.frombuffer(data, np.float32)


def wave_out(wave: Wave) -> bytes:
    return np.ascontiguousarray(wave, np.float32).tobytes()


def trace_in(word: Traced) -> Trace:
    return Trace(wave_in(word.hz), wave_in(word.confidence), wave_in(word.level))


def notes_out(notes: list[Note]) -> list[tuple[float, float, int, int]]:
    return [(note.start, note.seconds, note.key, note.velocity) for note in notes]


def notes_in(rows: list[tuple[float, float, int, int]]) -> list[Note]:
    return [Note(*row) for row in rows]
