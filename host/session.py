"""One performance: a score of decisions, the audio made from it, the log that plays it again, and its meters.

Knows nothing about sockets or clocks; its clock is the client's playhead. Positions are samples at the
client's rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from descant.host.ear import Ears
from descant.host.easing import Easing
from descant.host.errors import EventError
from descant.host.events import (
    Capture,
    FallbackOut,
    FaultOut,
    Goodbye,
    Heartbeat,
    HostEvent,
    HostOutput,
    Mode,
    Parameter,
    PlanOut,
    PresetChange,
    Recount,
    SessionHello,
    Sync,
    SyncedOut,
)
from descant.host.lacking import Lacking, controls_named
from descant.host.lines import START_FADE_MS, Planned, Wish
from descant.host.meters import Meters
from descant.host.pacing import Pacing
from descant.host.pads import Pads
from descant.host.playback import Playback
from descant.host.preset import Preset
from descant.host.recount import Teller
from descant.host.schedule import Cue, Edit, Scene, Schedule
from descant.host.score import Score
from descant.host.takelog import Ease, LogEntry, Restart, TakeLog
from descant.host.transport import Timeline
from descant.model import Generator, MusicModel
from descant.model.work import Answer, Ask, Work

MAX_AHEAD_SECONDS = 4 * 3600  # an event may lie this far from the playhead
REGROWN = 0.8  # of the lead beyond the commit window must be there before a ridden control takes audio back
KEPT = 0.35  # of it stays where a hand is faster than the machine, for whatever else may cost time
REST_SECONDS = 0.25  # between two moves of such a hand that take audio back
PAUSE_SECONDS = 0.5  # without a move: the next one is the first of a ride
EXCUSED_SECONDS = 2.0  # of audio after an engine was replaced, while it catches up


class Session:
    """hello: as it came, with rate, channels and seed. model: shared, read-only. presets: by name."""

    def __init__(
        self, hello: SessionHello, model: MusicModel, presets: Mapping[str, Preset], ears: Ears
    ) -> None:
        self.hello = hello
        self.weights_hash = model.weights_hash
        rate = hello.sample_rate
        self.score = Score(rate, presets, hello.preset, model.spec.codec, ears)
        preset = self.score.preset
        self.pacing = Pacing.of(rate, hello.lead_ms or preset.lead_ms, hello.commit_ms or preset.commit_ms)
        self.playback = Playback(model, rate, hello.channels, hello.seed)
        self.playback.rows = self.score.guidance_rows
        self.lacking = Lacking(model.spec)
        self._gone = "fade"  # what the client does when audio is missing, as it knows
        self._notes: list[HostOutput] = [*self.lacking.note(controls_named(preset), 0), *self._fallback(0)]
        self.log = TakeLog()
        self._teller = Teller()
        self.meters = Meters(rate)
        self.easing = Easing(dials=model.lm.batches)
        self.closed = False
        self.asked: Ask | None = None  # the column that the frame under way waits for
        self.behind = False  # it has columns to run again, the next lot when it goes on
        self._working: Work[list[HostOutput]] | None = None
        self._resumed = False  # from a lost engine, and nothing has been made since
        self._unheard = False  # resumed, and the client not heard since
        self._ridden = 0  # where the newest ridden control acts
        self._rode = self._took_back = 0  # the playhead when it came, and when one took audio back
        self._put_off = False  # whether one had to wait since
        self._excused = 0  # before this sample, being late is a lost engine's doing and told already
        self._awaited: Sync | None = None  # what an offline client waits for
        self._in_step = False  # it waits for each block: nothing is made while it does not
        self.restarted = False  # a stream was begun anew for being late; whoever reports it sets this back

    @property
    def changeable(self) -> int:
        """The first sample that an event handled now can change."""
        return max(self.pacing.changeable, self.playback.oldest_changeable())

    @property
    def seconds_ahead(self) -> float:
        """Audio made past the playhead, in seconds; negative when behind."""
        return self.pacing.seconds_ahead(self.playback.sent)

    @property
    def seconds_left(self) -> float:
        """How soon it has to work again, in seconds: within the commit window where sent audio changes."""
        ahead = self.seconds_ahead
        if not self.playback.outdated(self.score.schedule):
            return ahead
        return min(ahead, (self.changeable - self.pacing.playhead) / self.pacing.rate)

    def handle(self, event: HostEvent, sequence: int | None = None) -> list[HostOutput]:
        """Take one event. sequence: of the message that it was.

        Errors: HostError for one that cannot be followed; nothing has changed then.
        """
        outputs = self._handle(event, sequence)
        if self.playback.outdated(self.score.schedule):
            self.give_up_work()  # the frame under way is not what is wanted any more
        if isinstance(event, Parameter):
            self._notes += self.lacking.note([event.name], event.at_sample)
        elif isinstance(event, PresetChange):
            self._notes += self.lacking.note(controls_named(self.score.preset), event.at_sample)
            self._notes += self._fallback(event.at_sample)
        notes, self._notes = self._notes, []
        return [*outputs, *notes]

    def _handle(self, event: HostEvent, sequence: int | None) -> list[HostOutput]:
        match event:
            case Heartbeat():
                return [*self._heard(event), *self._teller.tell(self.log, event.at_sample)]
            case Recount():
                self._teller.wanted = True
                return [*self._teller.tell(self.log, event.at_sample)]
            case Sync():
                self.pacing = self.pacing.synced(event)
                self.score.prune(self.playback.needed_from(self.pacing.playhead))
                self._awaited, self._in_step = event, True
                return []
            case Mode():
                self.pacing = replace(self.pacing, offline=event.mode == "offline")
                return []
            case Goodbye():
                self.closed = True
                return []
        if abs(event.at_sample - self.pacing.playhead) > MAX_AHEAD_SECONDS * self.hello.sample_rate:
            raise EventError(
                f"an event at sample {event.at_sample} is hours away from the playhead",
                "the music goes on unchanged",
                "send positions on the session's own timeline, counted in samples",
            )
        return self._note(event, sequence)

    def replay(self, entry: LogEntry) -> list[HostOutput]:
        """Take an event of an earlier performance as it was taken then."""
        self.log.add(entry)
        return self._apply(entry)

    def go_on(self, answer: Answer = None) -> Ask | list[HostOutput] | None:
        """A stretch of the work on one model frame and the blocks it completes.

        Result: the column that has to be run first (`asked`, too: its logits are the next `answer`), None
        after a stretch that may wait, or, when it is finished, what came of it. Whatever it raises ends it.
        """
        if self._working is None:
            self._working = self._work()
        self.asked = None
        try:
            self.asked = self._working.send(answer)
        except StopIteration as stop:
            self._working = None
            outputs: list[HostOutput] = stop.value
            return outputs
        except BaseException:
            self._working = None
            raise
        self.behind = self.asked is None
        return self.asked

    def give_up_work(self) -> None:
        """Drop the frame under way, if there is one: its stream or its place are no more what they were."""
        if self._working is not None:
            self._working.close()
        self._working = self.asked = None
        self.behind = False

    @property
    def working(self) -> bool:
        """Whether a frame is under way."""
        return self._working is not None

    def _work(self) -> Work[list[HostOutput]]:
        """Only here is a stream judged late: by then all that has come is known, however much at once."""
        missed = self._resumed and self.playback.sent < self.changeable
        if not self._unheard and self.playback.sounding and (missed or self.pacing.late(self.playback.sent)):
            self._note(Restart(self.pacing.playhead))
        self._resumed = self._resumed and self._unheard
        told = self._ease()
        outputs: list[HostOutput] = [
            *told,
            *(yield from self.playback.make(self.score.schedule, self.pacing)),
        ]
        return [*outputs, _deaf(self.playback.sent)] if self.playback.grown_deaf() else outputs

    def _fallback(self, at_sample: int) -> list[FallbackOut]:
        """Word of what the preset wants while no host is there, where it is news."""
        wanted = self.score.preset.gone
        if wanted == self._gone:
            return []
        self._gone = wanted
        return [FallbackOut(at_sample, wanted)]

    def synced(self) -> SyncedOut | None:
        """The answer to an offline client that waits, once what it waits for has been given out."""
        awaited = self._awaited
        if (
            awaited is None
            or self._working is not None
            or (self.wants_work() and not self._given_out(awaited.until))
        ):
            return None
        self._awaited = None
        return SyncedOut(awaited.at_sample, awaited.sequence)

    def _given_out(self, until: int) -> bool:
        return self.playback.sent >= until and self.playback.follows(self.score.schedule)

    def wants_work(self) -> bool:
        """Whether go_on() would do something now."""
        if self._working is not None:
            return True
        if self.closed or (self._in_step and self._awaited is None):
            return False  # else it would depend on chance which changes meet audio that was sent already
        return self.playback.wanted(self.score.schedule, self.pacing)

    def fail(self) -> None:
        """After an error in a stream: silence, until a trigger begins anew."""
        self.give_up_work()
        at = max(self.playback.sent, self.changeable)
        self.score.forget_wishes()
        self.score.schedule.take_back_triggers(0)
        self.score.schedule.cue(Cue(at, "stop", 0, 1, by_trigger=False))
        self.playback.skip_to(at + 1)
        self.log.complete = False

    def resumed_from(
        self,
        pads: Pads,
        timeline: Timeline,
        base: Scene,
        edits: list[Edit],
        cues: list[Cue],
        sent: int,
        epoch: int,
        stream: Generator | None,
        wishes: list[Wish],
    ) -> None:
        """Take over what a lost engine had decided; a stream that sounded at `sent` goes on from there."""
        score = self.score
        schedule = Schedule(base)
        score.take_over(pads, timeline, schedule, wishes)
        self._notes = []  # the client has read them
        self.lacking.note(controls_named(score.preset), 0)
        self._fallback(0)
        self.playback.rows = score.guidance_rows
        for edit in edits:
            schedule.edit(edit.at_sample, edit.field, edit.value, edit.by_trigger)
        for cue in cues:
            schedule.cue(cue)
        if schedule.sounding(sent):
            schedule.cue(Cue(sent, "start", score.samples(START_FADE_MS), 0, by_trigger=False))
        self.easing.go_on(schedule.scene(sent).eased)
        self.playback.resume(schedule, sent, epoch, stream)
        self._resumed = self._unheard = True
        self.log.complete = False

    def _heard(self, beat: Heartbeat) -> list[HostOutput]:
        """Follow the client's clock, wherever it goes."""
        before = self.pacing
        if before.stale(beat):
            return []
        self.pacing = before.heard(beat)
        self.meters.underruns = max(beat.underruns, self.meters.underruns)
        if self._unheard:
            self._unheard = False
            self._excused = beat.playhead + round(EXCUSED_SECONDS * self.hello.sample_rate)
        outputs: list[HostOutput] = []
        if before.jumped(beat):
            self.give_up_work()
            self.log.complete = False  # it tells of one pass along the timeline
            self._ridden = 0
            planned = self.score.jump(beat.playhead, before.changeable, self.pacing.changeable)
            goes_on = self.score.schedule.sounding(self.pacing.changeable)
            self.playback.jump(beat.playhead, before.playhead if goes_on else None)
            self._excused = min(self._excused, beat.playhead)
            self.easing.go_on(self.easing.rung)
            outputs = self._plans(planned)
        self.score.prune(self.playback.needed_from(self.pacing.playhead))
        return outputs

    def _ease(self) -> list[HostOutput]:
        """Give something up if the lead is lost, take it back when there is room; and say so."""
        if self._unheard:
            return []
        found = self.easing.decide(self.score, self.playback, self.pacing, self.changeable)
        if found is None:
            return []
        ease, told = found
        self._note(ease)
        return [told]

    def _note(self, event: HostEvent | Restart | Ease, sequence: int | None = None) -> list[HostOutput]:
        entry = LogEntry(self._soonest(event), event, sequence)
        if isinstance(event, Capture):  # a part that is refused still ends its clip
            self.log.add(entry)
            return self._apply(entry)
        outputs = self._apply(entry)
        self.log.add(entry)
        return outputs

    def _soonest(self, event: HostEvent | Restart | Ease) -> int:
        """The first sample that an event may change.

        A control that is ridden takes audio back only when what it took back before has been made again, or
        is about to be; else a slow machine would be left with the commit window alone for as long as a hand
        moves. In between its newest value is heard from the first frame on that is not made yet; and once a
        move had to wait so, the next ones leave the machine some of the lead and some time.
        """
        changeable = self.changeable
        if self.pacing.offline or not self.score.rides(event):
            return changeable
        playhead, rate = self.pacing.playhead, self.hello.sample_rate
        if not 0 <= playhead - self._rode < PAUSE_SECONDS * rate:
            self._put_off = False
        self._rode = playhead
        if not self.playback.outdated(self.score.schedule):
            undecided = self.playback.undecided()
            whole = self.pacing.limit - playhead - self.pacing.commit
            rested = not self._put_off or not 0 <= playhead - self._took_back < REST_SECONDS * rate
            if rested and undecided - playhead - self.pacing.commit >= REGROWN * whole:
                self._ridden = changeable + (round(KEPT * whole) if self._put_off else 0)
                self._took_back, self._put_off = playhead, False
            else:
                self._ridden, self._put_off = undecided, True
        return max(changeable, self._ridden)

    def _apply(self, entry: LogEntry) -> list[HostOutput]:
        """A function of the session's past decisions and this entry only, never of how far audio has been
        made.
        """
        outcome = self.score.apply(entry.event, entry.changeable)
        self.playback.rows = self.score.guidance_rows
        if outcome.at_once is not None:
            self.meters.delayed(self.playback.first_change(outcome.at_once) - entry.event.at_sample)
        if outcome.restart is not None:
            excused = self.pacing.playhead < self._excused
            self.playback.skip_to(outcome.restart, carry=excused)
            self.restarted = not excused
        return self._plans(outcome.planned)

    def _plans(self, planned: list[Planned]) -> list[HostOutput]:
        return [PlanOut(self.playback.epoch, plan.line, plan.bar, plan.text) for plan in planned]


def _deaf(at_sample: int) -> FaultOut:
    return FaultOut(
        at_sample,
        "model",
        "warning",
        "guidance is not heard yet: what plays was begun without it",
        "the music goes on as it was; what begins from now on is guided",
        "press a pad whose transition is cut or fade, or set guidance in the preset",
    )
