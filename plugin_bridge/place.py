"""The place of an ipc endpoint in the file system: what a server may take over there, and what it must not.

ZeroMQ removes whatever has the name it binds, a song as well as a socket. Knows nothing about messages.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass

from descant.plugin_bridge.errors import Code, WireError

_PATIENCE = 0.5  # seconds for a listener to take a connection; on one machine it takes none


@dataclass(frozen=True)
class Place:
    """A socket that was bound at `path`, to be known again. about: its device and inode."""

    path: str
    about: tuple[int, int]

    @classmethod
    def of(cls, endpoint: str) -> Place | None:
        """The place of an ipc endpoint that has just been bound; None for others."""
        path = _path(endpoint)
        if path is None:
            return None
        try:
            found = os.lstat(path)
        except OSError:
            return None  # somebody has removed it already
        return cls(path, (found.st_dev, found.st_ino))

    def clear(self) -> None:
        """Remove the socket, which ZeroMQ leaves behind; whatever else has its name by now stays."""
        with suppress(OSError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == self.about:
                os.unlink(self.path)


def check_free(endpoint: str) -> None:
    """Raise WireError (ENDPOINT) unless nothing is at an ipc path but a socket that nobody listens at any
    more, as a killed server leaves it. Other endpoints pass: they refuse a second listener by themselves."""
    path = _path(endpoint)
    if path is None:
        return
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        return  # nothing there, or no place for a socket, which binding it says
    if not stat.S_ISSOCK(mode):
        raise WireError(
            Code.ENDPOINT,
            f"{endpoint} cannot be opened: {_kind(mode)} is there.",
            "Nothing was opened, and what is there is as it was.",
            "Name a path at which there is nothing yet.",
        )
    if _answers(path):
        raise WireError(
            Code.ENDPOINT,
            f"{endpoint} cannot be opened: a program listens there.",
            "That one goes on; nothing was opened.",
            "Stop it, or choose another address.",
        )


def listens(endpoint: str) -> bool:
    """Whether anybody listens at an ipc endpoint; False for other endpoints."""
    path = _path(endpoint)
    return path is not None and os.path.exists(path) and _answers(path)


def _path(endpoint: str) -> str | None:
    """Where an ipc endpoint has a file; abstract names, wildcards and other transports have none."""
    path = endpoint.removeprefix("ipc://")
    return None if path == endpoint or path.startswith(("@", "*")) or sys.platform == "win32" else path


def _answers(path: str) -> bool:
    """Whether anybody listens at a socket; one of another kind than ours is somebody's, too."""
    if sys.platform == "win32":
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PATIENCE)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True


def _kind(mode: int) -> str:
    for holds, name in (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a pipe"),
    ):
        if holds(mode):
            return name
    return "something that is no socket"
