"""Clips in the music: from its line on a hum is followed as a melody, and other music is gone on from.

Knows nothing about audio that is made. Positions are samples at the client's rate.
"""

from __future__ import annotations

from descant.host.ear import Codes, Ears
from descant.host.events import Capture
from descant.host.hum import Chroma, ClipReader, melody_on_grid
from descant.host.lines import CUT_FADE_MS, Lines, Planned
from descant.host.schedule import Cue


class Captures:
    """One session's. ears: hear the clips. lines: where what comes of them begins. frame_rate: of the model,
    Hz.
    """

    def __init__(self, ears: Ears, lines: Lines, frame_rate: float) -> None:
        self._clips, self._music = ClipReader(ears.melody), ClipReader(ears.music)
        self._lines, self._frame_rate = lines, frame_rate

    def take(self, event: Capture, changeable: int) -> list[Planned]:
        """Take a part of a clip; with its last one, something comes of it."""
        if event.role == "live":
            if (codes := self._music.add(event)) is None:
                return []
            self._music.forget(event.clip_id)
            return self._go_on_from(codes, event.at_sample, changeable)
        chroma = self._clips.add(event)
        if chroma is None:
            return []
        started = self._clips.started_at(event.clip_id)
        self._clips.forget(event.clip_id)
        return self._hummed(chroma, started, event.at_sample, changeable)

    def _go_on_from(self, codes: Codes, at_sample: int, changeable: int) -> list[Planned]:
        """From the next bar on music goes on from other music; words stay, or are the first pad's."""
        lines = self._lines
        outputs = lines.begun(at_sample, changeable)
        if outputs:
            line = outputs[-1].line
        else:
            line = lines.free_line(lines.timeline.line(max(at_sample, changeable), "bar"), "bar")
            lines.take_back(line)
        fade = lines.samples(CUT_FADE_MS)
        lines.schedule.cue(Cue(line, "start", fade, fade, prompt=codes.tobytes()))
        words = lines.schedule.scene(line).text or "music"
        seconds = codes.shape[1] / self._frame_rate
        return [*outputs, lines.plan(line, f"{words} (going on from {seconds:.1f} s)")]

    def _hummed(self, chroma: Chroma, started: int, at_sample: int, changeable: int) -> list[Planned]:
        """A melody from the next bar (or now) on; where nothing plays, the preset's first prompt plays it."""
        lines = self._lines
        earliest = max(at_sample, changeable)
        outputs = lines.begun(at_sample, changeable)
        line = lines.timeline.line(earliest, "bar" if lines.pads.preset.hum == "bar" else "off")
        captured_at = started if lines.pads.preset.hum_align == "grid" else None
        melody = melody_on_grid(chroma, self._frame_rate, lines.timeline.at(line), line, captured_at)
        lines.schedule.drop_edits("melody", line)
        lines.schedule.edit(line, "melody", melody)
        bars = melody.beats / lines.timeline.at(line).bar_beats
        return [*outputs, lines.plan(line, f"hummed melody, {bars} bar{'' if bars == 1 else 's'}")]
