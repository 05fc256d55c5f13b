"""The remembered keys and values of one stream: a preallocated ring that can be turned back.

Knows nothing about weights or tokens. With a finite context every entry is written twice, `capacity` slots
apart, so that any window of up to `context` entries that ends at the newest one is one contiguous slice: no
mask, no gather, and entries left stale by a rewind are never in a slice.

    slots          0 ........ capacity-1 | capacity ........ 2*capacity-1
    position p     p % capacity           p % capacity + capacity     (both hold the same)
    window of p    ends at p % capacity + capacity, may begin in the lower half (the end of the lap before)
"""

from __future__ import annotations

import contextlib
import math
import mmap
from dataclasses import dataclass

import torch
from torch import Tensor

from descant.model.errors import ModelError

_HUGE_PAGE = 2 << 20  # bytes


@dataclass(frozen=True, eq=False)
class Window:
    """Views of the ring for one column, a layer each, all made at once: a view costs as much as a product.

    places: [B, 2, H, head_dim], where the column's own keys and values go. keys: [B * H, head_dim, n] and
    values: [B * H, n, head_dim], what its query sees, that place included as the last.
    """

    places: tuple[Tensor, ...]
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


class Ring:
    """Which positions are remembered, and where: the arithmetic of a ring that can be turned back.

    capacity: positions remembered. context: positions a query may see, None: all (then position must stay
    below capacity). After n positions have been written, rewinds are exact back to position n - (capacity -
    context + 1).
    """

    def __init__(self, capacity: int, context: int | None) -> None:
        if capacity < 1 or (context is not None and capacity < context):
            raise ModelError(
                f"A cache of {capacity} columns is too small; allowed: at least {context or 1}.",
                "The model is unchanged.",
                "Ask for a capacity of context + the columns to rewind.",
            )
        self.capacity = capacity
        self.context = context
        self.position = 0  # of the next column
        self.first = 0  # of the oldest column this stream ever saw
        self.high = 0  # one past the newest position ever written: older slots have been overwritten by it

    @property
    def earliest(self) -> int:
        """The lowest position to which a rewind is exact."""
        if self.context is None:
            return self.first
        return max(self.first, self.high - (self.capacity - self.context + 1))

    def room_for(self, n: int) -> int:
        """The next position, if n fit from there; without a finite context only. ModelError."""
        assert self.context is None
        if self.position + n > self.capacity:
            raise ModelError(
                f"The stream is at column {self.position}; its cache holds {self.capacity} columns.",
                "Everything up to here is valid.",
                "Start a new stream from the last tokens, or use a model with a finite context.",
            )
        return self.position

    def advance(self, n: int) -> None:
        """The next n positions are written in all layers."""
        self.position += n
        self.high = max(self.high, self.position)

    def rewind(self, columns: int) -> None:
        """Go back that far. Raises ModelError if the ring does not remember the columns needed."""
        target = self.position - columns
        if columns < 0 or target < self.earliest:
            raise ModelError(
                f"Cannot rewind {columns} columns from column {self.position}: "
                f"the ring remembers back to column {self.earliest}.",
                "The stream is unchanged.",
                f"Rewind by 0 to {max(0, self.position - self.earliest)} columns, or make the ring larger.",
            )
        self.position = target

    def restart(self, position: int) -> None:
        """Forget everything; the next column is at `position`, which is the oldest the stream knows."""
        self.position = self.first = self.high = position


class KvCache(Ring):
    """Keys and values of all layers, [n_layers, 2, B, H, slots, head_dim] float32, zero at first."""

    def __init__(
        self, n_layers: int, batch: int, n_heads: int, head_dim: int, capacity: int, context: int | None
    ) -> None:
        super().__init__(capacity, context)
        slots = capacity if context is None else 2 * capacity
        self.entries = huge_zeros(n_layers, 2, batch, n_heads, slots, head_dim)
        self._places = self.entries.transpose(1, 2)
        heads = self.entries.view(n_layers, 2, batch * n_heads, slots, head_dim)
        self._keys, self._values = heads[:, 0].transpose(2, 3), heads[:, 1]
        self._slot = 0

    def begin(self) -> Window:
        """Choose the next column's place and window. Raises ModelError when the room is used up."""
        if self.context is None:
            self._slot = self.room_for(1)
            length = self.position - self.first + 1
        else:
            self._slot = self.position % self.capacity + self.capacity
            length = min(self.context, self.position - self.first + 1)
        low = self._slot - length + 1
        return Window(
            self._places.select(4, self._slot).unbind(),
            self._keys.narrow(3, low, length).unbind(),
            self._values.narrow(2, low, length).unbind(),
        )

    def end(self) -> None:
        """The column is complete in all layers: copy it to its second place and go on to the next."""
        if self.context is not None:
            self.entries.select(4, self._slot - self.capacity).copy_(self.entries.select(4, self._slot))
        self.advance(1)


def huge_zeros(*shape: int) -> Tensor:
    """Zeros, float32, in huge pages where the system has them.

    A step reads the whole window, megabytes: with pages of 4 kB a tenth of its time goes into finding them.
    """
    size = 4 * math.prod(shape)
    if size < _HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros(shape)
    memory = mmap.mmap(-1, size)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.float32).view(shape)  # keeps the memory as long as it lives
