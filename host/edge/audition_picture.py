"""A preset as a picture: each pad's spectrogram, its chroma with the chords asked for, its level.

Needs matplotlib (extra `report`).
"""

from __future__ import annotations

import textwrap
from fractions import Fraction
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from descant.host.audition import Audition, Heard
from descant.host.heard import FRAME_RATE, PITCH_CLASSES, bands, chroma, levels, spectrogram
from descant.host.preset import Preset
from descant.host.verdict import complaints

INK, FAINT, PAPER, PANEL, CHORD, WRONG = "#e8e6e3", "#8b8f98", "#14161b", "#1b1e25", "#ffffff", "#ff8f6b"
LOW, HIGH = 40.0, 15000.0  # Hz
DEEP = 62.0  # dB shown below the loudest


def draw(heard: Audition) -> Figure:
    """All pads side by side, each with its first seed; save it with `figure.savefig(path)`."""
    n = len(heard.slots)
    figure = Figure(figsize=(1.5 + 3.1 * n, 8.4), dpi=100, facecolor=PAPER)
    grid = figure.add_gridspec(
        *(3, n),
        height_ratios=(1.6, 1.6, 0.8),
        hspace=0.07,
        wspace=0.05,
        left=0.8 / (1.5 + 3.1 * n),
        right=0.99,
        top=0.82,
        bottom=0.06,
    )
    preset = heard.preset
    figure.text(0.01, 0.955, preset.name, color=INK, fontsize=19, fontweight="bold", va="center")
    said = f"{preset.tempo:g} bpm · guidance {preset.sampling.guidance:g}"
    figure.text(0.99, 0.955, said, color=FAINT, fontsize=10, ha="right", va="center")
    for column, slot in enumerate(heard.slots):
        one = heard.of(slot)[0]
        rows = [figure.add_subplot(grid[row, column]) for row in range(3)]
        for axes in rows:
            _dress(axes, one, preset, first=column == 0)
        _title(rows[0], heard, slot)
        _spectrum(rows[0], one, names=column == 0)
        _chroma(rows[1], one, preset, names=column == 0)
        _level(rows[2], one, names=column == 0)
        rows[0].tick_params(labelbottom=False)
        rows[1].tick_params(labelbottom=False)
    return figure


def _dress(axes: Any, one: Heard, preset: Preset, first: bool) -> None:
    axes.set_facecolor(PANEL)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(colors=FAINT, labelsize=8, length=0, labelleft=first)
    bar = preset.numerator * 4 / preset.denominator * 60 / preset.tempo
    seconds = len(one.wave) / one.rate
    lines = np.arange(0, seconds - bar / 2, bar)  # not the end, where the next pad's own bar 0 is told
    for at in lines:
        axes.axvline(at, color="white", alpha=0.25, lw=0.7, zorder=3)
    axes.set_xlim(0, seconds)
    axes.set_xticks(lines, [f"bar {number}" for number in range(len(lines))])


def _title(axes: Any, heard: Audition, slot: int) -> None:
    figures = heard.of(slot)[0].figures
    wrong = complaints(heard, slot)
    words = "\n".join(textwrap.wrap(f"{slot}: {heard.preset.prompts[slot].text}", 44))
    said = f"{figures.loudness:.0f} LUFS · {figures.onsets:.1f}/beat · {figures.brightness:.0f} Hz"
    if np.isfinite(figures.in_key):
        said += f" · in key {figures.in_key:.2f}"
    axes.set_title(f"{words}\n{said}", color=INK, fontsize=8, loc="left", pad=16)
    verdict = "; ".join(wrong) if wrong else "good"
    colour = WRONG if wrong else FAINT
    axes.text(0.0, 1.02, verdict, color=colour, fontsize=8, transform=axes.transAxes)


def _spectrum(axes: Any, one: Heard, names: bool) -> None:
    high = min(HIGH, 0.45 * one.rate)
    rows = bands(*spectrogram(one.wave, one.rate), 120, LOW, high)
    top = float(rows.max())
    axes.imshow(
        rows.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=top - DEEP,
        vmax=top,
        extent=(0, len(rows) / FRAME_RATE, 0, 1),
    )
    marks = [f for f in (50, 100, 200, 500, 1000, 2000, 5000, 10000) if LOW < f < high]
    axes.set_yticks(
        [np.log(f / LOW) / np.log(high / LOW) for f in marks],
        [f"{f // 1000} kHz" if f >= 1000 else f"{f} Hz" for f in marks],
    )
    axes.tick_params(labelleft=names)


def _chroma(axes: Any, one: Heard, preset: Preset, names: bool) -> None:
    rows = chroma(*spectrogram(one.wave, one.rate, 8192))
    axes.imshow(
        rows.T,
        origin="lower",
        aspect="auto",
        cmap="viridis",
        vmin=0,
        vmax=1,
        extent=(0, len(rows) / FRAME_RATE, -0.5, 11.5),
        interpolation="nearest",
    )
    progression = preset.progression_of(one.slot)
    bar = preset.numerator * 4 / preset.denominator * 60 / preset.tempo
    if progression is not None:
        for number in range(int(np.ceil(len(one.wave) / one.rate / bar))):
            for pitch in progression.at(Fraction(number)):
                axes.add_patch(
                    Rectangle((number * bar, pitch - 0.5), bar, 1.0, fill=False, ec=CHORD, lw=0.9, zorder=5)
                )
    axes.set_ylim(-0.5, 11.5)
    axes.set_yticks(range(12), PITCH_CLASSES)
    axes.tick_params(labelleft=names)


def _level(axes: Any, one: Heard, names: bool) -> None:
    rows = levels(one.wave, one.rate)
    axes.fill_between(np.arange(len(rows)) / FRAME_RATE, -70, rows, color="#6699cc", alpha=0.6, lw=0)
    axes.set_ylim(-70, 0)
    axes.set_yticks([-60, -40, -20, 0], ["-60 dBFS", "-40", "-20", "0"])
    axes.tick_params(labelleft=names)
