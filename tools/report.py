"""Says in words and figures what a take was: speed, lead, control delay, what the pads changed, how the hum
was followed.

Knows nothing about hosts or pictures.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from tools.listen import Following, SectionMeasure
from tools.take import Take

CHANGED = 1.5  # a section's spectrum must move this many times as far as it wanders by itself
SILENT = -60.0  # dBFS: a section below this did not play
FOLLOWED = 0.1  # the hum's chroma cosine must beat the mean of its transpositions by this


def changes_with_pads(sections: list[SectionMeasure]) -> bool:
    """Whether all sections sound, and differ from the one before by more than from themselves."""
    moved = [s.moved for s in sections if np.isfinite(s.moved)]
    sounding = all(s.level > SILENT for s in sections)
    return bool(moved) and sounding and float(np.median(moved)) >= CHANGED


def follows_hum(following: Following) -> bool:
    """Whether the output agrees with the hum as it was hummed clearly more than with any transposition of
    it."""
    if not np.isfinite(following.by_shift).all():
        return False
    return following.right == following.by_shift.max() and following.right - following.others >= FOLLOWED


def report(take: Take, sections: list[SectionMeasure], following: Following) -> str:
    """The whole report, ready to print; ends with a newline."""
    lines = [f"First light: {take.seconds:.1f} s of music out of a host process, over its socket", ""]
    lines += _machine(take)
    lines += ["", *_sections(take, sections), "", *_hum(following)]
    if take.faults:
        counted = Counter(take.faults)
        lines += ["", *(f"  fault        {n} × {fault}" for fault, n in counted.items())]
    return "\n".join(lines) + "\n"


def _machine(take: Take) -> list[str]:
    factors = np.array([m.real_time_factor for m in take.meters if m.real_time_factor > 0])
    leads = np.array([m.lead_ms for m in take.meters])
    lines = [
        f"  model        {take.model} {take.weights_hash[:12]}, seed {take.seed}",
        f"  audio        {take.sample_rate} Hz, {take.wave.shape[0]} channels, "
        f"peak {float(np.abs(take.wave).max()):.2f}, {take.underruns} underruns",
    ]
    if len(factors):
        lines.append(
            f"  speed        real-time factor {np.median(factors):.3f} (worst {factors.max():.3f}): "
            f"{1 / np.median(factors):.1f} times as fast as real time"
        )
    if len(leads):
        lines.append(
            f"  lead         {np.median(leads):.0f} ms (5 % below {np.percentile(leads, 5):.0f} ms), "
            f"commit window {take.commit_ms:.0f} ms"
        )
    if take.silent_from is not None:
        lines.append(
            "  HOST GONE    it stopped answering and did not come back: silence from "
            f"{take.time(take.silent_from):.1f} s on"
        )
    elif take.underruns or (len(factors) and float(np.median(factors)) >= 1.0):
        lines.append(
            "  NOT KEPT UP  this machine was too busy for real time: close other programs and run it again"
        )
    p50, p95 = take.control_delay_ms
    if p95 > 0:
        lines.append(f"  control      heard after {p50:.0f} ms (p50), {p95:.0f} ms (p95)")
    lines.append(f"  rewinds      {len(take.commits)} times audio already made was replaced by newer")
    return lines


def _sections(take: Take, sections: list[SectionMeasure]) -> list[str]:
    lines = ["  from      level   brightness   attacks   moved  hum   prompt"]
    for section, measure in zip(take.sections, sections, strict=True):
        follows = f"{measure.follows:4.2f}" if np.isfinite(measure.follows) else "   –"
        moved = f"{measure.moved:4.1f}×" if np.isfinite(measure.moved) else "    –"
        lines.append(
            f"  {_bar(take, section.start):8} {measure.level:4.0f} dBFS {measure.brightness:6.0f} Hz "
            f"{measure.onsets:6.1f} /s   {moved} {follows}   {section.prompt}"
        )
    lines.append("  (moved: spectrum against the section before, in multiples of the section's own movement)")
    if len(sections) > 1:
        lines.append(f"  the music changes with the pads: {'yes' if changes_with_pads(sections) else 'NO'}")
    return lines


def _hum(following: Following) -> list[str]:
    if not np.isfinite(following.by_shift).all():
        return ["  no hum steered this take"]
    lines = [
        f"  hum          chroma cosine of the output with the hummed notes {following.right:.3f} "
        f"({following.frames} frames)",
        f"               the same notes a tritone off {following.tritone:.3f}; mean of the eleven wrong "
        f"transpositions {following.others:.3f}",
    ]
    if np.isfinite(following.unsteered):
        lines.append(f"               the same notes over the music before the hum {following.unsteered:.3f}")
    lines.append(f"  the music follows the hum: {'yes' if follows_hum(following) else 'NO'}")
    return lines


def _bar(take: Take, at_sample: int) -> str:
    """The bar a sample lies in, "bar 5" when it is a bar line (within 1 ms), else with its fraction."""
    bars = np.array(take.bars, np.float64)
    i = int(np.searchsorted(bars, at_sample + take.sample_rate // 1000, side="right")) - 1
    if i < 0:
        return "start"
    length = bars[min(i + 1, len(bars) - 1)] - bars[i] if i + 1 < len(bars) else 0.0
    part = (at_sample - bars[i]) / length if length else 0.0
    number = take.first_bar + i
    return f"bar {number}" if part < 0.01 else f"bar {number + part:.2f}"
