"""The `descant` command: reads the command line and hands over; the work is in host/edge.

Thread: main, everywhere. Nothing heavy is imported before a command needs it: `descant --help` is quick.
Exit codes: 0 done; 1 it failed, with three lines on standard error; 2 wrong use.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from descant.host.edge.errors_shown import Interrupted, show
from descant.host.edge.eval_app import app as eval_app
from descant.host.edge.keys_app import app as keys_app
from descant.host.edge.machine_app import bench, devices, doctor
from descant.host.edge.models_app import app as models_app
from descant.host.edge.play_app import desktop, host, play
from descant.host.edge.plugin_app import app as plugin_app
from descant.host.edge.presets_app import app as presets_app
from descant.host.edge.render_app import render
from descant.host.edge.takes_app import app as takes_app


class _Commands(TyperGroup):
    """Commands in which Ctrl-C is Python's own KeyboardInterrupt, which nothing takes for an error, and past
    which it is one of ours: the library that reads the command line would end without a word."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error


app = typer.Typer(
    name="descant",
    cls=_Commands,
    help="Music that answers a controller, a hum or a DAW, in time with the song.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (render, host, play, desktop, doctor, bench, devices):  # as --help lists them
    app.command()(command)
app.add_typer(presets_app, name="presets")
app.add_typer(models_app, name="models")
app.add_typer(eval_app, name="eval")
app.add_typer(takes_app, name="takes")
app.add_typer(plugin_app, name="plugin")
app.add_typer(keys_app, name="keys")


def _version(wanted: bool) -> None:
    if wanted:
        from descant.host.edge.machine import version_of

        typer.echo(f"descant {version_of('descant')}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Music that answers a controller, a hum or a DAW, in time with the song."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (sys.argv's by default) and exit with its code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="descant")
    except Exception as error:
        show(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
