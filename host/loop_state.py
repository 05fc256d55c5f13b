"""The looper as plain data and back: what another process needs to play the same loops from the same memory.

Sound stays where it is, in the pages; this says which pages, and how they sound. A loop that was being
recorded is not in it, for it has no length yet; what was being overdubbed is, as far as it had come.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from descant.host.loop_memory import Layer
from descant.host.looper import Looper
from descant.host.transport import Grid, Timeline


def state_of(looper: Looper) -> dict[str, Any]:
    """Everything but the sound. Thread: any; consistent if `looper.changes` is the same before and after."""
    slots = []
    for slot in looper.slots:
        versions = [_layer(version) for version in slot.kept_versions()]
        at = min(slot.versions[0], len(versions) - 1)
        slots.append(
            {
                "versions": versions,
                "at": at,
                "playing": slot.playing,
                "muted": slot.muted,
                "soloed": slot.soloed,
                "gain": slot.gain,
            }
        )
    return {"slots": slots, "timeline": timeline_out(looper.timeline), "latency": looper.latency}


def restore(looper: Looper, state: dict[str, Any]) -> None:
    """Make a new looper, on the same memory, what the other one was. Before audio runs."""
    looper.timeline = timeline_in(state["timeline"])
    looper.latency = state["latency"]
    for slot, kept in zip(looper.slots, state["slots"], strict=True):
        slot.muted, slot.soloed, slot.gain = kept["muted"], kept["soloed"], kept["gain"]
        slot.take_versions([_fill(row) for row in kept["versions"]], kept["at"], kept["playing"])


def timeline_out(timeline: Timeline) -> dict[str, Any]:
    """A timeline as plain data, fractions as text."""
    rows = [
        {
            "rate": grid.rate,
            "at_sample": grid.at_sample,
            "beat": str(grid.beat),
            "tempo": str(grid.tempo),
            "metre": [grid.numerator, grid.denominator],
            "origin": str(grid.origin),
            "origin_bar": grid.origin_bar,
            "loop": None if grid.loop is None else [str(grid.loop[0]), str(grid.loop[1])],
        }
        for grid in timeline.grids
    ]
    return {"grids": rows, "heard": timeline.heard, "playing": timeline.playing}


def timeline_in(data: dict[str, Any]) -> Timeline:
    """The timeline that `timeline_out` wrote."""
    grids = tuple(
        Grid(
            row["rate"],
            row["at_sample"],
            Fraction(row["beat"]),
            Fraction(row["tempo"]),
            row["metre"][0],
            row["metre"][1],
            Fraction(row["origin"]),
            row["origin_bar"],
            None if row["loop"] is None else (Fraction(row["loop"][0]), Fraction(row["loop"][1])),
        )
        for row in data["grids"]
    )
    return Timeline(grids, data["heard"], data["playing"])


def _layer(layer: Layer) -> dict[str, Any]:
    pages = layer.pages.copy()
    stored = int(np.flatnonzero(pages >= 0)[-1]) + 1 if (pages >= 0).any() else 0
    return {
        "pages": pages[:stored].tolist(),
        "length": str(layer.length),
        "anchor": str(layer.anchor),
        "reversed": layer.reversed,
        "half": layer.half,
    }


def _fill(row: dict[str, Any]) -> tuple[list[int], Fraction, Fraction, bool, bool]:
    return row["pages"], Fraction(row["length"]), Fraction(row["anchor"]), row["reversed"], row["half"]
