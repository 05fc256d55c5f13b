"""Facts about this machine and this build, for `descant doctor` and for every line of the benchmark log.

Knows nothing about models. Nothing here raises: a fact that cannot be had is "unknown".
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import msgspec

from descant.host.edge.settings import available_cores


class Machine(msgspec.Struct, frozen=True):
    """What a measurement was made on. load: the run queue's one-minute mean when it began; memory_gib: all
    of it."""

    processor: str
    cores: int
    system: str
    python: str
    torch: str
    isa: str
    memory_gib: float
    load: float


class Stamp(msgspec.Struct, frozen=True):
    """When a measurement was made, of which commit, on what."""

    when: str
    version: str
    commit: str
    machine: Machine


def stamp() -> Stamp:
    """Thread: any but audio. The stamp of a measurement made now."""
    return Stamp(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version_of("descant"),
        commit=commit(),
        machine=Machine(
            processor=processor(),
            cores=available_cores(),
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            torch=version_of("torch"),
            isa=isa(),
            memory_gib=memory_gib(),
            load=load(),
        ),
    )


def commit() -> str:
    """The commit this code was checked out at, with "+" when files differ from it; "unknown" outside a
    checkout."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return "unknown"
    try:
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def version_of(package: str) -> str:
    """The installed version of a package, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith(("model name", "Model", "Hardware")):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def isa() -> str:
    """The instruction set torch's kernels use here (imports torch)."""
    try:
        import torch

        return str(torch.backends.cpu.get_cpu_capability())
    except (ImportError, AttributeError):
        return "unknown"


def memory_gib() -> float:
    """Physical memory, 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0.0
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        return 0.0


def load() -> float:
    """How many processes wanted a core in the last minute, 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0.0
    return round(os.getloadavg()[0], 2)


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        capture_output=True,
        text=True,
        timeout=5,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.strip()
