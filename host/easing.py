"""The overload ladder at work in a session: what its lead, its music and its kernel say, and what follows.

Knows nothing about events, clocks or the wire: what it decides goes the way of an event, so that it is in the
take's log and a replay is the same.
"""

from __future__ import annotations

from descant.host.events import FaultOut
from descant.host.faults import eased
from descant.host.ladder import AS_ASKED, EVERY, HOLD, UNGUIDED, Ladder, Look
from descant.host.pacing import Pacing
from descant.host.playback import Playback
from descant.host.score import Score
from descant.host.takelog import Ease

MADE_UP = 4  # null columns run beside each column before guidance comes back


class Easing:
    """One session's. dials: whether less guidance is less work with the model's kernel."""

    def __init__(self, dials: bool) -> None:
        self._dials = dials
        self._ladder = Ladder()
        self._held_since = 0.0  # seconds; on the rung where a bar is held

    @property
    def rung(self) -> int:
        """Where it is now, see ladder.py."""
        return self._ladder.rung

    def go_on(self, rung: int) -> None:
        """Music goes on elsewhere on the timeline, or in another engine, as it was on that rung."""
        self._ladder.restart(min(rung, UNGUIDED))

    def decide(
        self, score: Score, playback: Playback, pacing: Pacing, changeable: int
    ) -> tuple[Ease, FaultOut] | None:
        """What changes now, and how to tell it; None for nothing. Offline nothing is ever given up."""
        ladder, schedule, rate = self._ladder, score.schedule, pacing.rate
        before = ladder.rung
        if pacing.offline:
            ladder.restart(AS_ASKED)
            return _change(AS_ASKED, changeable, before) if before else None
        if not playback.sounding:
            return None
        at, holding = pacing.playhead / rate, schedule.holding(playback.sent)
        if before == HOLD and not holding and not schedule.holding(changeable):
            ladder.restart(UNGUIDED)  # a trigger has begun anew
        grid = score.timeline.at(pacing.playhead)
        beat = float(60 / grid.tempo)
        rungs = self._rungs(score, playback, changeable, round(beat * rate))
        if ladder.rung == HOLD:
            if not ladder.held_enough(at, self._held_since, beat * float(grid.bar_beats)):
                return None
            line = score.timeline.line(max(changeable, playback.sent), "bar")
            return _change(ladder.leave_hold(at, rungs), line, HOLD)
        if holding:
            return None  # until the line where music goes on
        lead = (pacing.limit - pacing.playhead) / rate
        ahead = pacing.seconds_ahead(playback.sent)
        missing = self._missing(playback)
        rung = ladder.look(Look(at, ahead, lead, pacing.commit / rate, playback.epoch, missing), rungs)
        if rung is None:
            return None
        self._held_since = at
        return _change(rung, max(changeable, playback.sent if rung == HOLD else playback.undecided()), before)

    def _missing(self, playback: Playback) -> int:
        """Null columns that guidance lacks; they are made up for when it is about to come back."""
        stream = playback.current() if self._ladder.rung == UNGUIDED else None
        return 0 if stream is None else stream.keep_null_near(MADE_UP if self._ladder.making_up else 0)

    def _rungs(self, score: Score, playback: Playback, changeable: int, beat: int) -> list[int]:
        """The rungs of the ladder that can help what plays now. beat: in samples."""
        scene = score.schedule.scene(changeable)
        found = []
        if self._dials and scene.guidance != 1.0:
            found = [rung for rung, every in EVERY.items() if every > scene.guidance_every] + [UNGUIDED]
        return [*found, HOLD] if playback.can_hold(beat) else found


def _change(rung: int, at: int, before: int) -> tuple[Ease, FaultOut]:
    return Ease(at, rung), eased(at, rung, before)
