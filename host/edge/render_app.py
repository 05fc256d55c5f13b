"""The command `descant render` as the command line names it; the work is in render_command.py."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from descant.host.edge.options import (
    MAX_SECONDS,
    Model,
    PresetFolders,
    Seed,
    Threads,
    file_to_write,
    finite,
)


def render(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            parser=file_to_write,
            metavar="WAV",
            help="The WAV file to write, in a folder that exists.",
        ),
    ],
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="The music wanted, in words.")] = None,
    melody: Annotated[
        Path | None, typer.Option(readable=False, help="A sound file whose melody is followed.")
    ] = None,
    midi: Annotated[
        Path | None,
        typer.Option(readable=False, help="A MIDI file whose notes trigger prompts and hold chords."),
    ] = None,
    preset: Annotated[str, typer.Option(help="Preset by name (see `descant presets list`).")] = "",
    model: Model = "embedded",
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds", "-s", min=0.1, max=MAX_SECONDS, callback=finite, help="Length of the music."
        ),
    ] = None,
    seed: Seed = 0,
    rate: Annotated[int, typer.Option(min=8000, max=384000, help="Sample rate of the file, Hz.")] = 48000,
    threads: Threads = 0,
    presets: PresetFolders = [],  # noqa: B006 - typer reads it, nobody writes to it
    going_on: Annotated[
        Path | None, typer.Option("--continue", help="A sound file to begin with and to go on from.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=NUMBER",
            help="temperature, guidance, beta, top_k, top_p or another parameter.",
        ),
    ] = None,
    two_step: Annotated[
        bool, typer.Option("--two-step", help="Run the rows of guidance one after the other: less memory.")
    ] = False,
) -> None:
    """Make music offline, as fast as the machine allows; the same inputs give the same samples."""
    if prompt is None and not preset and midi is None and melody is None:
        raise typer.BadParameter(
            "say what to play: --prompt TEXT, or --melody FILE, or --midi FILE, or --preset NAME."
        )
    from descant.host.edge.render_command import Request, run

    run(
        Request(
            out,
            prompt,
            melody,
            midi,
            preset,
            model,
            seconds,
            seed,
            rate,
            threads,
            tuple(map(str, presets)),
            going_on,
            tuple(map(_setting, settings or [])),
            two_step,
        )
    )


def _setting(text: str) -> tuple[str, float]:
    """NAME=NUMBER; what is allowed is for the host to say."""
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not name or not math.isfinite(value):
        raise typer.BadParameter(f"{text!r} is no NAME=NUMBER, such as guidance=3.")
    return name, value
