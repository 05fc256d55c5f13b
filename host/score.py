"""Every event becomes changes of the schedule: at a sample that can still change, on its musical line.

Knows nothing about audio, streams or clients. What it decides depends only on the events, their order, and
the first changeable sample at each. Positions are samples at the client's rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from descant.host.chords import HeldNotes
from descant.host.errors import EventError
from descant.host.events import (
    Capture,
    Goodbye,
    Heartbeat,
    HostEvent,
    Mode,
    PresetChange,
    Prompt,
    Sync,
    TransportEvent,
)
from descant.host.hum import Chroma, ChromaOf, ClipReader, melody_on_grid
from descant.host.ladder import HOLD
from descant.host.preset import MAX_PROMPT_CHARS, Preset, Transition, find_preset
from descant.host.schedule import SAMPLED, Cue, Scene, Schedule, field_of
from descant.host.takelog import Ease, Restart
from descant.host.transport import Timeline
from descant.host.trigger import ChordNote, SetParameter, Silence, StartSlot, action_of
from descant.model import CodecSpec

WHOLE = ("top_k", "guidance_every")  # parameters without fractions
KEPT_STRETCHES = 16  # of the transport's past, for a client that goes back
START_FADE_MS = 3.0  # music out of silence
CUT_FADE_MS = 5.0
STOP_FADE_MS = 50.0


@dataclass(frozen=True)
class Wish:
    """A trigger that waits for its line, kept so that it finds its new line when the transport jumps."""

    slot: int
    at_sample: int
    line: int


@dataclass(frozen=True)
class Planned:
    """What comes, from which sample and bar on; text is empty for silence."""

    line: int
    bar: float
    text: str


@dataclass
class Outcome:
    """What an event led to. at_once: where a change begins that waits for no line. restart: where all begins
    anew.
    """

    planned: list[Planned] = field(default_factory=list)
    at_once: int | None = None
    restart: int | None = None


class Score:
    """One session's musical decisions.

    rate: Hz of the client. codec: for the length of a frame. bins: of a melody, pitch classes an octave.
    """

    def __init__(
        self,
        rate: int,
        presets: Mapping[str, Preset],
        preset: str,
        codec: CodecSpec,
        chroma_of: ChromaOf,
        bins: int = 12,
    ) -> None:
        self.presets = presets
        self.preset = find_preset(presets, preset)
        self.texts: list[str] = [row.text for row in self.preset.prompts]
        self.timeline = Timeline.internal(
            rate, self.preset.tempo, self.preset.numerator, self.preset.denominator
        )
        self.schedule = Schedule(Scene(self.timeline).sampled(self.preset.sampling))
        self._rate = rate
        self._frame = -(-codec.hop_length * rate // codec.sample_rate)  # samples in a frame, rounded up
        self._frame_rate = codec.frame_rate
        self._clips = ClipReader(codec.frame_rate, chroma_of, bins)
        self._held = HeldNotes()
        self._wishes: list[Wish] = []

    @property
    def may_guide(self) -> bool:
        """Whether guidance is or may become other than 1 under this preset (streams that cannot cost
        half).
        """
        moved = any(row.parameter == "guidance" for row in self.preset.cc.values())
        return moved or self.preset.sampling.guidance != 1.0

    def apply(self, event: HostEvent | Restart | Ease, changeable: int) -> Outcome:
        """Take one event; it changes nothing before sample `changeable`.

        Errors: HostError for an event that cannot be followed; then nothing has changed.
        """
        match event:
            case TransportEvent():
                return Outcome(self._follow(event, changeable))
            case Prompt():
                return self._new_words(event, changeable)
            case PresetChange():
                return self._change_preset(event, changeable)
            case Capture():
                return Outcome(self._captured(event, changeable))
            case Restart():
                at = max(event.at_sample, changeable)
                self.schedule.cue(Cue(at, "start", self.samples(START_FADE_MS), 0, by_trigger=False))
                return Outcome(restart=at)
            case Ease():
                self._ease(event.rung, max(event.at_sample, changeable))
                return Outcome()
            case Heartbeat() | Sync() | Mode() | Goodbye():
                return Outcome()
        at = max(event.at_sample, changeable)
        match action_of(event, self.preset):
            case StartSlot(slot):
                return self._start(slot, event.at_sample, changeable)
            case SetParameter(name, value):
                return Outcome(at_once=self._set_parameter(name, value, at))
            case ChordNote(key, down):
                for boundary, chord in self._held.moved(key, down, at, self._frame, changeable):
                    self.schedule.edit(boundary, "chords", chord)
                return Outcome(at_once=at)
            case Silence():
                self.forget_wishes()
                return Outcome(self._stop(at, self.samples(STOP_FADE_MS)))
            case None:
                return Outcome()

    def forget_wishes(self) -> None:
        """Triggers that wait for their line no longer do."""
        self._wishes.clear()

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """Triggers that wait for their line, or did of late."""
        return tuple(self._wishes)

    def take_wishes(self, wishes: list[Wish]) -> None:
        """Take over what waited in a lost engine; its edits and cues are in the schedule already."""
        self._wishes = list(wishes)

    def prune(self, before: int) -> None:
        """Forget what held before a sample."""
        self.schedule.forget(before)
        self.timeline = self.timeline.pruned(before, KEPT_STRETCHES)

    def jump(self, to: int, decided: int, changeable: int) -> list[Planned]:
        """The client goes on at sample `to`, where `changeable` is the first sample that can change.

        decided: the first that could change where it was. What plays, and what was wanted as soon as can be,
        goes on at the new place; what waits for its line finds a new one; what was told for later samples
        keeps its place.
        """
        moved = changeable - decided
        decided += 2 * self._frame  # numbers wait so long for their place on a grid
        old, wishes = self.schedule, self._wishes
        scene = {field.name: getattr(old.base, field.name) for field in fields(Scene)}
        later = []
        for edit in old.edits:
            reached = edit.at_sample <= (decided if edit.by_trigger else max(decided, to))
            if reached or edit.field == "melody":
                scene[edit.field] = edit.value
            elif not (edit.by_trigger or edit.field == "timeline"):
                later.append(edit)
        scene["falls_from"] += moved
        self._held.moved_to(to)
        self._wishes = []
        self.schedule = Schedule(Scene(**{**scene, "timeline": self.timeline}))
        self.schedule.known_from = to
        for edit in later:
            self.schedule.edit(max(edit.at_sample, changeable), edit.field, edit.value)
        if old.sounding(decided):
            self.schedule.cue(Cue(changeable, "start", self.samples(START_FADE_MS), 0, by_trigger=False))
        planned: list[Planned] = []
        for wish in wishes:
            if wish.line > decided:
                at = to if wish.at_sample <= decided else max(to, wish.at_sample)
                planned += self._start(wish.slot, at, changeable).planned
        return planned

    def samples(self, ms: float) -> int:
        """A time in ms as samples, at least 1."""
        return max(1, round(self._rate * ms / 1000))

    def _set_parameter(self, name: str, value: float, earliest: int) -> int:
        """Continuous numbers move on a grid of two frames, so that a ride of a controller costs few
        rewinds.
        """
        grid = 2 * self._frame
        at = -(-earliest // grid) * grid
        if name == "guidance_fall" and not self.schedule.scene(at).guidance_fall:
            self.schedule.edit(at, "falls_from", at)
        self.schedule.edit(at, field_of(name), round(value) if name in WHOLE else value)
        return at

    def _start(self, slot: int, at_sample: int, changeable: int) -> Outcome:
        """A trigger: on its line, by its transition; it takes back what earlier triggers wanted there or
        later.
        """
        row = self.preset.prompts[slot]
        quantise = row.quantise or self.preset.quantise
        earliest = max(at_sample, changeable)
        schedule = self.schedule
        if not schedule.sounding(earliest) and schedule.cue_after(earliest) is None:
            self._set_timeline(self.timeline.restarted(earliest), changeable)
        line = self.timeline.line(earliest, quantise)
        before = schedule.cue_before(line - 1)
        if before is not None and before.settled > line:  # a fade under way is never cut short
            line = self.timeline.line(before.settled, quantise)
        schedule.take_back_triggers(line)
        self._wishes = [wish for wish in self._wishes if changeable <= wish.line < line]
        self._wishes.append(Wish(slot, at_sample, line))
        if row.stop:
            return Outcome(self._stop(line, self.samples(self._fade_ms(row.transition, STOP_FADE_MS))))
        if not schedule.sounding(line):
            schedule.cue(Cue(line, "start", self.samples(START_FADE_MS), 0))
        elif schedule.holding(line) or (row.transition or self.preset.transition) != "morph":
            fade = self.samples(self._fade_ms(row.transition, CUT_FADE_MS))
            schedule.cue(Cue(line, "start", fade, fade))
        schedule.edit(line, "text", self.texts[slot], by_trigger=True)
        if schedule.scene(line).guidance_fall:
            schedule.edit(line, "falls_from", line, by_trigger=True)
        schedule.edit(line, "progression", self.preset.progression_of(slot), by_trigger=True)
        return Outcome([self._plan(line, self.texts[slot])], line if quantise == "off" else None)

    def _ease(self, rung: int, at: int) -> None:
        """Another rung of the overload ladder: a bar is held from there, or what was held goes on."""
        fade = self.samples(CUT_FADE_MS)
        if rung == HOLD:
            self.schedule.cue(Cue(at, "hold", fade, fade, by_trigger=False))
        elif self.schedule.holding(at):
            self.schedule.cue(Cue(at, "start", fade, fade, by_trigger=False))
        self.schedule.edit(at, "eased", rung)

    def _stop(self, at: int, fade: int) -> list[Planned]:
        self.schedule.take_back_triggers(at)
        if not self.schedule.sounding(at):
            return []
        self.schedule.cue(Cue(at, "stop", 0, fade))
        return [self._plan(at, "")]

    def _follow(self, event: TransportEvent, changeable: int) -> list[Planned]:
        timeline, jumped = self.timeline.followed(event)
        if timeline is self.timeline:
            return []
        self._set_timeline(timeline, changeable)
        if not jumped:
            return []
        outputs: list[Planned] = []
        waiting = [wish for wish in self._wishes if wish.line >= changeable]
        if waiting:
            self.schedule.take_back_triggers(changeable)
            self._wishes = []
        for wish in waiting:
            outputs += self._start(wish.slot, wish.at_sample, changeable).planned
        return outputs

    def _set_timeline(self, timeline: Timeline, changeable: int) -> None:
        """Beats from `timeline` on; it knows the past too, so it may hold earlier than it was told."""
        if timeline is self.timeline:
            return
        self.timeline = timeline
        grid = 2 * self._frame
        newest = timeline.grids[-1].at_sample
        at = max(newest // grid * grid, -(-changeable // grid) * grid)
        self.schedule.drop_edits("timeline", at)
        self.schedule.edit(at, "timeline", timeline)

    def _new_words(self, event: Prompt, changeable: int) -> Outcome:
        text = event.text.strip()
        if not 0 < len(text) <= MAX_PROMPT_CHARS:
            raise EventError(
                f"a prompt of {len(text)} characters cannot be used",
                "the slot keeps its words and the music goes on",
                f"send 1..{MAX_PROMPT_CHARS} characters",
            )
        if not 0 <= event.slot < len(self.texts):
            raise EventError(
                f"preset {self.preset.name!r} has no slot {event.slot}",
                "the music goes on unchanged",
                f"use slots 0..{len(self.texts) - 1}",
            )
        if self.preset.prompts[event.slot].stop:
            raise EventError(
                f"slot {event.slot} stops the music and takes no words",
                "the music goes on unchanged",
                "use another slot",
            )
        self.texts[event.slot] = text
        return self._start(event.slot, event.at_sample, changeable)

    def _change_preset(self, event: PresetChange, changeable: int) -> Outcome:
        preset = find_preset(self.presets, event.name)
        self.preset = preset
        self.texts = [row.text for row in preset.prompts]
        self._wishes = []
        at = max(event.at_sample, changeable)
        for name in SAMPLED:
            self.schedule.edit(at, name, getattr(preset.sampling, name))
        self.schedule.edit(at, "falls_from", at)
        if not self.timeline.heard:
            beats = self.timeline.beat_at(at)
            tempo = TransportEvent(
                at, preset.tempo, float(beats), preset.numerator, preset.denominator, False
            )
            self._set_timeline(self.timeline.followed(tempo)[0], changeable)
        return Outcome()

    def _captured(self, event: Capture, changeable: int) -> list[Planned]:
        if event.role != "melody":
            raise EventError(
                "live input is not used yet", "the music goes on unchanged", 'capture with role "melody"'
            )
        chroma = self._clips.add(event)
        if chroma is None:
            return []
        started = self._clips.started_at(event.clip_id)
        self._clips.forget(event.clip_id)
        return self._hummed(chroma, started, event.at_sample, changeable)

    def _hummed(self, chroma: Chroma, started: int, at_sample: int, changeable: int) -> list[Planned]:
        """A melody from the next bar (or now) on; where nothing plays, the preset's first prompt plays it."""
        outputs: list[Planned] = []
        earliest = max(at_sample, changeable)
        idle = not self.schedule.sounding(earliest) and self.schedule.cue_after(earliest) is None
        first = next((slot for slot, row in enumerate(self.preset.prompts) if not row.stop), None)
        if idle and first is not None:
            outputs += self._start(first, at_sample, changeable).planned
        line = self.timeline.line(earliest, "bar" if self.preset.hum == "bar" else "off")
        captured_at = started if self.preset.hum_align == "grid" else None
        melody = melody_on_grid(chroma, self._frame_rate, self.timeline.at(line), line, captured_at)
        self.schedule.drop_edits("melody", line)
        self.schedule.edit(line, "melody", melody)
        bars = melody.beats / self.timeline.at(line).bar_beats
        return [*outputs, self._plan(line, f"hummed melody, {bars} bar{'' if bars == 1 else 's'}")]

    def _plan(self, line: int, text: str) -> Planned:
        return Planned(line, float(self.timeline.bar_at(line)), text)

    def _fade_ms(self, transition: Transition | None, otherwise: float) -> float:
        return self.preset.fade_ms if (transition or self.preset.transition) == "fade" else otherwise
