"""Temporary folders of running processes, and the end of those whose process was killed before it tidied up.

A folder is its owner's for as long as the owner holds a lock in it. The system lets go of a lock when its
process ends, however that ends; so a folder whose lock is free is nobody's, whatever numbers processes have.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "descant-"
_LOCK = ".owner"


class Scratch:
    """A folder of one's own (mode 0700) among the system's temporary ones, until `remove`.

    Raises OSError where none can be made.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock: int | None = None
        if sys.platform != "win32":
            # locked before it has its name: nobody ever sees it free
            unnamed = self.path / secrets.token_hex(4)
            self._lock = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            _try_lock(self._lock)
            unnamed.rename(self.path / _LOCK)

    def remove(self) -> None:
        """The folder and all in it; harmless when repeated."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep() -> int:
    """Remove the folders whose owner has died; how many. Never raises: a folder that cannot be is left."""
    if sys.platform == "win32":
        return 0
    removed = 0
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if _try_lock(lock):
                    shutil.rmtree(path, ignore_errors=True)
                    removed += not path.exists()
            finally:
                os.close(lock)
    return removed


def _try_lock(file: int) -> bool:
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
