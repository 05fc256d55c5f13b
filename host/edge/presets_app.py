"""The `descant presets` commands as the command line names them; the work is in preset_commands.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descant.host.edge.options import Model, PresetFolders, Threads, file_to_write

app = typer.Typer(help="Look at presets, the shipped ones and your own.", no_args_is_help=True)


@app.command("list")
def presets_list(presets: PresetFolders = []) -> None:  # noqa: B006
    """All presets, one a line; the first is the default."""
    from descant.host.edge.preset_commands import list_presets

    list_presets(tuple(map(str, presets)))


@app.command("find")
def presets_find(
    words: Annotated[list[str], typer.Argument(help="All of them are looked for.")],
    presets: PresetFolders = [],  # noqa: B006
) -> None:
    """Presets by words of their name, description and prompts."""
    from descant.host.edge.preset_commands import list_presets

    list_presets(tuple(map(str, presets)), " ".join(words))


@app.command("show")
def presets_show(name: str, presets: PresetFolders = []) -> None:  # noqa: B006
    """What a preset binds to which pad, key, program and controller."""
    from descant.host.edge.preset_commands import show_preset

    show_preset(name, tuple(map(str, presets)))


@app.command("check")
def presets_check(file: Annotated[Path, typer.Argument(readable=False)]) -> None:
    """Check a preset file to its last field."""
    from descant.host.edge.preset_commands import check_preset

    check_preset(file)


@app.command("audition")
def presets_audition(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Presets by name; none: all of them.")
    ] = None,
    pads: Annotated[
        list[int] | None, typer.Option("--pad", min=0, max=127, help="Only this pad; may be given again.")
    ] = None,
    bars: Annotated[int, typer.Option(min=1, max=64, help="How long to listen to each pad.")] = 4,
    seeds: Annotated[int, typer.Option(min=1, max=16, help="How many seeds of each pad.")] = 2,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", parser=file_to_write, metavar="DIR", help="Write WAVs, pictures, a CSV."),
    ] = None,
    model: Model = "embedded",
    threads: Threads = 0,
    presets: PresetFolders = [],  # noqa: B006
) -> None:
    """Play some bars of every pad, offline, and measure what can be heard: is it good, is it its own?"""
    from descant.host.edge.audition_command import Request, run

    folders = tuple(map(str, presets))
    run(Request(tuple(names or ()), tuple(pads or ()), bars, seeds, out, model, threads, folders))
