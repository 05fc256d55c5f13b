"""The commands `descant eval ...` as the command line reads them; the work is in eval_command.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Prove what is claimed: parity with the reference, kernels, music beyond 30 s.", no_args_is_help=True
)
Out = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file, as JSON.")]


@app.command("parity")
def eval_parity(
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="tiny, odd, musicgen-small (a quarter of an hour, 5 GB), musicgen-melody (twice that, "
            "14 GB), full (both of these); may be given several times."
        ),
    ] = None,
    out: Out = None,
) -> None:
    """Compare codecs, logits and greedy codes with transformers', from random weights. A minute."""
    from descant.host.edge.eval_command import parity

    parity(size or ["tiny", "odd"], out)


@app.command("windows")
def eval_windows(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A MusicGen; default a small random one like it.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.5, max=120.0, help="Music to make, in each form.")] = 10.0,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Torch threads.")] = 1,
    out: Out = None,
) -> None:
    """Play beyond 30 s: gaps between frames where a window follows another, with and without a shadow."""
    from descant.host.edge.eval_command import windows

    windows(model, minutes, threads, out)


@app.command("kernels")
def eval_kernels(
    seconds: Annotated[float, typer.Option("--seconds", "-s", min=0.2, max=7.0, help="Of a prompt.")] = 5.0,
    prompts: Annotated[int, typer.Option(min=1, max=6, help="How many prompts.")] = 6,
    loud: Annotated[int, typer.Option(min=1, max=64, help="Channels of each norm made outliers.")] = 6,
    layers: Annotated[
        int,
        typer.Option(min=0, max=24, help="Of the random decoder of musicgen-small's width, or 0."),
    ] = 24,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Torch threads.")] = 1,
    out: Out = None,
) -> None:
    """How far each kernel is from fp32: equal likeliest tokens and KL, with outliers too. Minutes, 6 GB."""
    from descant.host.edge.eval_command import kernels

    kernels(seconds, prompts, loud, layers, threads, out)
