"""`descant play`: a MIDI file and a hum into a host in real time, heard where there is an audio device.

Uses a host that runs, or starts one and ends it with itself.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from descant.host.edge.audio_device import open_output
from descant.host.edge.host_process import running_host
from descant.host.edge.inputs import check_melody, read_performance, unbound
from descant.host.edge.keys import bridge_curve
from descant.host.edge.listening import ListeningClient
from descant.host.edge.performer import Performer, Recording, host_gone
from descant.host.edge.preset_files import FIRST, choose_preset, load_presets
from descant.host.edge.settings import apply_threads
from descant.host.edge.store import check_sound_file, write_wav
from descant.host.preset import Preset

_CHANNELS = 2
_BLOCK = 256


@dataclass(frozen=True)
class Request:
    """The command line of `descant play`; see there for units and ranges."""

    midi: Path
    hum: Path | None
    hum_bar: int
    prompt: str | None
    preset: str
    out: Path | None
    seconds: float | None
    seed: int
    rate: int
    endpoint: str
    model: str
    threads: int
    silent: bool
    presets: tuple[str, ...]


def run(request: Request) -> None:
    """Thread: main. Play, listen, report. Raises HostError or WireError when nothing could be played, or the
    host was gone before the end."""
    performance = read_performance(
        request.prompt, request.midi, request.hum, request.hum_bar, request.seconds, False
    )
    if request.out is not None:
        check_sound_file(request.out)
    if performance.hum is not None:
        apply_threads(1)  # the host has the others
        check_melody(performance, request.hum, "" if request.endpoint else request.model)
    endpoint, curve = request.endpoint, bridge_curve(request.endpoint)
    preset = _preset(request)
    if preset is not None and (unheard := unbound(performance, preset)) is not None:
        print(unheard, file=sys.stderr)
    console = Console(stderr=True, highlight=False)
    with ExitStack() as stack:
        if not endpoint:
            if console.is_terminal:
                stack.enter_context(console.status("starting a host"))
            host = running_host(request.model, request.threads, request.presets)
            endpoint = stack.enter_context(host).endpoint
        client = ListeningClient(
            endpoint,
            request.rate,
            _BLOCK,
            _CHANNELS,
            name="descant play",
            preset=request.preset,
            seed=request.seed,
            curve=curve,
        )
        client.connect()
        stack.callback(client.close)
        device = None if request.silent else open_output(request.rate, _CHANNELS)
        if device is not None:
            stack.enter_context(device)
        columns = (
            TextColumn("playing"),
            BarColumn(),
            TextColumn("{task.completed:.1f} of {task.total:.1f} s"),
        )
        bar = stack.enter_context(
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        )
        task = bar.add_task("", total=float(performance.length))
        performer = Performer(
            client,
            performance,
            heard=device.write if device is not None else None,
            progress=lambda at, total: bar.update(task, completed=at),
        )
        recording = performer.play()
    report(recording, console)
    if request.out is not None:
        write_wav(request.out, recording.wave, request.rate)
        console.print(f"wrote {escape(str(request.out))}", soft_wrap=True)
    if recording.silent_from is not None:
        kept = "What came before was heard; nothing was to be written."
        if request.out is not None:
            kept = f"{request.out} holds the take so far."
        raise host_gone(recording.silent_from / recording.sample_rate, kept)


def _preset(request: Request) -> Preset | None:
    """What the pads are bound to. A host that runs already may know presets that are not known here: None."""
    if not request.endpoint:
        return choose_preset(request.presets, request.preset, "Nothing was played.")[1]
    known = load_presets(request.presets)
    return known.get(request.preset or FIRST)


def report(recording: Recording, console: Console) -> None:
    """Thread: main. Print what was sent, what was planned and how it went."""
    rate = recording.sample_rate
    lines = [(sent.at_sample, "→ " + sent.what) for sent in recording.sent]
    lines += [
        (plan.from_sample, f"← {plan.text or 'silence'} (bar {plan.bar:g})") for plan in recording.plans
    ]
    for at_sample, line in sorted(lines):
        console.print(f"{at_sample / rate:8.3f} s  {escape(line)}", soft_wrap=True)
    for fault in recording.faults:
        console.print(f"[yellow]fault: {escape(fault.what)}[/yellow]", soft_wrap=True)
        console.print(f"  still works: {escape(fault.still)}", soft_wrap=True)
        console.print(f"  what to do: {escape(fault.do)}", soft_wrap=True)
    if recording.meters:
        meter = recording.meters[-1]
        console.print(
            f"real-time factor {meter.real_time_factor:.2f}, lead {meter.lead_ms:.0f} ms, "
            f"control delay p50 {meter.control_delay_ms_p50:.0f}, p95 {meter.control_delay_ms_p95:.0f} ms, "
            f"{recording.underruns} underruns",
            soft_wrap=True,
        )
