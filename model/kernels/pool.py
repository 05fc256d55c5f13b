"""The native library's threads: one pool for all models of a process, which take turns on it.

Two pools would be in each other's way: threads that wait for their own model keep a core from the other's.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref

import torch

from descant.model.errors import ModelError

THREADS_VARIABLE = "DESCANT_THREADS"
_MOST_THREADS = 64


class Pool:
    """handle: of the library. lock: whoever holds it may run a job; one runs at a time."""

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        library.descant_pool_new.restype = ctypes.c_void_p
        library.descant_pool_new.argtypes = [ctypes.c_int32]
        library.descant_pool_free.restype = None
        library.descant_pool_free.argtypes = [ctypes.c_void_p]
        library.descant_pool_threads.restype = ctypes.c_int32
        library.descant_pool_threads.argtypes = [ctypes.c_void_p]
        self.handle = library.descant_pool_new(threads)
        if not self.handle:
            raise ModelError(
                f"There is no memory for {threads} threads.",
                "Nothing was loaded.",
                "Close other programmes, or choose fewer threads.",
            )
        self.lock = threading.RLock()  # the garbage collector may free in the middle of anything
        self.threads = int(library.descant_pool_threads(self.handle))
        weakref.finalize(self, library.descant_pool_free, self.handle)


_pools: weakref.WeakValueDictionary[tuple[int, int], Pool] = weakref.WeakValueDictionary()
_making = threading.Lock()


def shared_pool(library: ctypes.CDLL, threads: int | None = None) -> Pool:
    """The pool of so many threads, the caller's included; fewer if the system gives no more.

    threads: None: $DESCANT_THREADS, else torch's number. Raises ModelError.
    """
    wanted = threads if threads is not None else _default_threads()
    key = int(library._handle), min(max(1, wanted), _MOST_THREADS)
    with _making:
        pool = _pools.get(key)
        if pool is None:
            pool = _pools[key] = Pool(library, key[1])
        return pool


def release(library_function: object, address: int, pool: Pool) -> None:
    """Free a model of the library, when no other runs; the pool lives at least as long."""
    with pool.lock:
        library_function(address)  # type: ignore[operator]


def _default_threads() -> int:
    named = os.environ.get(THREADS_VARIABLE, "")
    if not named:
        return torch.get_num_threads()
    if not named.isdecimal() or not 1 <= int(named) <= _MOST_THREADS:
        raise ModelError(
            f"{THREADS_VARIABLE} is {named!r}; allowed: 1 to {_MOST_THREADS}.",
            "Nothing was loaded.",
            "Set it to the number of cores that music may use, or leave it out.",
        )
    return int(named)
