"""Held keys as chords over time: every note counts for at least one frame, however briefly it was pressed.

Knows nothing about sessions or models. Positions are samples at the client's rate.
"""

from __future__ import annotations

MAX_NOTES = 512  # notes remembered that may still matter


class HeldNotes:
    """Notes as stretches [on, off) of samples; off is None while the key is down."""

    def __init__(self) -> None:
        self._notes: list[list[int | None]] = []  # [key, on, off]

    def moved(
        self, key: int, down: bool, at: int, shortest: int, changeable: int
    ) -> list[tuple[int, tuple[int, ...]]]:
        """A key goes down or up at a sample.

        shortest: samples a note lasts at least. changeable: nothing before it can change any more.
        Result: (sample, pitch classes held from there on), ascending, for all that lies at or after
        `changeable`.
        """
        for note in self._notes:
            if note[0] == key and note[2] is None:
                note[2] = max(at, _whole(note[1]) + shortest)
        if down:
            self._notes.append([key, at, None])
        return self._from(at, changeable)

    def _from(self, at: int, changeable: int) -> list[tuple[int, tuple[int, ...]]]:
        """The chords from a sample on, where they change."""
        self._notes = [note for note in self._notes if note[2] is None or note[2] >= changeable][-MAX_NOTES:]
        edges = {edge for note in self._notes for edge in note[1:] if edge is not None and edge >= changeable}
        return [(edge, self.chord(edge)) for edge in sorted(edges | {at})]

    def let_go(self, at: int, shortest: int, changeable: int) -> list[tuple[int, tuple[int, ...]]]:
        """Every key comes up at a sample; otherwise as `moved`."""
        for note in self._notes:
            if note[2] is None:
                note[2] = max(at, _whole(note[1]) + shortest)
        return self._from(at, changeable)

    def moved_to(self, at: int) -> None:
        """The client goes on at a sample: what is held is held there, what was let go is over."""
        self._notes = [[key, min(_whole(on), at), None] for key, on, off in self._notes if off is None]

    def chord(self, at: int) -> tuple[int, ...]:
        """The pitch classes held at a sample, ascending, 0 is C."""
        held = {
            _whole(key) % 12 for key, on, off in self._notes if _whole(on) <= at and (off is None or at < off)
        }
        return tuple(sorted(held))


def _whole(value: int | None) -> int:
    assert value is not None
    return value
