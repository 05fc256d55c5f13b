"""The commands that play in real time (host, play, desktop) as the command line names them.

The work is in host_command.py, live_command.py, play_command.py and desktop_command.py.
"""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from descant.host.edge.options import (
    MAX_SECONDS,
    Endpoint,
    Model,
    PresetFolders,
    Seed,
    Threads,
    file_to_write,
    finite,
)


class Themes(StrEnum):
    """How the window can look."""

    DARK = "dark"
    CONTRAST = "high-contrast"


def host(
    endpoint: Endpoint = "",
    model: Model = "embedded",
    threads: Threads = 0,
    presets: PresetFolders = [],  # noqa: B006
    on_demand: Annotated[
        bool, typer.Option("--on-demand", help="End when no bridge has been there for --idle seconds.")
    ] = False,
    idle: Annotated[
        float, typer.Option(min=1.0, max=1e6, callback=finite, help="With --on-demand: seconds.")
    ] = 120.0,
    until_eof: Annotated[bool, typer.Option("--until-eof", hidden=True)] = False,
) -> None:
    """Run the host until it is interrupted: plugins and other bridges connect to its endpoint."""
    from descant.host.edge.host_command import run

    run(endpoint, model, threads, tuple(map(str, presets)), until_eof, idle if on_demand else math.inf)


def play(
    midi: Annotated[
        Path | None,
        typer.Argument(
            readable=False, help="A MIDI file: its notes are the pads and keys. Without one you play, live."
        ),
    ] = None,
    hum: Annotated[
        Path | None, typer.Option(readable=False, help="A sound file to hand in as a hum.")
    ] = None,
    hum_bar: Annotated[
        int, typer.Option(min=0, max=100_000, help="The bar to hand the hum in at; 0 is the first.")
    ] = 0,
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="Words for pad 0, played from the start.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Preset by name.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=file_to_write,
            metavar="WAV",
            help="Also write what was heard to this WAV file, in a folder that exists.",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds", "-s", min=0.1, max=MAX_SECONDS, callback=finite, help="How long to listen."
        ),
    ] = None,
    seed: Seed = 0,
    rate: Annotated[int, typer.Option(min=8000, max=384000, help="Sample rate, Hz.")] = 48000,
    endpoint: Annotated[str, typer.Option(help="A running host; empty: start one for this.")] = "",
    model: Model = "embedded",
    threads: Threads = 0,
    silent: Annotated[bool, typer.Option("--silent", help="Use no audio device.")] = False,
    presets: PresetFolders = [],  # noqa: B006
    device: Annotated[
        list[str], typer.Option(help="Live: an audio device by (part of) its name; again: the next choice.")
    ] = [],  # noqa: B006
    block: Annotated[int, typer.Option(min=16, max=4096, help="Live: samples an audio block.")] = 256,
    midi_port: Annotated[
        list[str], typer.Option(help="Live: a MIDI port by (part of) its name; none: every port.")
    ] = [],  # noqa: B006
    controllers: Annotated[
        list[Path], typer.Option(help="Live: a further folder of controller profiles; may be given again.")
    ] = [],  # noqa: B006
    takes: Annotated[
        Path | None, typer.Option(readable=False, help="Live: the folder of takes; yours if none is named.")
    ] = None,
    no_takes: Annotated[bool, typer.Option("--no-takes", help="Live: record nothing.")] = False,
    clock_out: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help='Live: a MIDI output by (part of) its name that is sent a clock; "own": a port of our own.',
        ),
    ] = "",
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            parser=file_to_write,
            metavar="CSV",
            help="Live: write down when each message of a controller came, and when it was on its way.",
        ),
    ] = None,
    hum_bars: Annotated[int, typer.Option(min=1, max=16, help="Live: bars of a hum that is recorded.")] = 2,
    count_in: Annotated[int, typer.Option(min=1, max=4, help="Live: bars counted in before a hum.")] = 1,
) -> None:
    """Play live with controllers and an audio device; or a MIDI file (and a hum), as a DAW would."""
    if midi is None:
        if hum is not None or out is not None or silent:
            raise typer.BadParameter("--hum, --out and --silent want a MIDI file to play.")
        from descant.host.edge import live_command
        from descant.host.edge.settings import takes_folder

        live_command.run(
            live_command.LiveRequest(
                preset,
                prompt or "",
                seconds,
                seed,
                rate,
                block,
                endpoint,
                model,
                threads,
                tuple(map(str, presets)),
                tuple(device),
                tuple(midi_port),
                tuple(map(str, controllers)),
                hum_bars,
                count_in,
                None if no_takes else takes or takes_folder(),
                clock_out,
                trace,
            )
        )
        return
    from descant.host.edge.play_command import Request, run

    run(
        Request(
            midi,
            hum,
            hum_bar,
            prompt,
            preset,
            out,
            seconds,
            seed,
            rate,
            endpoint,
            model,
            threads,
            silent,
            tuple(map(str, presets)),
        )
    )


def desktop(
    preset: Annotated[str, typer.Option(help="Preset by name.")] = "",
    seed: Seed = 0,
    rate: Annotated[int, typer.Option(min=8000, max=384000, help="Sample rate of the timeline, Hz.")] = 48000,
    block: Annotated[int, typer.Option(min=16, max=4096, help="Samples an audio block.")] = 256,
    endpoint: Annotated[str, typer.Option(help="A running host; empty: one of the stage's own.")] = "",
    model: Model = "embedded",
    threads: Threads = 0,
    presets: PresetFolders = [],  # noqa: B006
    device: Annotated[
        list[str], typer.Option(help="An audio device by (part of) its name; again: the next choice.")
    ] = [],  # noqa: B006
    midi_port: Annotated[
        list[str], typer.Option(help="A MIDI port by (part of) its name; none: every port.")
    ] = [],  # noqa: B006
    controllers: Annotated[
        list[Path], typer.Option(help="A further folder of controller profiles; may be given again.")
    ] = [],  # noqa: B006
    theme: Annotated[Themes | None, typer.Option(help="How it looks; remembered when changed there.")] = None,
    scale: Annotated[int | None, typer.Option(min=100, max=200, help="Percent of the usual size.")] = None,
    stage: Annotated[str, typer.Option(help="Where the sound is made: ipc://PATH; empty: your own.")] = "",
    takes: Annotated[
        Path | None,
        typer.Option(readable=False, help="The folder of takes; yours if none is named."),
    ] = None,
    no_takes: Annotated[bool, typer.Option("--no-takes", help="Record nothing.")] = False,
) -> None:
    """Open the window. The sound is made by a process of its own, which plays on when the window does not."""
    from descant.host.edge.desktop_command import run
    from descant.host.edge.settings import takes_folder
    from descant.host.edge.stage import StageOrder

    folder = (takes or takes_folder()).absolute()

    run(
        StageOrder(
            preset,
            seed,
            rate,
            block,
            endpoint,
            model,
            threads,
            tuple(map(str, presets)),
            tuple(device),
            tuple(midi_port),
            tuple(map(str, controllers)),
            "" if no_takes else str(folder),
        ),
        stage,
        theme.value if theme else None,
        scale,
        folder,
    )
