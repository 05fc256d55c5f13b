"""What the window remembers: theme, scale and favourite presets, in a file of the user's own.

A file that is broken is as good as none; it is replaced at the next change.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from descant.host.edge.settings import user_presets
from descant.host.edge.whole import whole_file
from descant.host.errors import HostError

MAX_BYTES = 1 << 18
SCALES = (100, 125, 150, 175, 200)


class Prefs(msgspec.Struct, frozen=True):
    """theme: its name. scale: percent. favourites: names of presets."""

    theme: Literal["dark", "high-contrast"] = "dark"
    scale: Annotated[int, Meta(ge=100, le=200)] = 100
    favourites: tuple[str, ...] = ()


def prefs_file() -> Path:
    """Beside the user's presets."""
    return user_presets().parent / "desktop.json"


def load_prefs(path: Path) -> Prefs:
    """What was kept, or what holds at first."""
    with suppress(OSError, msgspec.MsgspecError), path.open("rb") as file:
        return msgspec.json.decode(file.read(MAX_BYTES), type=Prefs)
    return Prefs()


def save_prefs(path: Path, prefs: Prefs) -> HostError | None:
    """Keep them; why it could not be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            part.write_bytes(msgspec.json.encode(prefs))
    except HostError as error:
        return error
    except OSError as error:
        return HostError(
            f"{path} could not be written: {(error.strerror or str(error)).lower()}.",
            "The window goes on; what was chosen holds until it closes.",
            "Make the folder writable.",
        )
    return None
