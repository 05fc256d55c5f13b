"""The overload ladder: what is given up, in order, when music is not made in time, and when it comes back.

Knows nothing about streams, events or clocks: it is told the lead at places of the playhead and says which
rung to go to. Down as soon as the lead is short and shrinking, past rungs only where there is no time left
to try them; up one rung after a while of plenty, which doubles each time that going up turns out to have been
too much. One stall (a clip that is heard, a collection of garbage) is no overload while audio is left: at
full speed it is soon made up for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

AS_ASKED, EVERY_2, EVERY_4, UNGUIDED, HOLD = range(5)
SHORT = 0.5  # of the lead beyond the commit window: less and shrinking is one rung down
GLIMPSE_SECONDS = 0.15  # in which the lead shows how fast it shrinks
TRIAL_SECONDS = 0.1  # a rung must have so long to show that it helps
REGROWING_SECONDS = 0.5  # after audio was taken back the lead is short by that, and comes back
AT_LEAST_LOST = 0.35  # seconds of it a second, at which holding must still be in time then
FRAME_SECONDS = 0.02  # what the lead may seem to lose or win between two looks
PLENTY = 0.8
STALL_SECONDS = 0.06  # between two looks, and half as much again as is usual: more is a stall
BEAT_SECONDS = 0.03  # a playhead that moves farther at once makes a lead look short now and then
FORGIVE_SECONDS = 1.0  # only one stall in so long
LOOK_SECONDS = 0.2  # the lead is compared with itself so long ago
PATIENCE_SECONDS = 4.0  # of plenty before a rung up
MOST_PATIENCE = 64.0
CALM_SECONDS = 30.0  # on a rung that was climbed to, then patience is what it was at first
MAX_MISSING = 16  # null columns that guidance may have to make up for when it comes back


@dataclass(frozen=True)
class Look:
    """How things stand, in seconds. at: the playhead. ahead: audio made past it. lead: wanted past it.

    commit: the part of it that cannot change. epoch: it counts when audio was taken back. missing: null
    columns that guidance lacks, if it is off.
    """

    at: float
    ahead: float
    lead: float
    commit: float
    epoch: int
    missing: int = 0

    @property
    def room(self) -> float:
        """The share of the lead beyond the commit window that is there; below 0: not even that window."""
        return (self.ahead - self.commit) / max(1e-3, self.lead - self.commit)


class Ladder:
    """One session's place on the ladder. rung: AS_ASKED .. HOLD."""

    def __init__(self) -> None:
        self.rung: int = AS_ASKED
        self.patience = PATIENCE_SECONDS
        self._before: Look | None = None  # what the lead is compared with
        self._last: Look | None = None
        self._usual: deque[float] = deque(maxlen=5)  # seconds between looks at which the playhead had moved
        self._forgiven: float | None = None  # when the latest stall was
        self._losing = 0.0  # seconds of lead lost a second, when last seen
        self._taken_back: float | None = None  # when audio was, last
        self._plenty_since: float | None = None
        self._climbed: float | None = None  # when the latest rung up was taken

    @property
    def making_up(self) -> bool:
        """Whether guidance may come back soon, so that what it lacks should be run already."""
        return self.rung == UNGUIDED and self._plenty_since is not None

    def restart(self, rung: int) -> None:
        """Go on from that rung at another place of the timeline."""
        self.rung = rung
        self._before = self._last = self._plenty_since = self._climbed = self._taken_back = None

    def look(self, now: Look, rungs: Sequence[int]) -> int | None:
        """The rung to go to now, None to stay. rungs: those below AS_ASKED that can help, ascending.

        HOLD is not left by itself, for there is always plenty: see `held_enough`.
        """
        before, last, self._last = self._before, self._last, now
        if before is not None and before.epoch != now.epoch:
            self._taken_back = now.at
        if before is None or before.epoch != now.epoch or not 0 <= now.at - before.at < 10 * LOOK_SECONDS:
            self._before = now
            self._losing = 0.0
            return None
        if self.rung == HOLD:
            return None
        if last is not None and self._stalled(last, now):
            self._before, self._losing = now, 0.0
            return None
        passed = now.at - before.at
        lost = before.ahead - now.ahead - (self._grain if self._grain > BEAT_SECONDS else 0.0)
        if passed >= GLIMPSE_SECONDS:
            self._losing = lost / passed
        left = now.ahead - self._needed(now) - FRAME_SECONDS  # before it is too late to hold what is playing
        if lost > 0 and self._losing > 0 and left < self._losing * TRIAL_SECONDS and HOLD in rungs:
            return self._down(HOLD, now)
        if passed < LOOK_SECONDS:
            return None
        shrinking = lost > FRAME_SECONDS / 2
        if shrinking or lost <= 0:  # less than that may be nothing, or adds up
            self._before = now
        if self._climbed is not None and now.at - self._climbed > CALM_SECONDS:
            self._climbed, self.patience = None, PATIENCE_SECONDS
        if shrinking and now.room < PLENTY:
            self._plenty_since = None
        if shrinking and now.room < SHORT:
            lower = min((rung for rung in rungs if self.rung < rung < HOLD), default=None)
            return None if lower is None else self._down(lower, now)
        if self.rung == AS_ASKED or now.room < PLENTY:
            return None
        if self._plenty_since is None:
            self._plenty_since = now.at
        if now.at - self._plenty_since < self.patience or now.missing > MAX_MISSING:
            return None
        return self._to(max((rung for rung in rungs if rung < self.rung), default=AS_ASKED), now.at)

    def held_enough(self, at: float, since: float, bar: float) -> bool:
        """Whether a bar of `bar` seconds that is held since then should give way to music again."""
        return at - since >= max(bar, self.patience / 2)

    def leave_hold(self, at: float, rungs: Sequence[int]) -> int:
        """Make music again, on the lowest rung that does."""
        return self._to(max((rung for rung in rungs if rung < HOLD), default=AS_ASKED), at)

    def _needed(self, now: Look) -> float:
        """Seconds that must be made past the playhead for a held bar to begin in time.

        It begins where audio may still change, and up to there music has to be made. Usually all of that is
        made already. Where it was taken back, as by a knob that is ridden, no more than that is there to
        begin with: then only as much is needed as is lost on the way, at the speed of now or a bad one.
        """
        if self._taken_back is None or not 0 <= now.at - self._taken_back < REGROWING_SECONDS:
            return now.commit
        return now.commit * min(1.0, max(AT_LEAST_LOST, self._losing))

    @property
    def _grain(self) -> float:
        """Seconds that the playhead usually moves at once: a client's block, or a frame that took longer."""
        return median(self._usual) if self._usual else 0.0

    def _stalled(self, last: Look, now: Look) -> bool:
        """Whether a stall lies between two looks that is to be forgiven; at first, whatever lies there."""
        passed = now.at - last.at
        if passed <= 0:
            return False
        usual, known = self._grain, len(self._usual) >= 3
        self._usual.append(passed)
        if not known:
            return True  # not to be told from a client's blocks
        if passed <= max(STALL_SECONDS, 1.5 * usual) or now.ahead <= 0:
            return False
        if self._forgiven is not None and 0 <= now.at - self._forgiven < FORGIVE_SECONDS:
            return False
        self._forgiven = now.at
        return True

    def _down(self, lower: int, now: Look) -> int:
        self._before = now
        if self._climbed is not None:
            self.patience = min(MOST_PATIENCE, 2 * self.patience)
        self._climbed = self._plenty_since = None
        self.rung = lower
        return lower

    def _to(self, rung: int, at: float) -> int:
        self.rung, self._plenty_since, self._climbed = rung, None, at
        return rung


NAMES: Final = {
    AS_ASKED: "guidance runs as asked",
    EVERY_2: "guidance runs at every second step",
    EVERY_4: "guidance runs at every fourth step",
    UNGUIDED: "guidance is off",
    HOLD: "the last bar is held",
}
EVERY: Final = {EVERY_2: 2, EVERY_4: 4}
