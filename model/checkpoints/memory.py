"""Memory that nobody uses any more, back to the machine: after a load, or one that failed.

Tensors are freed with the last name they have; the C library then keeps their room for the next ones, which
may be gigabytes of a checkpoint that was refused.
"""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Let the C library return what is free, where it has a call for that (glibc). Some milliseconds."""
    gc.collect()
    if sys.platform != "linux":
        return
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library
        return
    trim(ctypes.c_size_t(0))
