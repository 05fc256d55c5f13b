"""The `descant models` commands as the command line names them; the work is in model_commands.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Fetch MusicGen and codecs, look at them, remove them.", no_args_is_help=True)

ModelId = Annotated[str, typer.Argument(metavar="ID", help="As on huggingface.co: owner/name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def models_list() -> None:
    """The models Descant knows and those on this machine."""
    from descant.host.edge.model_commands import list_models

    list_models()


@app.command("pull")
def models_pull(
    name: ModelId,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; a model that is here is replaced by it.")
    ] = None,
    yes: Yes = False,
    pickles: Annotated[
        bool, typer.Option("--pickles", help="Take pickles where there are no safetensors; to be converted.")
    ] = False,
) -> None:
    """Fetch a model from the hub, its licence shown first; go on where an earlier pull stopped."""
    from descant.host.edge.model_commands import pull_model

    pull_model(name, revision, yes, pickles)


@app.command("show")
def models_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="embedded, a pulled model's id, or a folder.")],
) -> None:
    """What a model is: its numbers, controls, lag, size and licence."""
    from descant.host.edge.model_commands import show_model

    show_model(name)


@app.command("rm")
def models_rm(name: ModelId, yes: Yes = False) -> None:
    """Remove a model from this machine."""
    from descant.host.edge.model_commands import remove_model

    remove_model(name, yes)


@app.command("convert")
def models_convert(
    folder: Annotated[str, typer.Argument(help="A folder with pickled weights (state_dict.bin), or an id.")],
    out: Annotated[Path, typer.Argument(readable=False, help="The folder to write; it must not exist yet.")],
) -> None:
    """Turn audiocraft's pickled weights into safetensors; nothing in a pickle is run."""
    from descant.host.edge.model_commands import convert_model

    convert_model(folder, out)
