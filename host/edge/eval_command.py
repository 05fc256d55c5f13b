"""`descant eval`: the proofs of what is claimed, as tables and JSON: parity, kernels, long streams.

Unlike `bench`, whose figures belong to a machine, parity holds anywhere; kernels and windows say where they
were made.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from descant.host.edge import machine
from descant.host.edge.bench import check_log
from descant.host.edge.settings import apply_threads
from descant.host.errors import HostError


def parity(sizes: list[str], out: Path | None) -> None:
    """Thread: main. Print the parity table; raise HostError if a row is out of its tolerance."""
    from descant.host.edge.parity import Row, report
    from descant.host.edge.parity_sizes import FULL, SIZES

    sizes = list(dict.fromkeys(name for size in sizes for name in (FULL if size == "full" else (size,))))
    unknown = [size for size in sizes if size not in SIZES]
    if unknown:
        raise HostError(
            f"There is no size {unknown[0]!r}; allowed: {', '.join(SIZES)}, full.",
            "Nothing was compared.",
            "Choose one of these.",
        )
    if out is not None:
        check_log(out)
    console, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    rows = report(sizes, lambda done: progress.print(f"[dim]{done}[/dim]"))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("model", "check", "measured", "allowed", ""):
        table.add_column(name, justify="right" if name in ("measured", "allowed") else "left")
    for row in rows:
        exact = row.what == "codes"
        measured, allowed = (
            f"{value:.0f}" if exact else f"{value:.1e}" if value else "0"
            for value in (row.error, row.allowed)
        )
        verdict = "equal" if row.passed and not row.error else "ok" if row.passed else "[bold]differs[/bold]"
        table.add_row(row.family, row.check, measured, allowed, verdict)
    console.print(table)
    console.print("measured: codes that differ, or the largest difference (in peaks, above 1)")
    if out is not None:
        out.write_bytes(msgspec.json.encode([asdict(row) for row in rows]) + b"\n")
    failed = [row for row in rows if not row.passed]
    if failed:
        first: Row = failed[0]
        raise HostError(
            f"{len(failed)} of {len(rows)} checks are out of tolerance; first: {first.family}.",
            "The others are the reference's own.",
            "Report it with this table, please.",
        )
    console.print(f"all {len(rows)} checks within tolerance")


def windows(model: str | None, minutes: float, threads: int, out: Path | None) -> None:
    """Thread: main. Play a model with windows for minutes, with and without the shadow; print the gaps."""
    if out is not None:
        check_log(out)
    apply_threads(threads)
    from descant.host.edge.eval_windows import measure

    console = Console(highlight=False)
    with console.status("loading") as status:
        found = measure(model, minutes, lambda what: status.update(what))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("form", "frames", "win", "p50", "p99", "max", "late", "cols", "work", "max", "over"):
        table.add_column(name, justify="left" if name == "form" else "right", no_wrap=True)
    for row in found:
        table.add_row(
            row.form,
            str(row.frames),
            str(row.windows),
            f"{row.p50:.1f}",
            f"{row.p99:.1f}",
            f"{row.longest:.1f}",
            str(row.over_budget),
            str(row.most_columns),
            f"{row.work_p50:.1f}",
            f"{row.work_longest:.1f}",
            str(row.work_over),
        )
    console.print(table)
    console.print(
        "p50, p99, max: gaps between frames, ms; late: above a frame's budget; cols: most between two"
    )
    console.print("work: median processor time of a frame, ms, and the most; over: above a frame's budget")
    console.print(f"budget of a frame: {found[0].budget:.1f} ms; {found[0].model}, {threads} threads")
    if out is not None:
        entry = {"stamp": machine.stamp(), "rows": [asdict(row) for row in found]}
        out.write_bytes(msgspec.json.encode(entry) + b"\n")


def kernels(seconds: float, prompts: int, loud: int, layers: int, threads: int, out: Path | None) -> None:
    """Thread: main. Print how far each kernel is from fp32; HostError if int8 agrees less than it must."""
    if out is not None:
        check_log(out)
    apply_threads(threads)
    from descant.host.edge.eval_kernels import BAR, HELD, LEGEND, measure

    console = Console(highlight=False)
    with console.status("loading") as status:
        found = list(measure(seconds, prompts, loud, layers, lambda what: status.update(what)))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("weights", "kernel", "guided", "KL", "unguided", "KL", "codes"):
        table.add_column(name, justify="left" if name in ("weights", "kernel") else "right", no_wrap=True)
    for guided, plain in zip(found[::2], found[1::2]):
        figures: list[str] = []
        for one in (guided, plain):
            figures += ["–", "–"] if one.missing else [f"{one.agreement:.2%}", f"{one.divergence:.1e}"]
        table.add_row(guided.weights, guided.kernel, *figures, str(guided.codes))
    console.print(table)
    console.print(LEGEND, soft_wrap=True)
    for reason in sorted({one.missing for one in found if one.missing}):
        console.print(f"– {escape(reason)}", soft_wrap=True)
    if out is not None:
        entry = {"stamp": machine.stamp(), "rows": [asdict(row) for row in found]}
        out.write_bytes(msgspec.json.encode(entry) + b"\n")
    held = [row for row in found if row.must_agree]
    if not held:
        return
    least = min(held, key=lambda row: row.agreement)
    if least.agreement < BAR:
        raise HostError(
            f"{HELD} agrees in {least.agreement:.2%} of the codes ({least.weights}); {BAR:.0%} are promised.",
            "fp16 and native-bf16 are closer to the exact function.",
            "Choose one of them, and report this table, please.",
        )
    console.print(
        f"{HELD} agrees in {least.agreement:.2%} or more with trained weights; {BAR:.0%} wanted: yes",
        soft_wrap=True,
    )
