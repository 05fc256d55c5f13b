"""The `descant takes` commands as the command line names them; the work is in takes_command.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Look at what was recorded while you played live.", no_args_is_help=True)

Folder = Annotated[
    Path | None, typer.Option("--takes", readable=False, help="The folder of takes; yours if none is named.")
]
Number = Annotated[int, typer.Argument(metavar="N", min=0, max=2**62, help="A take's number.")]
AtLeast = Annotated[int, typer.Option("--rating", min=0, max=5, help="Only those rated so, or better.")]


@app.command("list")
def takes_list(rating: AtLeast = 0, takes: Folder = None) -> None:
    """All takes, the newest first."""
    from descant.host.edge.takes_command import find

    find(takes, "", rating)


@app.command("find")
def takes_find(
    words: Annotated[list[str], typer.Argument(help="Words of the name, the prompt, the key or the model.")],
    rating: AtLeast = 0,
    takes: Folder = None,
) -> None:
    """Takes that every word is found in."""
    from descant.host.edge.takes_command import find

    find(takes, " ".join(words), rating)


@app.command("show")
def takes_show(number: Number, takes: Folder = None) -> None:
    """All that is known of a take."""
    from descant.host.edge.takes_command import show

    show(takes, number)


@app.command("rate")
def takes_rate(
    number: Number,
    rating: Annotated[int, typer.Argument(min=0, max=5, help="0 (none) to 5.")],
    takes: Folder = None,
) -> None:
    """Say how good a take is."""
    from descant.host.edge.takes_command import rate

    rate(takes, number, rating)


@app.command("render")
def takes_render(
    number: Number,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="WAV", help="The WAV to write, in a folder that exists."),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Where its model is, if its name alone does not say.")
    ] = "",
    takes: Folder = None,
) -> None:
    """Make a take again from what was played: bit for bit, with the same model on the same machine."""
    from descant.host.edge.take_render import run

    run(takes, number, out, model)


@app.command("export")
def takes_export(
    number: Number,
    out: Annotated[
        Path, typer.Argument(readable=False, metavar="FILE", help="A new .wav, .flac or .mid file.")
    ],
    takes: Folder = None,
) -> None:
    """A copy of a take: the same samples as .wav, 24 bits as .flac; the notes of a hum as .mid."""
    from descant.host.edge.takes_command import export

    export(takes, number, out)


@app.command("rm")
def takes_rm(
    number: Number,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    takes: Folder = None,
) -> None:
    """Remove a take for good."""
    from descant.host.edge.takes_command import remove

    remove(takes, number, yes)
