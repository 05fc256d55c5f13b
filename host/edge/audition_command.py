"""`descant presets audition`: some bars of every pad, offline; figures, sound files and pictures of them.

Sound files and pictures are made of what was measured, so that both can be checked against the table.
"""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from descant.host.edge.bench_plot import can_plot
from descant.host.edge.preset_files import load_presets
from descant.host.edge.settings import apply_threads, default_threads
from descant.host.edge.store import write_wav
from descant.host.edge.whole import reason, whole_file
from descant.host.errors import HostError
from descant.host.preset import Preset, find_preset

if TYPE_CHECKING:
    from descant.host.audition import Audition, Heard

FADE_SECONDS = 0.01  # where one pad ends and the next begins, in the sound file
HEADS = "pad  LUFS  dBTP onsets struck still on beat in key chords clear    Hz  nearest seeds  verdict"
COLUMNS = (
    *("preset", "pad", "seed", "level_dbfs", "loudness_lufs", "peak_dbtp", "gap_s"),
    *("onsets_a_beat", "strikes_a_beat", "still_bars", "on_beat", "in_key"),
    *("chords", "chords_moved", "clear", "brightness_hz", "nearest_pad", "nearest_db", "spread_db"),
    *("complaints", "text"),
)


@dataclass(frozen=True)
class Request:
    """The command line of `descant presets audition`; see there for units and ranges. names: none for all."""

    names: tuple[str, ...]
    pads: tuple[int, ...]
    bars: int
    seeds: int
    out: Path | None
    model: str
    threads: int
    presets: tuple[str, ...]


def run(request: Request) -> None:
    """Thread: main. Play, measure, print, write. Raises HostError or ModelError; presets that were done by
    then keep their files."""
    presets = load_presets(request.presets)
    wanted = [find_preset(presets, name) for name in dict.fromkeys(request.names)] or list(presets.values())
    _check_lengths(wanted, request)
    if request.out is not None:
        _make_folder(request.out)
    apply_threads(request.threads or default_threads())
    from descant.host.audition import audition
    from descant.host.edge.models import load_named

    model = load_named(request.model)
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    done: list[Audition] = []
    began = time.monotonic()
    with _progress() as (bar, task):
        for number, preset in enumerate(wanted):

            def progress(share: float, number: int = number, name: str = preset.name) -> None:
                bar.update(task, completed=(number + share) / len(wanted), description=name)

            slots = request.pads or None
            heard = audition(model, presets, preset.name, range(request.seeds), request.bars, slots, progress)
            done.append(heard)
            if request.out is not None:
                _write(request.out, heard, done)
            _tell(console, heard)
    if len(done) > 1:
        _tell_presets(console, done)
    note = "" if request.out is None or can_plot() else "; no pictures: pip install matplotlib"
    where = "" if request.out is None else f", in {escape(str(request.out))}"
    console.print(f"{len(done)} presets in {time.monotonic() - began:.0f} s{where}{note}")


def _check_lengths(wanted: list[Preset], request: Request) -> None:
    """Whatever cannot be played is said before anything is."""
    from descant.host.audition import seconds_of

    for preset in wanted:
        seconds_of(preset, request.bars)
        for pad in request.pads:
            if pad >= len(preset.prompts) or preset.prompts[pad].stop:
                pads = ", ".join(str(slot) for slot, row in enumerate(preset.prompts) if not row.stop)
                raise HostError(
                    f"{preset.name} has no pad {pad} with words.", "Nothing was played.", f"It has: {pads}."
                )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise HostError(
            f"{folder} cannot be made: {reason(error)}.",
            "Nothing was played.",
            "Name a folder in one that exists and that you may write to.",
        ) from error


@contextmanager
def _progress() -> Iterator[tuple[Progress, TaskID]]:
    """A bar on a terminal; elsewhere each preset's table is the progress."""
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("listening to {task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar, bar.add_task("", total=1.0)


def _tell(console: Console, heard: Audition) -> None:
    from descant.host.verdict import complaints

    preset = heard.preset
    console.print(f"[bold]{escape(preset.name)}[/bold], {preset.tempo:g} bpm. {escape(preset.description)}")
    console.print(f"[dim]{HEADS}[/dim]")
    for slot in heard.slots:
        rows = [one.figures for one in heard.of(slot)]
        other, near = heard.nearest(slot)
        nearest = "–" if other is None else f"{near:.1f} ({other})"
        wrong = complaints(heard, slot)
        console.print(
            f"{slot:3d} {heard.loudness(slot):5.0f} {max(row.peak for row in rows):5.1f}"
            f" {np.mean([row.onsets for row in rows]):6.1f} {np.mean([row.strikes for row in rows]):6.1f}"
            f" {np.mean([row.still for row in rows]):5.1f} {np.mean([row.on_beat for row in rows]):+7.2f}"
            f" {_shown(np.mean([row.in_key for row in rows]), '.2f'):>6}"
            f" {_shown(np.mean([row.chords - row.others for row in rows]), '+.2f'):>6}"
            f" {np.mean([row.clear for row in rows]):5.2f} {np.mean([row.brightness for row in rows]):5.0f}"
            f" {nearest:>8} {_shown(heard.spread(slot), '.1f'):>5}"
            f"  {'[yellow]' + escape('; '.join(wrong)) if wrong else '[green]good'}"
        )
        console.print(f"    [dim]{escape(preset.prompts[slot].text)}[/dim]")


def _shown(value: float | np.floating[Any], form: str) -> str:
    return format(value, form) if np.isfinite(value) else "–"


def _tell_presets(console: Console, done: list[Audition]) -> None:
    """Each preset's most similar other one."""
    from descant.host.audition import distance
    from descant.host.verdict import DUPLICATE

    table = Table("preset", "most like", "apart", "verdict", box=None)
    for one in done:
        near, other = min((distance(one, two), two.preset.name) for two in done if two is not one)
        verdict = "[yellow]a duplicate[/yellow]" if near < DUPLICATE else "[green]its own[/green]"
        table.add_row(one.preset.name, other, f"{near:.1f} dB", verdict)
    console.print(table)


def _write(folder: Path, heard: Audition, done: list[Audition]) -> None:
    """One preset's sound file and picture, and the table of all so far."""
    name = heard.preset.name
    rate = heard.heard[0].rate
    write_wav(folder / f"{name}.wav", _in_turn(heard), rate)
    if can_plot():
        from descant.host.edge.audition_picture import draw

        figure = draw(heard)
        with whole_file(folder / f"{name}.png") as part:
            figure.savefig(part, format="png")
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for one in done:
        table.writerows(_row(one, row) for row in one.heard)
    with whole_file(folder / "audition.csv") as part:
        part.write_text(text.getvalue(), encoding="utf-8", newline="")


def _in_turn(heard: Audition) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """[1, n]: the pads one after the other, each with its first seed."""
    pads = []
    for slot in heard.slots:
        first = heard.of(slot)[0]
        n = round(FADE_SECONDS * first.rate)
        ramp = np.ones(len(first.wave), np.float32)
        ramp[:n], ramp[-n:] = np.linspace(0, 1, n), np.linspace(1, 0, n)
        pads.append(first.wave * ramp)
    return np.concatenate(pads)[None]


def _row(heard: Audition, one: Heard) -> tuple[object, ...]:
    from descant.host.verdict import complaints

    figures = one.figures
    other, near = heard.nearest(one.slot)
    return (
        *(heard.preset.name, one.slot, one.seed),
        *(round(value, 3) for value in (figures.level, figures.loudness, figures.peak, figures.gap)),
        *(round(value, 3) for value in (figures.onsets, figures.strikes, figures.still)),
        *(round(value, 3) for value in (figures.on_beat, figures.in_key, figures.chords, figures.others)),
        *(round(figures.clear, 3), round(figures.brightness)),
        *("" if other is None else other, round(near, 2), round(heard.spread(one.slot), 2)),
        *("; ".join(complaints(heard, one.slot)), heard.preset.prompts[one.slot].text),
    )
