"""The commands about this machine (doctor, bench, devices) as the command line names them.

The work is in doctor.py, bench.py, bench_musicgen.py, devices_command.py and round_trip_command.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descant.host.edge.options import Endpoint, Model, Threads, file_to_write, finite


def doctor(
    model: Model = "embedded",
    threads: Threads = 0,
    endpoint: Endpoint = "",
) -> None:
    """Check this machine and this installation; every line says ok, warn or fail, and what to do."""
    from descant.host.edge.doctor import run

    raise typer.Exit(run(model, threads, endpoint))


def bench(
    model: Model = "embedded",
    threads: Threads = 0,
    seconds: Annotated[
        float,
        typer.Option("--seconds", "-s", min=1.0, max=600.0, callback=finite, help="Audio to make and hear."),
    ] = 10.0,
    log: Annotated[
        Path | None,
        typer.Option(
            parser=file_to_write,
            metavar="FILE",
            help="The file to append one JSON line to, in a folder that exists (your own log if none "
            "is named).",
        ),
    ] = None,
    skip_host: Annotated[bool, typer.Option("--skip-host", help="Only the model, no host process.")] = False,
    musicgen: Annotated[
        bool,
        typer.Option(
            "--musicgen",
            help="Instead: random weights of MusicGen-small's shape, beside transformers and the memory. "
            "Minutes; 8 GB of memory, 3 of disk.",
        ),
    ] = False,
    kernel: Annotated[
        str | None, typer.Option(help="With --musicgen: how it runs.", show_default="native-int8")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            parser=file_to_write,
            metavar="PNG",
            help="With --musicgen: the picture (else beside the log).",
        ),
    ] = None,
) -> None:
    """Measure the model alone and through a real host, print both and append them to the benchmark log."""
    if musicgen:
        if model != "embedded" or skip_host or seconds != 10.0:
            raise typer.BadParameter("--musicgen measures its own model: no --model, --seconds, --skip-host.")
        from descant.host.edge.bench_musicgen import run as run_musicgen

        run_musicgen(kernel or "native-int8", threads, log, plot)
        return
    if kernel is not None or plot is not None:
        raise typer.BadParameter("--kernel and --plot want --musicgen.")
    from descant.host.edge.bench import run

    run(model, threads, seconds, log, skip_host)


def devices(
    round_trip: Annotated[
        bool,
        typer.Option(
            "--round-trip",
            help="Play a sweep, find it in the input, keep how long that takes: recordings are moved back "
            "by it. Connect an output to an input first.",
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="With --round-trip: a device by (part of) its name.")] = "",
    rate: Annotated[int, typer.Option(min=8000, max=384000, help="With --round-trip: Hz.")] = 48000,
    block: Annotated[int, typer.Option(min=16, max=4096, help="With --round-trip: samples a block.")] = 256,
) -> None:
    """The audio devices of this machine."""
    if round_trip:
        from descant.host.edge.round_trip_command import run as measure

        measure(device, rate, block)
        return
    from descant.host.edge.devices_command import run

    run()
