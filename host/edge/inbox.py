"""What waits for the work loop: the link's frames in order, but of a client's heartbeats only the newest.

After a pause hundreds of heartbeats wait; each but the last would make the music look later, or less late,
than it is. Knows nothing about sessions' contents or clocks.
"""

from __future__ import annotations

from collections import deque

from descant.host import translate
from descant.host.edge.link import Frame, Kind, Link
from descant.plugin_bridge import wire

MOST = 1024
"""Frames held here; more wait in the link."""


class Waiting:
    """One frame, and the message in it if it is one of a client's."""

    def __init__(self, frame: Frame, message: wire.Message | None) -> None:
        self.frame, self.message = frame, message


class Inbox:
    """Frames of one link, first in, first out.

    A heartbeat takes the place of the one of its session that waits already, so that events behind that one
    meet the newest playhead. One that tells of a jump stands for itself: what was told before it belongs
    before it.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._queue: deque[Waiting] = deque()
        self._beats: dict[int, Waiting] = {}  # the newest heartbeat of each session that has one waiting

    def __len__(self) -> int:
        return len(self._queue)

    def collect(self) -> None:
        """Take over what has come, without waiting."""
        while len(self._queue) < MOST and (frame := self._link.receive()) is not None:
            self._put(frame)

    def take(self) -> Waiting | None:
        """The next one; None when there is none."""
        if not self._queue:
            return None
        first = self._queue.popleft()
        if self._beats.get(first.frame.session) is first:
            del self._beats[first.frame.session]
        return first

    def _put(self, frame: Frame) -> None:
        message = translate.decode(frame.parts) if frame.kind is Kind.MESSAGE else None
        if isinstance(message, wire.Heartbeat):
            there = self._beats.get(frame.session)
            old = there.message if there is not None else None
            if there is not None and isinstance(old, wire.Heartbeat) and old.jumps == message.jumps:
                there.frame, there.message = frame, message
                return
            self._beats[frame.session] = there = Waiting(frame, message)
        else:
            there = Waiting(frame, message)
            if message is None:
                self._beats.pop(frame.session, None)  # another session of that number
        self._queue.append(there)
