"""One sound file being recorded: its header is true after every write, its lock tells that it is under way.

Thread: the recorder's, never audio. The system lets go of the lock when the process ends, however it does.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from descant.host.takes import FLOAT_BYTES, HEADER_BYTES, MAX_DATA_BYTES, wav_header

if sys.platform != "win32":
    import fcntl

Wave = npt.NDArray[np.float32]


class TakeWriter:
    """One file being recorded. path: of it. full: nothing more fits into it, or onto the disk."""

    def __init__(self, path: Path, rate: int, channels: int) -> None:
        self.path, self.rate, self.channels = path, rate, channels
        self.n_samples = 0
        self.full = ""
        self._file = _made(path, wav_header(rate, channels, 0))

    @property
    def seconds(self) -> float:
        return self.n_samples / self.rate

    def write(self, wave: Wave) -> bool:
        """Append [C, n]; the header says so before this returns. False when it did not fit: what was there
        stays.
        """
        if self.full:
            return False
        data = np.ascontiguousarray(wave.T, "<f4").tobytes()
        before = HEADER_BYTES + self.n_samples * self.channels * FLOAT_BYTES
        if before + len(data) > MAX_DATA_BYTES:
            self.full = "a WAV file holds no more"
            return False
        try:
            self._put(before, data)
            self.n_samples += wave.shape[1]
            self._put(0, wav_header(self.rate, self.channels, before - HEADER_BYTES + len(data)))
        except OSError as error:
            self.full = (error.strerror or str(error)).lower()
            with suppress(OSError):
                self._file.truncate(before)
            return False
        return True

    def close(self) -> None:
        """Harmless when repeated."""
        if not self._file.closed:
            with suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()

    def _put(self, at: int, data: bytes) -> None:
        self._file.seek(at)
        done = 0
        while done < len(data):
            done += self._file.write(data[done:])


def is_recorded(path: Path) -> bool:
    """Whether a process that lives records this file just now."""
    if sys.platform == "win32":
        return False  # nothing is recorded live there yet
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _made(path: Path, header: bytes) -> IO[bytes]:
    """The new file, with its header and its lock from the first moment it can be found."""
    part = path.with_name(f".{path.name[:80]}.{os.getpid()}.part")
    file = part.open("xb", buffering=0)
    try:
        if sys.platform != "win32":
            with suppress(OSError):  # a file system without locks: it is recorded all the same
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.write(header)
        _named(part, path)
    except BaseException:
        file.close()
        raise
    finally:
        part.unlink(missing_ok=True)
    return file


def _named(part: Path, path: Path) -> None:
    """Give the file its name; FileExistsError where that is somebody else's."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(17, "it is there already", str(path)) from None
        part.rename(path)
