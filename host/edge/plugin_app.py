"""The `descant plugin` commands as the command line names them; the work is in plugin_command.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Build the DAW plugin and put it where DAWs look.", no_args_is_help=True)

Framework = Annotated[
    Path | None,
    typer.Option(
        "--framework",
        readable=False,
        help="The DISTRHO Plugin Framework 1.6; by default Debian's dpf-source.",
    ),
]
Into = Annotated[
    Path | None, typer.Option("--into", readable=False, help="The folder to build in; by default a cache.")
]


@app.command("build")
def plugin_build(framework: Framework = None, into: Into = None) -> None:
    """Compile the plugin: VST3, CLAP, LV2 and a JACK application; instrument and effect."""
    from descant.host.edge.plugin_command import build

    build(framework, into)


@app.command("install")
def plugin_install(framework: Framework = None, into: Into = None) -> None:
    """Compile what is not up to date and install it for yourself."""
    from descant.host.edge.plugin_command import install

    install(framework, into)


@app.command("where")
def plugin_where() -> None:
    """Where the plugin is or would be, and where it looks for the host."""
    from descant.host.edge.plugin_command import where

    where()
