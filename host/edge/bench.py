"""`descant bench`: measures the model alone and through a host, prints a table, appends a line to the log.

A figure without machine and commit is an opinion: each line carries both, and the load while it was measured.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from descant.host.edge import machine
from descant.host.edge.bench_host import HostFigures, measure_host
from descant.host.edge.bench_model import ModelFigures, Spread, measure_model
from descant.host.edge.settings import apply_threads, bench_log, default_threads
from descant.host.edge.whole import check_writable, unwritable


class Entry(msgspec.Struct, frozen=True):
    """One line of the benchmark log."""

    stamp: machine.Stamp
    model: ModelFigures
    host: HostFigures | None


def run(model: str, threads: int, seconds: float, log: Path | None, skip_host: bool) -> None:
    """Thread: main. Measure, print, append. Raises HostError or ModelError."""
    threads = threads or default_threads()
    apply_threads(threads)
    console = Console(highlight=False)
    when = machine.stamp()
    path = log or bench_log()
    check_log(path)
    with console.status("loading the model") as status:
        from descant.host.edge.models import load_named

        loaded = load_named(model)
        alone = measure_model(
            loaded, seconds, threads, lambda what: status.update(f"the model alone: {what}")
        )
        del loaded
        host = None
        if not skip_host:
            host = measure_host(
                model, threads, seconds, lambda what: status.update(f"through a host: {what}")
            )
    show(console, alone, host)
    append(path, msgspec.json.encode(Entry(when, alone, host)) + b"\n")
    console.print(f"appended to {escape(str(path))}", soft_wrap=True)


def check_log(path: Path) -> None:
    """Thread: main. Find out before minutes of measuring that a log cannot be written (HostError). The
    folder of one's own log is made if need be; that of a log which was named must be there."""
    try:
        if path == bench_log():
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    check_writable(path)


def append(path: Path, line: bytes) -> None:
    """Thread: main. Append one line. Raises HostError when that cannot be done; then the log is what it was,
    and one that was not there is not there."""
    new = not path.exists()
    try:
        with path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                left = line
                while left:
                    left = left[file.write(left) :]
            except OSError:
                file.truncate(size)
                raise
    except OSError as error:
        if new:
            path.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def show(console: Console, alone: ModelFigures, host: HostFigures | None) -> None:
    """Thread: main. The figures as a table, with what is wanted of them."""
    table = Table("ms", "mean", "p50", "p95", "p99", "worst", "wanted", box=None)
    table.columns[0].no_wrap = table.columns[-1].no_wrap = True

    def row(name: str, figures: Spread | None, wanted: str = "") -> None:
        if figures is not None:
            values = (figures.mean, figures.p50, figures.p95, figures.p99, figures.worst)
            table.add_row(name, *(f"{value:.1f}" for value in values), wanted)

    row(f"frame of {alone.hop_ms:g} ms", alone.frame, f"mean ≤ {alone.hop_ms / 4:g}")
    row("  LM, guided column", alone.lm)
    row("  codec, frame", alone.codec)
    row("  sampling, column", alone.sampling)
    row("prompt to states", alone.text)
    if host is not None:
        row("trigger to first block", host.first_audio, "≤ 150")
        row("trigger to first sample", host.first_heard)
        row("control delay", host.control_delay, f"p95 ≤ {host.commit_ms + 60}")
    console.print(table)
    console.print(
        f"{alone.model} {alone.weights_hash}, {alone.threads} threads: real-time factor "
        f"{alone.real_time_factor:.3f} ({1 / alone.real_time_factor:.1f} × real time), "
        f"p99 {alone.rtf_p99:.3f}, in processor time {alone.cpu_factor:.3f}; "
        f"first frame of a stream {alone.first_frame_ms:.0f} ms",
        soft_wrap=True,
    )
    if host is not None:
        console.print(
            f"through a host, {host.seconds:.0f} s: {host.underruns} underruns, lead {host.lead_ms:.0f} ms, "
            f"real-time factor {host.real_time_factor:.3f}, {len(host.faults)} faults",
            soft_wrap=True,
        )
        for what in sorted(set(host.faults)):
            console.print(f"  {host.faults.count(what)} × {escape(what)}", soft_wrap=True)
