"""What was packed once is not packed again: a native model's weights in a file of the cache folder.

A file is a head (mark, sizes and CRC-32 of two stretches) and the stretches as they lie in memory. What does
not fit, or was damaged, is packed anew; a folder that cannot be written or a disk that is nearly full costs
time at the next start and nothing else. The newest few files stay; small models are packed as quickly as they
are read.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from shutil import disk_usage

from descant.model.kernels.build import default_folder, load
from descant.model.kernels.native import NativeWeights
from descant.model.spec import LmSpec

KEPT = 8  # files, two a model
SMALLEST = 32_000_000  # bytes of weights that are worth a file
STALE_SECONDS = 3600  # after which a half-written file is nobody's any more
ROOM = 4  # a file is written where so many times its size is free
_HEAD = struct.Struct("<8s2Q2L")
_MARK = b"DESCANT1"


def key_of(spec: LmSpec, kernel: str, digest: str) -> str:
    """Changes with the shape, the kernel, the library (its source and machine) and the files' digest."""
    library = load().path
    told = (repr(spec), kernel, library.name if library else "", digest)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


def read(weights: NativeWeights, key: str, folder: Path | None = None) -> bool:
    """Thread: whoever loads. Fill weights from the file of that key; False: there is none, or it is damaged,
    and the weights are to be packed. folder: None: the cache's."""
    path, stretches = place(key, folder), weights.packed()
    sizes = [stretch.nbytes for stretch in stretches]
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size or os.fstat(file.fileno()).st_size != _HEAD.size + sum(sizes):
                return False
            mark, first, second, *checks = _HEAD.unpack(head)
            if mark != _MARK or [first, second] != sizes:
                return False
            for stretch, check in zip(stretches, checks, strict=True):
                at = 0
                while at < stretch.nbytes:
                    some = file.readinto(stretch[at:])
                    if not some:
                        return False
                    at += some
                if zlib.crc32(stretch) != check:
                    return False
            os.utime(path)  # the newest ones stay
            return True
    except OSError:
        return False


def write(weights: NativeWeights, key: str, folder: Path | None = None) -> bool:
    """Thread: whoever loads. Keep what was packed, whole or not at all; whether it is kept."""
    path, stretches = place(key, folder), weights.packed()
    if sum(stretch.nbytes for stretch in stretches) < SMALLEST:
        return False
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if disk_usage(path.parent).free < ROOM * sum(stretch.nbytes for stretch in stretches):
            return False
        head = _HEAD.pack(_MARK, *(s.nbytes for s in stretches), *(zlib.crc32(s) for s in stretches))
        with scratch.open("xb") as file:
            file.write(head)
            for stretch in stretches:
                file.write(stretch)
        os.replace(scratch, path)
        tidy(path.parent)
        return True
    except OSError:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        return False


def tidy(folder: Path) -> None:
    """Thread: whoever loads. Remove all but the newest files, and what killed processes left half-written."""
    found = sorted(folder.iterdir(), key=lambda one: -one.stat().st_mtime)
    whole = [path for path in found if path.suffix == ".packed"]
    oldest = found[0].stat().st_mtime - STALE_SECONDS  # the first has just been written
    broken = [path for path in found if path.suffix != ".packed" and path.stat().st_mtime < oldest]
    for path in (*whole[KEPT:], *broken):
        path.unlink(missing_ok=True)


def place(key: str, folder: Path | None) -> Path:
    """Where the file of a key lies or is to lie. folder: None: the cache's."""
    return (folder or default_folder() / "packed") / f"{key}.packed"
