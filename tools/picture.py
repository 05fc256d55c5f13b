"""Draws a take: what was played in, what came out, its chroma under the hum, how far ahead it was made.

Knows nothing about hosts or files; needs matplotlib (extra `report`).
"""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from descant.host.heard import FRAME_RATE, PITCH_CLASSES, bands, chroma, spectrogram
from tools.listen import Following, SectionMeasure
from tools.take import Take

INK, FAINT, PAPER, PANEL = "#e8e6e3", "#8b8f98", "#14161b", "#1b1e25"
SECTION_COLOURS = ("#5fb3b3", "#fac863", "#ec5f67", "#c594c5", "#6699cc", "#99c794", "#f99157", "#ab7967")
RIDE, HUM, REWIND = "#99c794", "#ffffff", "#ff8f6b"


def draw(take: Take, sections: list[SectionMeasure], following: Following) -> Figure:
    """The whole picture; save it with `figure.savefig(path)`."""
    figure = Figure(figsize=(16, 11.2), dpi=120, facecolor=PAPER)
    grid = figure.add_gridspec(
        6,
        2,
        height_ratios=(1.3, 1.0, 1.9, 1.9, 0.02, 1.0),
        width_ratios=(3, 2),
        hspace=0.16,
        wspace=0.14,
        left=0.075,
        right=0.965,
        top=0.905,
        bottom=0.06,
    )
    played = figure.add_subplot(grid[0, :])
    wave = figure.add_subplot(grid[1, :], sharex=played)
    spectrum = figure.add_subplot(grid[2, :], sharex=played)
    classes = figure.add_subplot(grid[3, :], sharex=played)
    lead, shifts = figure.add_subplot(grid[5, 0]), figure.add_subplot(grid[5, 1])
    for axes in (played, wave, spectrum, classes, lead, shifts):
        _dress(axes)
    _title(figure, take, following)
    _draw_played(played, take, sections)
    _draw_wave(wave, take)
    _draw_spectrum(spectrum, take)
    _draw_chroma(classes, take)
    _draw_lead(lead, take)
    _draw_shifts(shifts, following)
    figure.align_ylabels([played, wave, spectrum, classes, lead])
    for axes in (played, wave, spectrum, classes):
        _draw_bars(axes, take, numbers=axes is classes)
        axes.set_xlim(0, take.seconds)
        if axes is not classes:
            axes.tick_params(labelbottom=False)
    return figure


def _dress(axes: Any) -> None:
    axes.set_facecolor(PANEL)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(colors=FAINT, labelsize=9, length=0)


def _name(axes: Any, text: str) -> None:
    axes.set_ylabel(text, color=FAINT, fontsize=9.5, labelpad=8)


def _title(figure: Figure, take: Take, following: Following) -> None:
    figure.text(0.075, 0.958, "First light", color=INK, fontsize=23, fontweight="bold", va="center")
    factor = np.median([m.real_time_factor for m in take.meters]) if take.meters else float("nan")
    lead = np.median([m.lead_ms for m in take.meters]) if take.meters else float("nan")
    figures = [
        f"made at {1 / factor:.1f} × real time" if factor > 0 else "",
        f"lead {lead:.0f} ms" if np.isfinite(lead) else "",
        f"control heard after {take.control_delay_ms[0]:.0f} ms (p95 {take.control_delay_ms[1]:.0f} ms)"
        if take.control_delay_ms[1] > 0
        else "",
        f"{take.underruns} underrun{'' if take.underruns == 1 else 's'}",
        f"chroma cosine with the hum {following.right:.2f}, a tritone off {following.tritone:.2f}"
        if np.isfinite(following.right)
        else "",
    ]
    figure.text(
        0.965, 0.966, "   ·   ".join(f for f in figures if f), color=INK, fontsize=11, ha="right", va="center"
    )
    model = f"model {take.model} {take.weights_hash[:8]}, seed {take.seed}, {take.sample_rate} Hz"
    figure.text(0.965, 0.943, model, color=FAINT, fontsize=9.5, ha="right", va="center")


def _colour(index: int) -> str:
    return SECTION_COLOURS[index % len(SECTION_COLOURS)]


def _draw_bars(axes: Any, take: Take, numbers: bool) -> None:
    every = max(1, round(len(take.bars) / 40))
    for i, at in enumerate(take.bars):
        if 0 <= take.time(at) <= take.seconds:
            axes.axvline(take.time(at), color="white", alpha=0.13 if i % 4 else 0.26, lw=0.7, zorder=3)
    starts = {section.start for section in take.sections}
    for at in starts:
        axes.axvline(take.time(at), color=INK, alpha=0.75, lw=1.1, zorder=4)
    if numbers:
        shown = [
            (i, at) for i, at in enumerate(take.bars) if i % every == 0 and 0 <= take.time(at) < take.seconds
        ]
        axes.set_xticks([take.time(at) for _, at in shown], [f"bar {take.first_bar + i}" for i, _ in shown])
        axes.tick_params(axis="x", labelsize=8.5)


def _draw_played(axes: Any, take: Take, sections: list[SectionMeasure]) -> None:
    """Pads, prompts, the CC ride and where the hum was given and steers, on one lane."""
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    _name(axes, "played in")
    for i, (section, measure) in enumerate(zip(take.sections, sections, strict=True)):
        left, right = take.time(section.start), take.time(section.end)
        axes.add_patch(Rectangle((left, 0.52), right - left, 0.48, color=_colour(i), alpha=0.22, lw=0))
        room = max(12, int((right - left) / take.seconds * 155))
        lines = textwrap.wrap(section.prompt, room, max_lines=2, placeholder=" …")
        axes.text(left + 0.12, 0.96, "\n".join(lines), color=INK, fontsize=9.5, va="top", zorder=6)
        said = (
            f"{measure.level:.0f} dBFS · {measure.brightness / 1000:.1f} kHz · {measure.onsets:.1f} attacks/s"
        )
        if np.isfinite(measure.follows):
            said += f" · hum {measure.follows:.2f}"
        axes.text(left + 0.12, 0.59, said, color=FAINT, fontsize=8.5, va="center", zorder=6)
    pads = [event for event in take.played if event.kind == "pad"]
    axes.scatter(
        [take.time(p.at_sample) for p in pads],
        [0.40] * len(pads),
        s=[60 + 90 * p.value for p in pads],
        marker="D",
        color=INK,
        edgecolors=PAPER,
        zorder=7,
        clip_on=False,
    )
    for pad in pads:
        axes.annotate(
            pad.label,
            (take.time(pad.at_sample), 0.40),
            xytext=(9, -1),
            textcoords="offset points",
            color=INK,
            fontsize=8.5,
            va="center",
            zorder=7,
        )
    ride = [event for event in take.played if event.kind == "cc"]
    if ride:
        times, values = [take.time(e.at_sample) for e in ride], [0.04 + 0.26 * e.value for e in ride]
        axes.fill_between(times, 0.04, values, step="post", color=RIDE, alpha=0.25, lw=0, zorder=2)
        axes.step(times, values, where="post", color=RIDE, lw=1.4, zorder=5)
        axes.text(
            times[0] - 0.1, 0.17, ride[0].label, color=RIDE, fontsize=9, ha="right", va="center", zorder=6
        )
    for event in take.played:
        if event.kind == "hum":
            left = max(0.0, take.time(event.at_sample))
            axes.annotate(
                "",
                (take.time(event.at_sample) + event.value, 0.10),
                (left, 0.10),
                arrowprops={"arrowstyle": "|-|", "color": HUM, "lw": 1.1, "mutation_scale": 3},
            )
            axes.text(left + 0.12, 0.19, event.label, color=HUM, fontsize=9, va="center", zorder=6)


def _draw_wave(axes: Any, take: Take) -> None:
    mono = take.mono()
    columns = 1900
    step = max(1, len(mono) // columns)
    blocks = mono[: len(mono) // step * step].reshape(-1, step)
    low, high = blocks.min(axis=1), blocks.max(axis=1)
    times = (np.arange(len(blocks)) + 0.5) * step / take.sample_rate
    axes.fill_between(times, low, high, color=FAINT, alpha=0.5, lw=0)
    for i, section in enumerate(take.sections):
        inside = (times >= take.time(section.start)) & (times < take.time(section.end))
        axes.fill_between(
            times[inside], low[inside], high[inside], color=_colour(i), alpha=0.95, lw=0, zorder=2
        )
    peak = max(0.05, float(np.abs(mono).max()))
    axes.set_ylim(-1.22 * peak, 1.1 * peak)
    axes.set_yticks([-round(peak, 1), 0, round(peak, 1)] if peak >= 0.1 else [0])
    _name(axes, "waveform")
    commits = [take.time(c.at_sample) for c in take.commits if 0 <= take.time(c.at_sample) <= take.seconds]
    if commits:
        axes.scatter(commits, [-1.14 * peak] * len(commits), marker="^", s=26, color=REWIND, lw=0, zorder=6)
        axes.text(
            0.995,
            0.93,
            f"▲ {len(commits)} commit points: audio from here on was made anew",
            color=REWIND,
            fontsize=9,
            ha="right",
            va="top",
            transform=axes.transAxes,
            zorder=7,
        )


def _draw_spectrum(axes: Any, take: Take) -> None:
    low, high = 40.0, min(15000.0, 0.45 * take.sample_rate)
    rows = bands(*spectrogram(take.mono(), take.sample_rate), 160, low, high)
    top = float(np.percentile(rows, 99.7))
    axes.imshow(
        rows.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=top - 62,
        vmax=top,
        interpolation="bilinear",
        extent=(0, len(rows) / FRAME_RATE, 0, 1),
    )
    marks = [f for f in (50, 100, 200, 500, 1000, 2000, 5000, 10000) if low < f < high]
    axes.set_yticks(
        [np.log(f / low) / np.log(high / low) for f in marks],
        [f"{f // 1000} kHz" if f >= 1000 else f"{f} Hz" for f in marks],
    )
    _name(axes, "spectrogram")


def _draw_chroma(axes: Any, take: Take) -> None:
    rows = chroma(*spectrogram(take.mono(), take.sample_rate))
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
    for start, end in take.hum_spans:
        for note in take.hum:
            left, right = start + note.start * take.sample_rate, min(end, start + note.end * take.sample_rate)
            if right > left:
                corner = (take.time(left), note.key % 12 - 0.5)
                axes.add_patch(
                    Rectangle(
                        corner, (right - left) / take.sample_rate, 1.0, fill=False, ec=HUM, lw=1.5, zorder=5
                    )
                )
    axes.set_ylim(-0.5, 11.5)
    axes.set_yticks(range(12), PITCH_CLASSES)
    axes.tick_params(axis="y", labelsize=8)
    _name(axes, "chroma, and the hum's notes □" if take.hum_spans else "chroma")


def _draw_lead(axes: Any, take: Take) -> None:
    times = [take.time(m.at_sample) for m in take.meters]
    axes.set_xlim(0, take.seconds)
    _name(axes, "lead, ms")
    if times:
        leads = [m.lead_ms for m in take.meters]
        axes.fill_between(times, 0, leads, color="#6699cc", alpha=0.25, lw=0)
        axes.plot(times, leads, color="#6699cc", lw=1.5)
        axes.set_ylim(0, 1.25 * max([*leads, take.commit_ms]))
    axes.axhline(take.commit_ms, color=REWIND, lw=1.1, ls=(0, (5, 3)))
    axes.text(
        take.seconds * 0.995,
        take.commit_ms,
        f"commit window {take.commit_ms:.0f} ms ",
        color=REWIND,
        fontsize=9,
        ha="right",
        va="bottom",
    )
    for at in (c.at_sample for c in take.commits):
        axes.axvline(take.time(at), color=REWIND, alpha=0.35, lw=0.8)
    axes.set_xlabel("seconds", color=FAINT, fontsize=9)


def _draw_shifts(axes: Any, following: Following) -> None:
    _name(axes, "chroma cosine")
    axes.set_xlabel("hum moved by semitones (0: as hummed)", color=FAINT, fontsize=9)
    if not np.isfinite(following.by_shift).all():
        axes.text(
            0.5,
            0.5,
            "no hum steers this take",
            color=FAINT,
            ha="center",
            va="center",
            transform=axes.transAxes,
        )
        axes.set_yticks([])
        axes.set_xticks([])
        return
    order = [*range(7, 12), *range(7)]
    labels = [s - 12 if s > 6 else s for s in order]
    values = [float(following.by_shift[s]) for s in order]
    colours = [HUM if s == 0 else "#6699cc" for s in order]
    bars = axes.bar(range(12), values, color=colours, width=0.72)
    for bar, value, shift in zip(bars, values, order, strict=True):
        axes.text(
            bar.get_x() + bar.get_width() / 2,
            value + 0.012,
            f"{value:.2f}",
            ha="center",
            va="bottom",
            fontsize=8.5,
            color=INK if shift == 0 else FAINT,
        )
    axes.set_xticks(range(12), [f"{label:+d}" if label else "0" for label in labels])
    axes.set_ylim(0, max(values) * 1.3 + 0.02)
    if np.isfinite(following.unsteered):
        axes.axhline(following.unsteered, color=REWIND, lw=1.1, ls=(0, (5, 3)))
        label = f"- - - the same notes over the music before the hum: {following.unsteered:.2f}"
        axes.text(0.99, 0.97, label, color=REWIND, fontsize=9, ha="right", va="top", transform=axes.transAxes)
