"""What several commands take from the command line, in one wording."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

MAX_SECONDS = 3600.0  # of music that is made or listened to

# readable=False, wherever a file is named: whether it can be read is for its reader to say, in three lines;
# typer would make it wrong use.
Model = Annotated[
    str,
    typer.Option("--model", "-m", help="Model: embedded (ships), the id of a pulled one, or a folder."),
]
Threads = Annotated[
    int, typer.Option("--threads", min=0, max=64, help="Torch threads; 0 leaves a core to the DAW.")
]
Endpoint = Annotated[
    str, typer.Option("--endpoint", help="ipc://PATH or tcp://127.0.0.1:PORT; empty: your runtime folder.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="The same seed gives the same music.")]
PresetFolders = Annotated[
    list[Path],
    typer.Option("--presets", readable=False, help="A further folder of preset files; may be given again."),
]


def file_to_write(text: str) -> Path:
    """A file to write, as the command line names it; no name at all would mean the folder one is in."""
    if not text.strip():
        raise typer.BadParameter("it is empty: name a file.")
    return Path(text)


def finite(value: float | None) -> float | None:
    """A length; an infinite one, or one that is no number, is wrong use."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no length.")
    return value
