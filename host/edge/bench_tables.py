"""The figures of `descant bench --musicgen` as tables, and each bar with yes or no."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from descant.host.edge.bench_bars import Bar, MusicgenFigures, bars
from descant.host.edge.bench_race import AtContext, Times


def show(console: Console, found: MusicgenFigures) -> None:
    """Thread: main. Print them."""
    console.print(_contexts(found))
    console.print(_times(found))
    engaged = ", ".join(f"{one.factor:.2f} with {one.sessions}" for one in found.embedded)
    console.print(
        f"embedded model, sessions in one engine on one thread, time to make / time it lasts: {engaged}",
        soft_wrap=True,
    )
    table = _table("bar", "measured", "wanted", "", "at best")
    for bar in bars(found):
        table.add_row(*_bar_cells(bar))
    console.print(table)
    console.print(
        f"{found.size}, random weights, {found.kernel}, {found.threads} threads; medians of "
        f"{found.contexts[0].lm.n} rounds in turns; load average {found.load:.1f} before, "
        f"{found.load_after:.1f} after, its own included",
        soft_wrap=True,
    )


def _contexts(found: MusicgenFigures) -> Table:
    table = _table("ms", "LM", "LM+codec", "bf16", "over", "fp32", "over", "floor", "share", "at best")
    for one in found.contexts:
        table.add_row(f"{one.seconds:g} s of context", *_context_cells(one))
    return table


def _context_cells(one: AtContext) -> list[str]:
    share, best = ("–" if value is None else f"{value:.0%}" for value in (one.roofline, one.best_roofline))
    floor = "–" if one.floor is None else f"{one.floor:.1f}"
    theirs: list[str] = []
    for figures, ratio in ((one.bf16, one.over_bf16), (one.fp32, one.over_fp32)):
        theirs += [f"{figures.p50:.0f}", f"{ratio:.1f} ×"]
    return [f"{one.lm.p50:.1f}", f"{one.frame.p50:.1f}", *theirs, floor, share, best]


def _times(found: MusicgenFigures) -> Table:
    table = _table("ms", "n", "best", "p50", "p95", "p99")
    stages = found.stages
    rows: list[tuple[str, Times]] = [
        ("prompt to states", stages.text),
        ("LM, guided column", stages.lm),
        ("sampling, column", stages.sampling),
        ("codec, frame", stages.codec),
        ("wire, frame", stages.wire),
        (f"a frame of {found.window.seconds:g} s played", found.window.frame),
        ("first audio", found.first_audio),
        *((f"{one.sessions} sessions, a frame of all", one.frame) for one in found.sessions),
    ]
    for name, figures in rows:
        values = (figures.best, figures.p50, figures.p95, figures.p99)
        table.add_row(name, str(figures.n), *(f"{value:.2f}" for value in values))
    return table


def _bar_cells(bar: Bar) -> tuple[str, ...]:
    def figure(value: float | None) -> str:
        if value is None:
            return "–"
        return f"{value:.0%}" if not bar.unit else f"{value:.0f}" if bar.unit == "ms" else f"{value:.2f}"

    wanted = f"{'≤' if bar.least else '≥'} {figure(bar.wanted)}"
    verdict = "yes" if bar.reached else "no"
    return bar.what, f"{figure(bar.measured)} {bar.unit}", wanted, verdict, figure(bar.at_best)


def _table(*names: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, name in enumerate(names):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    return table
