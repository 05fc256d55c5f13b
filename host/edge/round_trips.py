"""The measured round trips of this machine's audio devices, in a file of the user's.

Thread: any but audio.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import platformdirs
from msgspec import Meta

from descant.host.edge.whole import whole_file
from descant.host.errors import DeviceError, HostError

MAX_BYTES = 1 << 16
KEPT = 200  # devices; the oldest are forgotten


class Measured(msgspec.Struct, frozen=True):
    """samples: of the timeline at rate Hz, from a sound leaving the output to it being back at the input."""

    device: Annotated[str, Meta(max_length=200)]
    rate: Annotated[int, Meta(ge=8000, le=384000)]
    block: Annotated[int, Meta(ge=0, le=8192)]
    samples: Annotated[int, Meta(ge=0, le=384000)]


def round_trips_file() -> Path:
    """Where they are kept; `DESCANT_ROUND_TRIPS` names another file."""
    named = os.environ.get("DESCANT_ROUND_TRIPS", "")
    return Path(named) if named else Path(platformdirs.user_data_dir("descant")) / "round_trips.json"


def read_round_trips(path: Path | None = None) -> list[Measured]:
    """All of them, the oldest first; none where the file is missing or is none of ours."""
    try:
        with (path or round_trips_file()).open("rb") as file:
            return msgspec.json.decode(file.read(MAX_BYTES), type=list[Measured])
    except (OSError, msgspec.MsgspecError):
        return []


def measured(device: str, rate: int, block: int) -> int | None:
    """What was measured last with a device like that, in samples; None where nobody did."""
    found = [row for row in read_round_trips() if (row.device, row.rate, row.block) == (device, rate, block)]
    return found[-1].samples if found else None


def keep_round_trip(row: Measured) -> Path:
    """Keep it in the place of what was measured before; the file. Raises DeviceError."""
    path = round_trips_file()
    same = (row.device, row.rate, row.block)
    others = [old for old in read_round_trips(path) if (old.device, old.rate, old.block) != same]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            part.write_bytes(
                msgspec.json.format(msgspec.json.encode([*others, row][-KEPT:]), indent=1) + b"\n"
            )
    except (OSError, HostError) as error:
        why = error.what if isinstance(error, HostError) else f"{path}: {error.strerror or error}"
        raise DeviceError(
            f"The round trip of {row.samples} samples could not be kept ({why}).",
            "It was measured, and nothing else was changed.",
            "Name a file that you may write with DESCANT_ROUND_TRIPS.",
        ) from error
    return path
