"""What holds from which frame on: the history and future of one setting of a stream.

Knows nothing about what the values mean.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Timeline(Generic[T]):
    """Values, each from a frame on until the next. The first holds for all frames before it too."""

    def __init__(self, entries: Iterable[tuple[int, T]]) -> None:
        self._frames: list[int] = []
        self._values: list[T] = []
        for frame, value in entries:
            self._frames.append(frame)
            self._values.append(value)
        assert self._frames == sorted(self._frames) and self._frames

    @property
    def entries(self) -> tuple[tuple[int, T], ...]:
        """(first frame, value), ascending."""
        return tuple(zip(self._frames, self._values))

    def at(self, frame: int) -> T:
        """The value that holds at the frame."""
        return self._values[max(0, bisect_right(self._frames, frame) - 1)]

    def set(self, frame: int, value: T) -> None:
        """From `frame` on, for ever: this value. What was to come from there on is dropped."""
        while self._frames and self._frames[-1] >= frame:
            self._frames.pop()
            self._values.pop()
        self._frames.append(frame)
        self._values.append(value)

    def forget_before(self, frame: int) -> None:
        """Drop what no longer matters at `frame` and after."""
        unused = max(0, bisect_right(self._frames, frame) - 1)
        del self._frames[:unused]
        del self._values[:unused]
