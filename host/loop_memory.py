"""Where loops keep their sound: memory in pages, layers that share them, and a ring of the past.

All memory is there before the first note. A layer is one version of a loop; a copy of it shares every page
until one of the two is written to, so fifty levels of undo cost what was changed and no more. Knows nothing
about time or bars.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from descant.host.events import Wave

PAGE = 4096  # samples in a page
NO_PAGE = -1


class PagePool:
    """Pages of [C, PAGE] float32, each held by any number of layers.

    memory: [n_pages, C, PAGE], zeroed or not; another process may look at it. reclaim: asked for pages when
    none is left; gives some back and says True, or says False.
    """

    def __init__(self, memory: Wave) -> None:
        n_pages = int(memory.shape[0])
        self.memory = memory
        self.reclaim: Callable[[], bool] = lambda: False
        self._holders = np.zeros(n_pages, np.int32)
        self._free: NDArray[np.int32] = np.arange(n_pages - 1, -1, -1, dtype=np.int32)
        self._n_free: int = n_pages

    @property
    def free(self) -> int:
        """Pages nobody holds."""
        return self._n_free

    def take(self) -> int:
        """A page, held once and holding anything; NO_PAGE when there is none."""
        while self._n_free == 0:
            if not self.reclaim():
                return NO_PAGE
        self._n_free -= 1
        page = int(self._free[self._n_free])
        self._holders[page] = 1
        return page

    def hold(self, page: int) -> None:
        """One more holder. A page that nobody held leaves the free ones: for layers read back."""
        if self._holders[page] == 0:
            at = int(np.flatnonzero(self._free[: self._n_free] == page)[0])
            self._n_free -= 1
            self._free[at] = self._free[self._n_free]
        self._holders[page] += 1

    def drop(self, page: int) -> None:
        """One holder less; the last one frees it."""
        self._holders[page] -= 1
        if self._holders[page] == 0:
            self._free[self._n_free] = page
            self._n_free += 1

    def shared(self, page: int) -> bool:
        """Whether more than one layer holds it."""
        return bool(self._holders[page] > 1)


class Layer:
    """One version of a loop's sound: whole pages, and one more for the sound just before its start.

    length: samples a cycle lasts, exact; 0 is an empty layer. It stores ceil(length). anchor: where, in
    samples, a cycle starts exactly. lead-in: the samples that were heard before the start, the last of them
    just before sample 0: what a cycle's end goes over into, so that the seam is what the source was there.
    """

    def __init__(self, pool: PagePool, n_samples: int) -> None:
        self._pool = pool
        self.pages: NDArray[np.int32] = np.full(1 + -(-n_samples // PAGE), NO_PAGE, np.int32)
        self.length = Fraction(0)
        self.anchor = Fraction(0)
        self.reversed = False
        self.half = False

    @property
    def room(self) -> int:
        """Samples it can store."""
        return (len(self.pages) - 1) * PAGE

    @property
    def empty(self) -> bool:
        return self.length == 0

    def clear(self) -> None:
        """Let every page go."""
        for page in self.pages[self.pages != NO_PAGE].tolist():
            self._pool.drop(page)
        self.pages[:] = NO_PAGE
        self.length = self.anchor = Fraction(0)
        self.reversed = self.half = False

    def take(self, pages: list[int], length: Fraction, anchor: Fraction, backwards: bool, half: bool) -> None:
        """Become what a layer on the same memory was."""
        self.clear()
        self.pages[: len(pages)] = pages
        for page in pages:
            if page != NO_PAGE:
                self._pool.hold(page)
        self.length, self.anchor = length, anchor
        self.reversed, self.half = backwards, half

    def copy_from(self, other: Layer) -> None:
        """Become the same sound, sharing its pages."""
        self.clear()
        self.pages[:] = other.pages
        for page in self.pages[self.pages != NO_PAGE].tolist():
            self._pool.hold(page)
        self.length, self.anchor = other.length, other.anchor
        self.reversed, self.half = other.reversed, other.half

    def read(self, at: int, out: Wave, lead_in: bool = False) -> None:
        """Fill out [C, n] from sample `at`, of the lead-in or of the loop; silence where nothing was
        stored.
        """
        done, n = 0, out.shape[1]
        while done < n:
            slot, offset = (0, at + done) if lead_in else (1 + (at + done) // PAGE, (at + done) % PAGE)
            length = min(n - done, PAGE - offset)
            page = self.pages[slot] if slot < len(self.pages) else NO_PAGE
            if page == NO_PAGE:
                out[:, done : done + length] = 0.0
            else:
                out[:, done : done + length] = self._pool.memory[page, :, offset : offset + length]
            done += length

    def write(self, at: int, wave: Wave, keep: Wave | float = 0.0, lead_in: bool = False) -> bool:
        """Store kept + wave [C, n] from sample `at`, where kept is what was there times `keep` ([n] or a
        number). False when no page was left: what was stored before stays.
        """
        done, n = 0, wave.shape[1]
        while done < n:
            slot, offset = (0, at + done) if lead_in else (1 + (at + done) // PAGE, (at + done) % PAGE)
            length = min(n - done, PAGE - offset)
            page = self._own(slot)
            if page == NO_PAGE:
                return False
            stored = self._pool.memory[page, :, offset : offset + length]
            stored *= keep if isinstance(keep, float) else keep[done : done + length]
            stored += wave[:, done : done + length]
            done += length
        return True

    def _own(self, slot: int) -> int:
        """The page in a slot, made this layer's own first."""
        if slot >= len(self.pages):
            return NO_PAGE
        old = int(self.pages[slot])
        if old != NO_PAGE and not self._pool.shared(old):
            return old
        page = self._pool.take()
        if page == NO_PAGE:
            return NO_PAGE
        if old == NO_PAGE:
            self._pool.memory[page] = 0.0
        else:
            self._pool.memory[page] = self._pool.memory[old]
            self._pool.drop(old)
        self.pages[slot] = page
        return page


class History:
    """The last n_samples of a stream [C, T], by absolute position; silence for what it never had or no
    longer has.
    """

    def __init__(self, channels: int, n_samples: int) -> None:
        self._ring: Wave = np.zeros((channels, n_samples), np.float32)
        self._size = n_samples
        self.start = 0  # the first position it ever had
        self.end = 0  # the first position it does not have yet

    @property
    def oldest(self) -> int:
        """The first position it still has."""
        return max(self.start, self.end - self._size)

    def push(self, at: int, wave: Wave) -> None:
        """Append [C, n] at its position; a gap before it is silence, a step back begins anew."""
        n = wave.shape[1]
        if at < self.end or at - self.end > self._size or self.end == self.start:
            self._ring[:] = 0.0
            self.start = self.end = at
        if at > self.end:
            for place, length in self._spans(self.end, at - self.end):
                self._ring[:, place : place + length] = 0.0
        done = max(0, n - self._size)
        for place, length in self._spans(at + done, n - done):
            self._ring[:, place : place + length] = wave[:, done : done + length]
            done += length
        self.end = at + n

    def read(self, at: int, out: Wave) -> None:
        """Fill out [C, n] from position `at` on."""
        n = out.shape[1]
        first, last = max(at, self.oldest), min(at + n, self.end)
        if last <= first:
            out[:] = 0.0
            return
        out[:, : first - at] = 0.0
        out[:, last - at :] = 0.0
        done = first - at
        for place, length in self._spans(first, last - first):
            out[:, done : done + length] = self._ring[:, place : place + length]
            done += length

    def _spans(self, position: int, n: int) -> tuple[tuple[int, int], ...]:
        """Places of n positions in the ring: one stretch, or two where it wraps."""
        place = position % self._size
        first = min(n, self._size - place)
        return ((place, first),) if first == n else ((place, first), (0, n - first))
