"""Draws the curves of a run's log.jsonl as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def plot_curves(log: Path, picture: Path, curves: dict[str, list[str]]) -> None:
    """One panel a curve; each is a path of keys into a log row. Rows without the key are left out."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [json.loads(line) for line in log.read_text().splitlines()]
    figure, axes = plt.subplots(1, len(curves), figsize=(4.2 * len(curves), 3.2), squeeze=False)
    for axis, (title, path) in zip(axes[0], curves.items(), strict=True):
        points = [(row["minutes"], value) for row in rows if (value := _dig(row, path)) is not None]
        axis.plot([x for x, _ in points], [y for _, y in points], marker=".")
        axis.set_title(title)
        axis.set_xlabel("minutes")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(picture, dpi=110)
    plt.close(figure)


def _dig(row: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(row, dict) or key not in row:
            return None
        row = row[key]
    return row
