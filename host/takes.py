"""What a take is: its row, its name, and the header of its sound file. Knows nothing about disks or
databases.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

HEADER_BYTES = 58
FLOAT_BYTES = 4
MAX_DATA_BYTES = 2**32 - 2 * HEADER_BYTES  # a WAV file counts its bytes in 32 bits
LOW_SECONDS = 600  # of room on the disk below which it is said


@dataclass(frozen=True)
class Take:
    """One recording. made_at: ISO 8601, UTC. seconds, tempo (quarter notes a minute), rating 0..5. key: "C",
    "Am" or "".

    events: how the session was opened and where in it the take begins; with what the session took in, which
    is kept under its name, it is played again.
    """

    name: str
    made_at: str
    file: str
    seconds: float = 0.0
    prompt: str = ""
    model: str = ""
    weights_hash: str = ""
    seed: int = 0
    tempo: float = 0.0
    key: str = ""
    rating: int = 0
    events: bytes = b""
    session: str = ""
    number: int = 0


def when_made(take: Take) -> str:
    """When, by the clock on the wall here."""
    try:
        return f"{datetime.fromisoformat(take.made_at).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return take.made_at


def length_of(seconds: float) -> str:
    """Minutes and seconds: 1:02.5."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def free_name(wanted: str, taken: Collection[str]) -> str:
    """The name, or with the first number from 2 on that is free."""
    name = " ".join(wanted.split())[:80] or "take"
    if name not in taken:
        return name
    return next(f"{name} {n}" for n in range(2, len(taken) + 3) if f"{name} {n}" not in taken)


def file_name(name: str) -> str:
    """A name as a file may have it on any system."""
    kept = "".join(c if c.isalnum() or c in " -_()" else "_" for c in name).strip(" .")
    return (kept or "take") + ".wav"


def wav_header(rate: int, channels: int, data_bytes: int) -> bytes:
    """The first HEADER_BYTES of a float WAV file whose sound takes `data_bytes`."""
    frame = FLOAT_BYTES * channels
    return struct.pack(
        "<4sI4s4sIHHIIHHH4sII4sI",
        *(b"RIFF", HEADER_BYTES - 8 + data_bytes, b"WAVE"),
        *(b"fmt ", 18, 3, channels, rate, rate * frame, frame, 8 * FLOAT_BYTES, 0),
        *(b"fact", 4, data_bytes // frame, b"data", data_bytes),
    )


def true_header(header: bytes, file_bytes: int) -> bytes | None:
    """The header this file should have, by how long it is; None where it has it already, or is none of
    ours.
    """
    if (
        len(header) < HEADER_BYTES
        or header[:4] != b"RIFF"
        or header[8:16] != b"WAVEfmt "
        or header[50:54] != b"data"
    ):
        return None
    channels, rate = struct.unpack_from("<HI", header, 22)
    if not 1 <= channels <= 64:
        return None
    frame = FLOAT_BYTES * channels
    data_bytes = max(0, file_bytes - HEADER_BYTES) // frame * frame
    true = wav_header(rate, channels, data_bytes)
    return None if true == header[:HEADER_BYTES] else true


def room_seconds(free_bytes: int, rate: int, channels: int) -> float:
    """How much longer can be recorded."""
    return free_bytes / (rate * channels * FLOAT_BYTES)
