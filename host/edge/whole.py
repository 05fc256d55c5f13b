"""Files that are written appear whole or not at all, and never in the place of anything but a regular file.

Knows nothing about what is in them.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from descant.host.errors import HostError

_ROOM = "Name a file in a folder that exists, that you may write to and that has room."


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Thread: any but audio. `whole_files` for one file."""
    with whole_files([path]) as (part,):
        yield part


@contextmanager
def whole_files(paths: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    """Thread: any but audio. Give temporary paths to write to, each beside the file that one of `paths`
    names; they take those files' places together when the block ends well and are removed when it does not.
    A symbolic link stays: what it points to is replaced.

    Raises HostError in place of any OSError of the block, and before it when one of `paths` is anything but
    a regular file or a free name.
    """
    targets = []
    for path in paths:
        try:
            targets.append(_target(path))
        except OSError as error:
            raise unwritable(path, error) from error
    parts = tuple(_beside(target) for target in targets)
    done: list[Path] = []
    try:
        yield parts
        for part in parts:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        for path, part, target in zip(paths, parts, targets, strict=True):
            os.replace(part, target)
            done.append(path)
    except OSError as error:
        raise _unwritten(paths, done, error) from error
    finally:
        for part in parts:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _unwritten(paths: Sequence[Path], done: Sequence[Path], error: OSError) -> HostError:
    """The three lines for files of which only those `done` have been written."""
    if len(paths) == 1:
        return unwritable(paths[0], error)
    left = [path for path in paths if path not in done]
    still = "Nothing was written; files of those names are as they were before."
    if done:
        were = "was" if len(done) == 1 else "were"
        still = f"{_listed(done)} {were} written; a file of another of those names is as it was before."
    return HostError(f"{_listed(left)} cannot be written: {reason(error)}.", still, _ROOM)


def _listed(paths: Sequence[Path]) -> str:
    """The names in a sentence, their folder said once where it is the same."""
    folder = paths[0].parent
    together = len(paths) > 1 and all(path.parent == folder for path in paths)
    names = [path.name if together else str(path) for path in paths]
    words = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{words} in {folder}" if together else words


def check_writable(path: Path) -> None:
    """Thread: any but audio. Raise HostError unless a file can be made at `path`, or the regular file there
    replaced, before minutes of work go into it."""
    check_name(path)
    try:
        target = _target(path)
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(13, "it is write-protected")
        probe = _beside(target)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise unwritable(path, error) from error


def check_name(path: Path) -> None:
    """Raise HostError for a name of bytes that are no text, which nothing could say or show."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise HostError(
            f"The name {str(path)!a} is no text: it holds bytes that are not UTF-8.",
            "Nothing was changed and nothing was written.",
            "Name another file, or set the terminal to UTF-8.",
        ) from None


def _target(path: Path) -> Path:
    """The file that writing to `path` makes or replaces: links are followed. OSError where that is no
    regular file, or its folder is not there."""
    target = Path(os.path.realpath(path))
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        if not target.parent.exists():
            raise FileNotFoundError(2, f"there is no folder {target.parent}") from None
        return target
    if not stat.S_ISREG(mode):
        raise OSError(22, f"it is {_kind(mode)}, not a regular file")
    return target


def _kind(mode: int) -> str:
    for holds, name in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if holds(mode):
            return name
    return "something else"


def _beside(target: Path) -> Path:
    """A new name in the folder of `target`, never longer than the system allows where that of `target`
    is not."""
    return target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.part")


def unwritable(path: Path, error: OSError) -> HostError:
    """The three lines for a file that cannot be written."""
    return HostError(
        f"{path} cannot be written: {reason(error)}.",
        "Nothing was written; a file of that name is as it was before.",
        _ROOM,
    )


def reason(error: BaseException) -> str:
    """Why, in the system's own words, to go on with inside a sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)[:1].lower() + str(text)[1:].rstrip(".")
