"""Every event becomes changes of the schedule: at a sample that can still change, on its musical line.

Knows nothing about audio, streams or clients. What it decides depends only on the events, their order, and
the first changeable sample at each. Positions are samples at the client's rate.
"""

from __future__ import annotations

from collections.abc import Mapping

from descant.host.captures import Captures
from descant.host.chords import HeldNotes
from descant.host.ear import Ears
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
from descant.host.ladder import HOLD
from descant.host.lines import CUT_FADE_MS, START_FADE_MS, STOP_FADE_MS, Lines, Outcome, Planned, Wish
from descant.host.pads import CHOICES, Pads
from descant.host.preset import Preset, find_preset
from descant.host.schedule import SAMPLED, Cue, Schedule, field_of, rows_of
from descant.host.takelog import Ease, Restart
from descant.host.transport import Timeline
from descant.host.trigger import ChordNote, SetParameter, Silence, StartSlot, action_of
from descant.model import CodecSpec

WHOLE = ("top_k", "guidance_every")  # parameters without fractions


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
        self._frame = -(-codec.hop_length * rate // codec.sample_rate)  # samples in a frame, rounded up
        self._lines = Lines(rate, self._frame, find_preset(presets, preset))
        self._captures = Captures(ears, self._lines, codec.frame_rate)
        self._held = HeldNotes()

    @property
    def pads(self) -> Pads:
        """What pads and keys hold."""
        return self._lines.pads

    @property
    def timeline(self) -> Timeline:
        """Where beats and bars are."""
        return self._lines.timeline

    @property
    def schedule(self) -> Schedule:
        """What was decided."""
        return self._lines.schedule

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
                return Outcome(self._lines.follow(event, changeable))
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
                return Outcome(self._captures.take(event, changeable))
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
                return self._lines.start(slot, event.at_sample, changeable)
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
                return Outcome(self._lines.stop(at, self.samples(STOP_FADE_MS)))
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

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """Triggers that wait for their line, or did of late."""
        return tuple(self._lines.wishes)

    def forget_wishes(self) -> None:
        """Triggers that wait for their line no longer do."""
        self._lines.wishes.clear()

    def take_over(self, pads: Pads, timeline: Timeline, schedule: Schedule, wishes: list[Wish]) -> None:
        """Go on from what a lost engine had decided; the edits and cues of what waits are in the schedule."""
        lines = self._lines
        lines.pads, lines.timeline, lines.schedule, lines.wishes = pads, timeline, schedule, list(wishes)

    def prune(self, before: int) -> None:
        """Forget what held before a sample."""
        self._lines.prune(before)

    def jump(self, to: int, decided: int, changeable: int) -> list[Planned]:
        """The client goes on at sample `to`, where `changeable` is the first sample that can change.

        decided: the first that could change where it was.
        """
        self._held.moved_to(to)
        return self._lines.leap(to, decided, changeable)

    def samples(self, ms: float) -> int:
        """A time in ms as samples, at least 1."""
        return self._lines.samples(ms)

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
        grid = self._lines.grid
        return -(-earliest // grid) * grid

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

    def _new_words(self, event: Prompt, changeable: int) -> Outcome:
        self.pads.reword(event)
        self._remix(max(event.at_sample, changeable))
        return self._lines.start(event.slot, event.at_sample, changeable)

    def _change_preset(self, event: PresetChange, changeable: int) -> Outcome:
        preset = find_preset(self.presets, event.name)
        self.pads.change(preset)
        self.forget_wishes()
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
            self._lines.set_timeline(self.timeline.followed(tempo)[0], changeable)
        return Outcome()
