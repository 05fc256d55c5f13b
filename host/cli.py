"""The `descant` command: reads the command line and hands over; the work is in host/edge.

Thread: main, everywhere. Nothing heavy is imported before a command needs it: `descant --help` is quick.
Exit codes: 0 done; 1 it failed, with three lines on standard error; 2 wrong use.
"""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from descant.host.edge.errors_shown import Interrupted, show
from descant.host.edge.eval_app import app as eval_app
from descant.host.edge.keys_app import app as keys_app
from descant.host.edge.models_app import app as models_app
from descant.host.edge.options import Endpoint, Model, PresetFolders, Threads, file_to_write
from descant.host.edge.plugin_app import app as plugin_app
from descant.host.edge.presets_app import app as presets_app
from descant.host.edge.takes_app import app as takes_app

MAX_SECONDS = 3600.0


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
app.add_typer(presets_app, name="presets")
app.add_typer(models_app, name="models")
app.add_typer(eval_app, name="eval")
app.add_typer(takes_app, name="takes")
app.add_typer(plugin_app, name="plugin")
app.add_typer(keys_app, name="keys")


class Themes(StrEnum):
    """How the window can look."""

    DARK = "dark"
    CONTRAST = "high-contrast"


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


def _version(wanted: bool) -> None:
    if wanted:
        from descant.host.edge.machine import version_of

        typer.echo(f"descant {version_of('descant')}")
        raise typer.Exit


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no length.")
    return value


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Music that answers a controller, a hum or a DAW, in time with the song."""


@app.command()
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
            "--seconds", "-s", min=0.1, max=MAX_SECONDS, callback=_finite, help="Length of the music."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="The same seed gives the same music.")] = 0,
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


@app.command()
def host(
    endpoint: Endpoint = "",
    model: Model = "embedded",
    threads: Threads = 0,
    presets: PresetFolders = [],  # noqa: B006
    on_demand: Annotated[
        bool, typer.Option("--on-demand", help="End when no bridge has been there for --idle seconds.")
    ] = False,
    idle: Annotated[
        float, typer.Option(min=1.0, max=1e6, callback=_finite, help="With --on-demand: seconds.")
    ] = 120.0,
    until_eof: Annotated[bool, typer.Option("--until-eof", hidden=True)] = False,
) -> None:
    """Run the host until it is interrupted: plugins and other bridges connect to its endpoint."""
    from descant.host.edge.host_command import run

    run(endpoint, model, threads, tuple(map(str, presets)), until_eof, idle if on_demand else math.inf)


@app.command()
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
            "--seconds", "-s", min=0.1, max=MAX_SECONDS, callback=_finite, help="How long to listen."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="The same seed gives the same music.")] = 0,
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


@app.command()
def desktop(
    preset: Annotated[str, typer.Option(help="Preset by name.")] = "",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="The same seed gives the same music.")] = 0,
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


@app.command()
def doctor(
    model: Model = "embedded",
    threads: Threads = 0,
    endpoint: Endpoint = "",
) -> None:
    """Check this machine and this installation; every line says ok, warn or fail, and what to do."""
    from descant.host.edge.doctor import run

    raise typer.Exit(run(model, threads, endpoint))


@app.command()
def bench(
    model: Model = "embedded",
    threads: Threads = 0,
    seconds: Annotated[
        float,
        typer.Option("--seconds", "-s", min=1.0, max=600.0, callback=_finite, help="Audio to make and hear."),
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


@app.command()
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
