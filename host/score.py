"""Every event becomes changes of the schedule: at a sample that can still change, on its musical line.

Knows nothing about audio, streams or clients. What it decides depends only on the events, their order, and
the first changeable sample at each. Positions are samples at the client's rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from descant.host.chords import HeldNotes
from descant.host.ear import Codes, Ears
from descant.host.errors import EventError
from descant.host.events import (
    Bend,
    Capture,
    Control,
    Goodbye,
    Heartbeat,
    HostEvent,
    KeyPrompt,
    Mix,
    Mode,
    Parameter,
    PresetChange,
    Prompt,
    Recount,
    Sync,
    TransportEvent,
)
from descant.host.hum import Chroma, ClipReader, melody_on_grid
from descant.host.ladder import HOLD
from descant.host.pads import CHOICES, Pads
from descant.host.preset import Preset, PromptSlot, find_preset
from descant.host.schedule import SAMPLED, Cue, Scene, Schedule, field_of, rows_of
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

    rate: Hz of the client. codec: for the length of a frame. ears: hear captured clips.
    """

    def __init__(
        self,
        rate: int,
        presets: Mapping[str, Preset],
        preset: str,
        codec: CodecSpec,
        ears: Ears,
    ) -> None:
        self.presets = presets
        self.pads = Pads(find_preset(presets, preset))
        self.timeline = Timeline.internal(
            rate, self.preset.tempo, self.preset.numerator, self.preset.denominator
        )
        self.schedule = Schedule(Scene(self.timeline).sampled(self.preset.sampling))
        self._rate = rate
        self._frame = -(-codec.hop_length * rate // codec.sample_rate)  # samples in a frame, rounded up
        self._frame_rate = codec.frame_rate
        self._clips, self._music = ClipReader(ears.melody), ClipReader(ears.music)
        self._held = HeldNotes()
        self._wishes: list[Wish] = []

    @property
    def preset(self) -> Preset:
        """What pads, keys and controllers mean."""
        return self.pads.preset

    @property
    def guidance_rows(self) -> int:
        """Rows that a stream may need under this preset: 1 without guidance, 2 with it, 3 where beta tells
        the prompt from the melody. Each costs as much as the first.
        """
        moved = {row.parameter for row in self.preset.cc.values()}
        return rows_of(
            "guidance" in moved or self.preset.sampling.guidance != 1.0,
            "beta" in moved or self.preset.sampling.beta != 1.0,
        )

    def apply(self, event: HostEvent | Restart | Ease, changeable: int) -> Outcome:
        """Take one event; it changes nothing before sample `changeable`.

        Errors: HostError for an event that cannot be followed; then nothing has changed.
        """
        match event:
            case TransportEvent():
                return Outcome(self._follow(event, changeable))
            case Prompt():
                return self._new_words(event, changeable)
            case KeyPrompt():
                self.pads.word_key(event)
                return Outcome()
            case Mix():
                self.pads.weigh(event)
                at = self._set_on_grid(max(event.at_sample, changeable))
                self._remix(at, late=changeable > event.at_sample)
                return Outcome(at_once=at)
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
            case Heartbeat() | Sync() | Mode() | Recount() | Goodbye():
                return Outcome()
        at = max(event.at_sample, changeable)
        match action_of(event, self.preset, self.pads.keys):
            case StartSlot(slot):
                return self._start(slot, event.at_sample, changeable)
            case SetParameter(name, value):
                at = self._set_on_grid(at)
                self._set_parameter(name, value, at, late=changeable > event.at_sample)
                return Outcome(at_once=at)
            case ChordNote(key, down):
                for boundary, chord in self._held.moved(key, down, at, self._frame, changeable):
                    self.schedule.edit(boundary, "chords", chord)
                return Outcome(at_once=at)
            case Silence(let_go):
                self.forget_wishes()
                if let_go:
                    for boundary, chord in self._held.let_go(at, self._frame, changeable):
                        self.schedule.edit(boundary, "chords", chord)
                return Outcome(self._stop(at, self.samples(STOP_FADE_MS)))
            case None:
                return Outcome()

    def rides(self, event: object) -> bool:
        """Whether an event moves a number that a hand may move again at once."""
        if not isinstance(event, Control | Bend | Parameter):
            return isinstance(event, Mix)
        try:
            return isinstance(action_of(event, self.preset, self.pads.keys), SetParameter)
        except EventError:
            return False

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
        old, wishes = self.schedule, self._wishes
        scene = {field.name: getattr(old.base, field.name) for field in fields(Scene)}
        later = []
        for edit in old.edits:
            on_grid = decided + 2 * self._frame  # numbers wait so long for their place on it
            reached = edit.late or edit.at_sample <= (decided if edit.by_trigger else max(on_grid, to))
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
            if wish.line > decided and self.pads.holds(wish.slot):
                at = to if wish.at_sample <= decided else max(to, wish.at_sample)
                planned += self._start(wish.slot, at, changeable).planned
        return planned

    def samples(self, ms: float) -> int:
        """A time in ms as samples, at least 1."""
        return max(1, round(self._rate * ms / 1000))

    def _set_parameter(self, name: str, value: float, at: int, late: bool) -> None:
        if name in CHOICES:
            self.pads.choose(name, value)
            self._remix(at, late)
            return
        if name == "guidance_fall" and not self.schedule.scene(at).guidance_fall:
            self.schedule.edit(at, "falls_from", at, late=late)
        self.schedule.edit(at, field_of(name), round(value) if name in WHOLE else value, late=late)

    def _set_on_grid(self, earliest: int) -> int:
        """The first place on the grid of continuous numbers, not before a sample: two frames wide, so that a
        ride of a controller costs few rewinds.
        """
        grid = 2 * self._frame
        return -(-earliest // grid) * grid

    def _start(self, slot: int, at_sample: int, changeable: int) -> Outcome:
        """A trigger: on its line, by its transition; it takes back what earlier triggers wanted there or
        later.
        """
        row = self.pads.row(slot)
        quantise = self.pads.quantise(row)
        earliest = max(at_sample, changeable)
        schedule = self.schedule
        if not schedule.sounding(earliest) and schedule.cue_after(earliest) is None:
            self._set_timeline(self.timeline.restarted(earliest), changeable)
        line = self._free_line(self.timeline.line(earliest, quantise), quantise)
        schedule.take_back_triggers(line)
        self._wishes = [wish for wish in self._wishes if changeable <= wish.line < line]
        self._wishes.append(Wish(slot, at_sample, line))
        if row.stop:
            return Outcome(self._stop(line, self.samples(self._fade_ms(row, STOP_FADE_MS))))
        if not schedule.sounding(line):
            schedule.cue(Cue(line, "start", self.samples(START_FADE_MS), 0))
        elif schedule.holding(line) or self.pads.transition(row) != "morph":
            fade = self.samples(self._fade_ms(row, CUT_FADE_MS))
            schedule.cue(Cue(line, "start", fade, fade))
        schedule.edit(line, "text", self.pads.words(slot), by_trigger=True)
        if schedule.scene(line).guidance_fall:
            schedule.edit(line, "falls_from", line, by_trigger=True)
        schedule.edit(line, "progression", self.pads.progression_of(slot), by_trigger=True)
        return Outcome([self._plan(line, self.pads.words(slot))], line if quantise == "off" else None)

    def _remix(self, at: int, late: bool = False) -> None:
        """The mix of the pads from a sample on, where it is another one."""
        mix = self.pads.mix()
        self.schedule.drop_late("mix", at)
        if mix != self.schedule.scene(at).mix:
            self.schedule.edit(at, "mix", mix, late=late)

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
        self.pads.reword(event)
        self._remix(max(event.at_sample, changeable))
        return self._start(event.slot, event.at_sample, changeable)

    def _change_preset(self, event: PresetChange, changeable: int) -> Outcome:
        preset = find_preset(self.presets, event.name)
        self.pads.change(preset)
        self._wishes = []
        at = max(event.at_sample, changeable)
        self._remix(at)
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
        outputs = self._begun(at_sample, changeable)
        if outputs:
            line = outputs[-1].line
        else:
            line = self._free_line(self.timeline.line(max(at_sample, changeable), "bar"), "bar")
            self.schedule.take_back_triggers(line)
            self._wishes = [wish for wish in self._wishes if wish.line < line]
        fade = self.samples(CUT_FADE_MS)
        self.schedule.cue(Cue(line, "start", fade, fade, prompt=codes.tobytes()))
        seconds = codes.shape[1] / self._frame_rate
        return [*outputs, self._plan(line, f"{self._words(line)} (going on from {seconds:.1f} s)")]

    def _begun(self, at_sample: int, changeable: int) -> list[Planned]:
        """The preset's first prompt, started where nothing plays or is about to."""
        earliest = max(at_sample, changeable)
        if self.schedule.sounding(earliest) or self.schedule.cue_after(earliest) is not None:
            return []
        first = next((slot for slot, row in enumerate(self.preset.prompts) if not row.stop), None)
        return [] if first is None else self._start(first, at_sample, changeable).planned

    def _words(self, line: int) -> str:
        return self.schedule.scene(line).text or "music"

    def _free_line(self, line: int, quantise: str) -> int:
        """A line at which no fade is under way: one is never cut short."""
        before = self.schedule.cue_before(line - 1)
        return (
            line if before is None or before.settled <= line else self.timeline.line(before.settled, quantise)
        )

    def _hummed(self, chroma: Chroma, started: int, at_sample: int, changeable: int) -> list[Planned]:
        """A melody from the next bar (or now) on; where nothing plays, the preset's first prompt plays it."""
        earliest = max(at_sample, changeable)
        outputs = self._begun(at_sample, changeable)
        line = self.timeline.line(earliest, "bar" if self.preset.hum == "bar" else "off")
        captured_at = started if self.preset.hum_align == "grid" else None
        melody = melody_on_grid(chroma, self._frame_rate, self.timeline.at(line), line, captured_at)
        self.schedule.drop_edits("melody", line)
        self.schedule.edit(line, "melody", melody)
        bars = melody.beats / self.timeline.at(line).bar_beats
        return [*outputs, self._plan(line, f"hummed melody, {bars} bar{'' if bars == 1 else 's'}")]

    def _plan(self, line: int, text: str) -> Planned:
        return Planned(line, float(self.timeline.bar_at(line)), text)

    def _fade_ms(self, row: PromptSlot, otherwise: float) -> float:
        return self.preset.fade_ms if self.pads.transition(row) == "fade" else otherwise
