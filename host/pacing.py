"""How far ahead to make audio, and from where it may still change: arithmetic on the client's playhead and
credit.

Knows nothing about models or musical time. All positions and lengths are samples at the client's rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from descant.host.events import Heartbeat, Sync

LEAD_MS = (60.0, 2000.0)
COMMIT_MS = (20.0, 1000.0)
LATE_MS = 250.0  # a stream this far behind the playhead is not worth finishing
MAX_CREDIT_SECONDS = 60
_SEQUENCES = 2**32  # they wrap there


@dataclass(frozen=True)
class Pacing:
    """Where the client is and what it accepts; a new value for every heartbeat.

    rate: Hz. lead: samples made ahead of the playhead in real time. commit: samples past the playhead that
    can no longer change. credit: samples past the playhead that the client takes (0 until its first
    heartbeat). offline: only credit limits what is made, and nothing is ever late.
    jumps, sequence: of the latest heartbeat, None before the first.
    """

    rate: int
    lead: int
    commit: int
    playhead: int = 0
    credit: int = 0
    offline: bool = False
    jumps: int | None = None
    sequence: int | None = None

    @classmethod
    def of(cls, rate: int, lead_ms: float, commit_ms: float) -> Pacing:
        """From times in ms, brought into LEAD_MS and COMMIT_MS, the commit window at most half the lead."""
        lead_ms = min(max(lead_ms, LEAD_MS[0]), LEAD_MS[1])
        commit_ms = min(max(commit_ms, COMMIT_MS[0]), COMMIT_MS[1], lead_ms / 2)
        return cls(rate, round(rate * lead_ms / 1000), round(rate * commit_ms / 1000))

    @property
    def lead_ms(self) -> float:
        return 1000 * self.lead / self.rate

    @property
    def commit_ms(self) -> float:
        return 1000 * self.commit / self.rate

    @property
    def limit(self) -> int:
        """The first sample that must not be made yet."""
        ahead = self.credit if self.offline else min(self.lead, self.credit)
        return self.playhead + ahead

    @property
    def changeable(self) -> int:
        """The first sample that may still change; offline that is the playhead itself."""
        return self.playhead + (0 if self.offline else self.commit)

    def stale(self, beat: Heartbeat) -> bool:
        """Whether a newer heartbeat than this one has been heard already."""
        if self.sequence is None or beat.sequence is None:
            return False
        return 0 < (self.sequence - beat.sequence) % _SEQUENCES < _SEQUENCES // 2

    def jumped(self, beat: Heartbeat) -> bool:
        """Whether the playhead was moved, back or ahead, instead of played on; the heartbeat is not stale."""
        return self.jumps is not None and (beat.jumps != self.jumps or beat.playhead < self.playhead)

    def heard(self, beat: Heartbeat) -> Pacing:
        """After a heartbeat that is not stale: the playhead is where it says. Credit is bounded."""
        credit = min(max(beat.free_samples, 0), MAX_CREDIT_SECONDS * self.rate)
        return replace(self, playhead=beat.playhead, credit=credit, jumps=beat.jumps, sequence=beat.sequence)

    def synced(self, sync: Sync) -> Pacing:
        """After an offline client's word of where it is. It comes in its turn: it is never stale."""
        credit = min(max(sync.free_samples, 0), MAX_CREDIT_SECONDS * self.rate)
        return replace(self, playhead=sync.playhead, credit=credit)

    def resumed(self, playhead: int, offline: bool, jumps: int | None) -> Pacing:
        """As it was in a lost engine, but without credit: nothing is made before the client is heard
        again.
        """
        return replace(self, playhead=playhead, offline=offline, jumps=jumps, credit=0)

    def seconds_ahead(self, sent: int) -> float:
        """Audio made past the playhead when samples before `sent` were made, in seconds; < 0 is behind."""
        return (sent - self.playhead) / self.rate

    def late(self, sent: int) -> bool:
        """Whether a stream that has come to `sent` should be given up and begun anew ahead of the
        playhead.
        """
        return not self.offline and (self.playhead - sent) * 1000 > LATE_MS * self.rate
