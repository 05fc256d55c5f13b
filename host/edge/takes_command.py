"""`descant takes list | find | show | rate | export | rm`: takes as a person uses them.

Thread: main. Knows nothing about how they are recorded or kept.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from descant.host.edge.settings import takes_folder
from descant.host.edge.take_store import TakeStore
from descant.host.edge.take_writer import is_recorded
from descant.host.edge.whole import whole_file
from descant.host.errors import HostError, TakeError
from descant.host.hum_take import mono
from descant.host.pitch import notes_of
from descant.host.takes import length_of, when_made

MAX_HUM_SECONDS = 600.0


def opened(folder: Path | None) -> TakeStore:
    """The store; what had to be put right in it is said."""
    store = TakeStore(folder or takes_folder())
    for said in store.said:
        print(said, file=sys.stderr)
    return store


def find(folder: Path | None, words: str, rating: int) -> None:
    """Print the takes that hold all words, rated so or better."""
    with opened(folder) as store:
        found = store.find(words, rating)
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = 200  # a line a take, for whoever reads them
        if not found:
            none = "No take like that." if words or rating else "No take yet."
            console.print(f"{none} They lie in {escape(str(store.folder))}.", soft_wrap=True)
            return
        table = Table("take", "made", "length", "rating", "bpm", "key", "name", box=None)
        for take in found:
            table.add_row(
                str(take.number),
                when_made(take),
                length_of(take.seconds),
                "★" * take.rating,
                f"{take.tempo:g}" if take.tempo else "",
                take.key,
                escape(take.name),
            )
        console.print(table)


def show(folder: Path | None, number: int) -> None:
    """Print a take, a line for each thing that is known. Raises TakeError."""
    with opened(folder) as store:
        take = store.get(number)
        path = store.folder / take.file
        state = "is being recorded" if is_recorded(path) else "" if path.exists() else "is gone"
        rows = {
            "take": f"{take.number}, {take.name}",
            "made": when_made(take),
            "length": length_of(take.seconds),
            "rating": str(take.rating),
            "prompt": take.prompt,
            "tempo": f"{take.tempo:g} bpm" if take.tempo else "",
            "key": take.key,
            "model": f"{take.model} {take.weights_hash[:12]}".strip(),
            "seed": str(take.seed),
            "file": f"{path}{f' ({state})' if state else ''}",
        }
        console = Console(highlight=False)
        for name, value in rows.items():
            if value:
                console.print(f"{name:<8} {escape(value)}", soft_wrap=True)


def rate(folder: Path | None, number: int, rating: int) -> None:
    """Keep a rating. Raises TakeError."""
    with opened(folder) as store:
        take = store.rate(number, rating)
    print(f"take {take.number}, {take.name}: {take.rating} of 5")


def export(folder: Path | None, number: int, out: Path) -> None:
    """Write a copy of a take, or its notes. Raises TakeError; then nothing was written."""
    with opened(folder) as store:
        if out.suffix.lower() in (".mid", ".midi"):
            _export_notes(store, number, out)
        else:
            store.export(number, out)
    print(f"wrote {out}")


def _export_notes(store: TakeStore, number: int, out: Path) -> None:
    """The notes of a hum as a MIDI file."""
    import soundfile

    from descant.host.edge.hum_midi import write_midi
    from descant.host.edge.pitch_tracker import trace_of

    take = store.get(number)
    path = store.folder / take.file
    if os.path.lexists(out):
        raise TakeError(
            f"{out} is there already.", "Nothing was written; that file is as it was.", "Give another name."
        )
    if take.seconds > MAX_HUM_SECONDS:
        raise TakeError(
            f"Take {number} lasts {take.seconds / 60:.0f} minutes: that is no hum.",
            "Nothing was written; the take is as it was.",
            f"Notes are read from takes of up to {MAX_HUM_SECONDS / 60:.0f} minutes, of one voice.",
        )
    try:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise TakeError(
            f"{path} cannot be read.", "Nothing was written.", "Look whether the file is still there."
        ) from error
    notes = notes_of(trace_of(mono(wave.T), rate)) if len(wave) else []
    if not notes:
        raise TakeError(
            f"No notes are heard in take {number}.",
            "Nothing was written; the take is as it was.",
            "Notes are read from one voice: export a take that was hummed.",
        )
    try:
        with whole_file(out) as part:
            write_midi(part, notes, take.tempo, take.key, take.name)
    except HostError as error:
        raise TakeError(error.what, error.still, error.do) from error


def remove(folder: Path | None, number: int, yes: bool) -> None:
    """Remove a take, once that is agreed to. Raises TakeError; then all of it is there."""
    with opened(folder) as store:
        take = store.get(number)
        if not yes and not typer.confirm(f"Remove take {number}, {take.name}, for good?"):
            print("Nothing was removed.")
            return
        store.remove(number)
    print(f"removed take {number}, {take.name}")
