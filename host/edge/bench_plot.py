"""The figures of `descant bench --musicgen` as a picture: milliseconds over context, and over sessions.

Needs matplotlib (extra `report`).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from descant.host.edge.bench_bars import MusicgenFigures


def can_plot() -> bool:
    """Whether there is something to draw with."""
    return importlib.util.find_spec("matplotlib") is not None


def plot(figures: MusicgenFigures, title: str, path: Path) -> None:
    """Thread: main. Write a PNG. Raises OSError where it cannot be written."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = picture.subplots(1, 2)
    _contexts(left, figures)
    _sessions(right, figures)
    picture.suptitle(title, fontsize=9)
    picture.savefig(path, dpi=120, format="png")


def _contexts(axes: Any, figures: MusicgenFigures) -> None:
    seconds = [one.seconds for one in figures.contexts]
    for name, colour, many in (
        ("transformers fp32", "#b3452c", [one.fp32 for one in figures.contexts]),
        ("transformers bf16", "#d9902f", [one.bf16 for one in figures.contexts]),
        (f"Descant {figures.kernel}, LM and codec", "#1f6f8b", [one.frame for one in figures.contexts]),
        (f"Descant {figures.kernel}, LM", "#57a6bd", [one.lm for one in figures.contexts]),
    ):
        axes.plot(seconds, [one.p50 for one in many], "o-", color=colour, label=name)
        axes.plot(seconds, [one.best for one in many], ":", color=colour)
    floors = [one.floor for one in figures.contexts]
    if all(floor is not None for floor in floors):
        axes.plot(seconds, floors, "--", color="#777777", label="memory roofline")
    axes.axhline(figures.hop_ms, color="black", linewidth=0.8)
    axes.annotate("real time", (max(seconds), figures.hop_ms), ha="right", va="bottom", fontsize=8)
    axes.set(yscale="log", xlabel="context, s", ylabel="ms a step (dotted: best)")
    axes.set_ylim(top=6 * axes.get_ylim()[1])  # room for the legend
    axes.legend(fontsize=7, loc="upper center", ncols=2)


def _sessions(axes: Any, figures: MusicgenFigures) -> None:
    counts = [one.sessions for one in figures.sessions]
    axes.plot(counts, [one.frame.p50 for one in figures.sessions], "o-", color="#1f6f8b", label=figures.size)
    axes.plot(
        [one.sessions for one in figures.embedded],
        [figures.hop_ms * one.factor for one in figures.embedded],
        "o-",
        color="#6a8f3c",
        label="embedded, one core",
    )
    axes.axhline(figures.hop_ms, color="black", linewidth=0.8)
    axes.set(xlabel="sessions, each guided", ylabel="ms a frame of all", xticks=counts, ylim=(0, None))
    axes.legend(fontsize=7)
