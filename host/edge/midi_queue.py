"""What controllers have said and nobody has played yet: in order, bounded, no note's end lost.

A flood that nobody can play costs events, which are counted, and never a note that sounds for ever. Knows
nothing about ports.
"""

from __future__ import annotations

from collections import deque

from descant.host.midi_words import Midi
from descant.host.trigger import ALL_NOTES_OFF, ALL_SOUND_OFF

QUEUED = 65536  # messages: several seconds of the fastest controllers
Came = tuple[float, str, Midi]  # seconds of the monotonic clock, port, message
_Key = tuple[str, int, int]  # port, channel, note or one of these
_WHOLE = {ALL_NOTES_OFF: 128, ALL_SOUND_OFF: 129}  # controllers that end all notes of a channel


class MidiQueue:
    """Thread: the owner's.

    room: messages. Ends find room beyond it, one of each note after the last message that could begin it
    anew; so there are never more than twice as many, and 2,064 a port. lost: messages for which
    there was no room.
    """

    def __init__(self, room: int = QUEUED) -> None:
        self.lost = 0
        self._room = room
        self._queue: deque[Came] = deque()
        self._late: set[_Key] = set()  # ends that are queued beyond the room

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, seconds: float, port: str, midi: Midi) -> None:
        ended = _ended(port, midi)
        if len(self._queue) < self._room:
            if midi.kind == "note_on":
                for key in (midi.number, *_WHOLE.values()):
                    self._late.discard((port, midi.channel, key))
            self._queue.append((seconds, port, midi))
        elif ended is None:
            self.lost += 1
        elif ended not in self._late:
            self._late.add(ended)
            self._queue.append((seconds, port, midi))

    def take(self, most: int) -> list[Came]:
        """The oldest, at most so many, in order."""
        taken = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        if self._late:
            self._late.difference_update(_ended(port, midi) for _, port, midi in taken)
        return taken


def _ended(port: str, midi: Midi) -> _Key | None:
    """What a message ends; None for one that ends nothing."""
    if midi.kind == "note_off":
        return port, midi.channel, midi.number
    if midi.kind == "control" and midi.number in _WHOLE:
        return port, midi.channel, _WHOLE[midi.number]
    return None
