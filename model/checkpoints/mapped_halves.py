"""Matrices in half precision in a file of the cache folder instead of in memory: mapped, and let go of.

For what is needed now and then, such as a text encoder: while nobody asks, its room is the machine's. A file
is a head (mark, size and CRC-32 of what follows) and the matrices, each at a multiple of 64 bytes. It is
written whole or not at all and never changed; one that is damaged is written anew, and where none can be
written the caller keeps its matrices in memory.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import disk_usage

import torch
from torch import Tensor

from descant.model.checkpoints import packed_file

_HEAD = struct.Struct("<8sQL")
_MARK = b"DESCANTH"
_ALIGNED = 64  # bytes
_STEP = 1 << 22  # bytes looked through at a time: while a file is checked, no more than that is in memory
Shapes = Mapping[str, tuple[int, ...]]


class MappedHalves:
    """tensors: by name, float16, views of the file."""

    def __init__(self, memory: mmap.mmap, shapes: Shapes) -> None:
        self._memory = memory
        starts = _starts(shapes)[0]
        self.tensors = {
            name: torch.frombuffer(
                memory, dtype=torch.float16, count=math.prod(shape), offset=starts[name]
            ).view(shape)
            for name, shape in shapes.items()
        }

    def let_go(self) -> None:
        """Thread: whoever reads. What has been read is no longer this process's memory; it is read again,
        most often from the machine's own cache of files, when it is asked for. Nothing where the system has
        no call for that (Windows), which takes such room back by itself.
        """
        if hasattr(mmap, "MADV_DONTNEED"):
            self._memory.madvise(mmap.MADV_DONTNEED)


def key_of(shapes: Shapes, digest: str) -> str:
    """Changes with names, shapes and the digest of the files that the matrices are read from."""
    return hashlib.sha256(repr((sorted(shapes.items()), digest)).encode()).hexdigest()[:32]


def mapped(
    shapes: Shapes, read: Callable[[str], Tensor], key: str, folder: Path | None = None
) -> MappedHalves | None:
    """Thread: whoever loads. The matrices of a key, written first where no file is whole.

    read: gives one by its name, floating point. folder: None: the cache's. Result None: they are few, or one
    is beyond what half precision holds, or the file cannot be written or mapped. Raises what `read` raises.
    """
    path = packed_file.place(key, folder)
    found = _opened(path, shapes)
    if found is None and _written(path, shapes, read):
        found = _opened(path, shapes)
    return found


def _starts(shapes: Shapes) -> tuple[dict[str, int], int]:
    """Where each matrix begins, and the length of the file."""
    starts, at = {}, _ALIGNED
    for name, shape in shapes.items():
        starts[name] = at
        at += -(-2 * math.prod(shape) // _ALIGNED) * _ALIGNED
    return starts, at


def _opened(path: Path, shapes: Shapes) -> MappedHalves | None:
    """A file that is whole; it stays among the newest."""
    total = _starts(shapes)[1]
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != total:
                return None
            memory = mmap.mmap(file.fileno(), total, access=mmap.ACCESS_COPY)  # nobody writes; torch wants to
        mark, length, check = _HEAD.unpack(memory[: _HEAD.size])
        if (mark, length) != (_MARK, total - _ALIGNED):
            return None
        halves = MappedHalves(memory, shapes)
        found = 0
        for at in range(_ALIGNED, total, _STEP):
            found = zlib.crc32(memory[at : at + _STEP], found)
            halves.let_go()
        if found != check:
            return None
        os.utime(path)
        return halves
    except (OSError, ValueError):
        return None


def _written(path: Path, shapes: Shapes, read: Callable[[str], Tensor]) -> bool:
    """Keep matrices, one at a time in memory; whether they are kept."""
    total = _starts(shapes)[1]
    if total < packed_file.SMALLEST:
        return False
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if disk_usage(path.parent).free < packed_file.ROOM * total:
            return False
        check = 0
        with scratch.open("xb") as file:
            file.write(bytes(_ALIGNED))
            for name in shapes:
                half = read(name).to(torch.float16).contiguous()
                if not bool(torch.isfinite(half).all()):
                    return False
                data = half.numpy().tobytes()
                data += bytes(-len(data) % _ALIGNED)
                check = zlib.crc32(data, check)
                file.write(data)
            file.seek(0)
            file.write(_HEAD.pack(_MARK, total - _ALIGNED, check))
        os.replace(scratch, path)
        packed_file.tidy(path.parent)
        return True
    except OSError:
        return False
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
