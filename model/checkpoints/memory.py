"""Memory that nobody uses any more, back to the machine: after a load, or one that failed.

Tensors are freed with the last name they have; the C library then keeps their room for the next ones, which
may be gigabytes of a checkpoint that was refused.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_OWN_ROOM = 256 * 1024  # bytes from which on a block has a room of its own while a model is loaded
_AFTERWARDS = 16 * 1024 * 1024  # and then, about where the C library arrives by itself in a process like this


def give_back() -> None:
    """Let the C library return what is free, where it has a call for that (glibc). Some milliseconds."""
    gc.collect()
    if (trim := _call("malloc_trim")) is not None:
        trim(ctypes.c_size_t(0))


@contextmanager
def lean_heap() -> Iterator[None]:
    """While a large model is loaded, every tensor has a room of its own, which is the machine's again at once
    when the tensor goes: else a tenth of what such a process holds would be holes (glibc; elsewhere nothing).
    """
    tune = _call("mallopt")
    if tune is not None:
        tune(_MMAP_THRESHOLD, _OWN_ROOM)
    try:
        yield
    finally:
        if tune is not None:
            tune(_MMAP_THRESHOLD, _AFTERWARDS)
            tune(_TRIM_THRESHOLD, 2 * _AFTERWARDS)


def _call(name: str) -> Any:
    """A call of the C library, or None: another system, another library."""
    if sys.platform != "linux":
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
