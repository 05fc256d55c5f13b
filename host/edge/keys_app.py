"""The `descant keys` commands as the command line names them; the work is in keys.py."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="Let bridges on other machines use a host on this one: who may, by CURVE keys.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="What you call the other machine.")]


@app.command("add")
def keys_add(
    name: Name,
    endpoint: Annotated[
        str,
        typer.Option(help="Where that machine reaches this one, such as tcp://studio.local:47474."),
    ],
) -> None:
    """Trust one more bridge; prints the lines for plugin.toml on its machine (with its secret: take care)."""
    from descant.host.edge.keys import add, bridge_file

    lines = add(name, endpoint)
    typer.echo(
        f"Trusted from the host's next start on. Put these lines into {bridge_file()} of {name}'s user there "
        "(they are kept nowhere here), and remove others of these names:",
        err=True,
    )
    typer.echo(lines, nl=False)


@app.command("list")
def keys_list() -> None:
    """Who is trusted, by public key."""
    from descant.host.edge.keys import keys_file, read_keys

    keys = read_keys()
    if keys is None:
        typer.echo(f"No keys yet ({keys_file()}): descant keys add NAME --endpoint tcp://THIS-MACHINE:47474")
        return
    typer.echo(f"{'this host':20} {keys.public}")
    for name, key in keys.trusted.items():
        typer.echo(f"{name:20} {key}")


@app.command("rm")
def keys_rm(name: Name) -> None:
    """Trust a bridge no more, from the host's next start on."""
    from descant.host.edge.keys import remove

    remove(name)
    typer.echo(f"{name} is trusted no more, from the host's next start on.")
