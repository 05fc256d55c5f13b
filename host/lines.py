"""What begins and ends on musical lines: triggers wait for theirs, and find another one where time leaps.

Knows nothing about events other than the transport's, nor about audio or clients. Positions are samples at
the client's rate.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from descant.host.events import TransportEvent
from descant.host.pads import Pads
from descant.host.preset import Preset, PromptSlot
from descant.host.schedule import Cue, Scene, Schedule
from descant.host.transport import Timeline

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


class Lines:
    """One session's. rate: Hz of the client. frame: samples of one of the model's frames. preset: the first.

    pads: what can be started. timeline: where the lines are. schedule: what was decided. wishes: triggers
    that wait for their line, or did of late. grid: samples between the places where continuous numbers and
    the timeline may change.
    """

    def __init__(self, rate: int, frame: int, preset: Preset) -> None:
        self.pads = Pads(preset)
        self.timeline = Timeline.internal(rate, preset.tempo, preset.numerator, preset.denominator)
        self.schedule = Schedule(Scene(self.timeline).sampled(preset.sampling))
        self.wishes: list[Wish] = []
        self.grid = 2 * frame
        self._rate = rate

    def start(self, slot: int, at_sample: int, changeable: int) -> Outcome:
        """A trigger: on its line, by its transition; it takes back what earlier triggers wanted there or
        later.
        """
        row = self.pads.row(slot)
        quantise = self.pads.quantise(row)
        earliest = max(at_sample, changeable)
        schedule = self.schedule
        if not schedule.sounding(earliest) and schedule.cue_after(earliest) is None:
            self.set_timeline(self.timeline.restarted(earliest), changeable)
        line = self.free_line(self.timeline.line(earliest, quantise), quantise)
        self.take_back(line)
        self.wishes = [wish for wish in self.wishes if changeable <= wish.line]
        self.wishes.append(Wish(slot, at_sample, line))
        if row.stop:
            return Outcome(self.stop(line, self.samples(self._fade_ms(row, STOP_FADE_MS))))
        if not schedule.sounding(line):
            schedule.cue(Cue(line, "start", self.samples(START_FADE_MS), 0))
        elif schedule.holding(line) or self.pads.transition(row) != "morph":
            fade = self.samples(self._fade_ms(row, CUT_FADE_MS))
            schedule.cue(Cue(line, "start", fade, fade))
        schedule.edit(line, "text", self.pads.words(slot), by_trigger=True)
        if schedule.scene(line).guidance_fall:
            schedule.edit(line, "falls_from", line, by_trigger=True)
        schedule.edit(line, "progression", self.pads.progression_of(slot), by_trigger=True)
        return Outcome([self.plan(line, self.pads.words(slot))], line if quantise == "off" else None)

    def begun(self, at_sample: int, changeable: int) -> list[Planned]:
        """The preset's first prompt, started where nothing plays or is about to."""
        earliest = max(at_sample, changeable)
        if self.schedule.sounding(earliest) or self.schedule.cue_after(earliest) is not None:
            return []
        first = next((slot for slot, row in enumerate(self.pads.preset.prompts) if not row.stop), None)
        return [] if first is None else self.start(first, at_sample, changeable).planned

    def stop(self, at: int, fade: int) -> list[Planned]:
        """The music ends at a sample; what triggers wanted there or later is taken back."""
        self.schedule.take_back_triggers(at)
        if not self.schedule.sounding(at):
            return []
        self.schedule.cue(Cue(at, "stop", 0, fade))
        return [self.plan(at, "")]

    def take_back(self, line: int) -> None:
        """What triggers wanted at a line or later is wanted no more."""
        self.schedule.take_back_triggers(line)
        self.wishes = [wish for wish in self.wishes if wish.line < line]

    def free_line(self, line: int, quantise: str) -> int:
        """A line at which no fade is under way: one is never cut short."""
        before = self.schedule.cue_before(line - 1)
        return (
            line if before is None or before.settled <= line else self.timeline.line(before.settled, quantise)
        )

    def plan(self, line: int, text: str) -> Planned:
        """What comes at a line, as it is told."""
        return Planned(line, float(self.timeline.bar_at(line)), text)

    def follow(self, event: TransportEvent, changeable: int) -> list[Planned]:
        """Word of the transport; where time leaps, what waits for its line finds another one."""
        timeline, jumped = self.timeline.followed(event)
        if timeline is self.timeline:
            return []
        self.set_timeline(timeline, changeable)
        if not jumped:
            return []
        outputs: list[Planned] = []
        waiting = [wish for wish in self.wishes if wish.line >= changeable]
        if waiting:
            self.schedule.take_back_triggers(changeable)
            self.wishes = []
        for wish in waiting:
            outputs += self.start(wish.slot, wish.at_sample, changeable).planned
        return outputs

    def set_timeline(self, timeline: Timeline, changeable: int) -> None:
        """Beats from `timeline` on; it knows the past too, so it may hold earlier than it was told."""
        if timeline is self.timeline:
            return
        self.timeline, grid = timeline, self.grid
        newest = timeline.grids[-1].at_sample
        at = max(newest // grid * grid, -(-changeable // grid) * grid)
        self.schedule.drop_edits("timeline", at)
        self.schedule.edit(at, "timeline", timeline)

    def leap(self, to: int, decided: int, changeable: int) -> list[Planned]:
        """The client goes on at sample `to`, where `changeable` is the first sample that can change.

        decided: the first that could change where it was. What plays, and what was wanted as soon as can be,
        goes on at the new place; what waits for its line finds a new one; what was told for later samples
        keeps its place.
        """
        moved = changeable - decided
        old, wishes = self.schedule, self.wishes
        scene = {field.name: getattr(old.base, field.name) for field in fields(Scene)}
        later = []
        for edit in old.edits:
            on_grid = decided + self.grid  # numbers wait so long for their place on it
            reached = edit.late or edit.at_sample <= (decided if edit.by_trigger else max(on_grid, to))
            if reached or edit.field == "melody":
                scene[edit.field] = edit.value
            elif not (edit.by_trigger or edit.field == "timeline"):
                later.append(edit)
        scene["falls_from"] += moved
        self.wishes = []
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
                planned += self.start(wish.slot, at, changeable).planned
        return planned

    def prune(self, before: int) -> None:
        """Forget what held before a sample."""
        self.schedule.forget(before)
        self.timeline = self.timeline.pruned(before, KEPT_STRETCHES)

    def samples(self, ms: float) -> int:
        """A time in ms as samples, at least 1."""
        return max(1, round(self._rate * ms / 1000))

    def _fade_ms(self, row: PromptSlot, otherwise: float) -> float:
        return self.pads.preset.fade_ms if self.pads.transition(row) == "fade" else otherwise
