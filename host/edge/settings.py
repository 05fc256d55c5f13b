"""What an engine process is started with, where the host listens, and the times that decide who is alive.

Knows nothing about torch: thread counts must be in the environment before torch is first imported, so they
are written here and read by a child process that has not imported it yet.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import platformdirs

APP = "descant"
REAL_TIME = 5  # below what audio servers use

_PASSIVE = {
    # A waiting OpenMP thread that spins turns a 20 ms step into seconds when another torch process runs
    # beside it.
    "OMP_WAIT_POLICY": "PASSIVE",
    "KMP_BLOCKTIME": "0",
    "GOMP_SPINCOUNT": "0",
    "OMP_DYNAMIC": "FALSE",
    # Tokenizers start a thread pool of their own, which we never need for one prompt.
    "TOKENIZERS_PARALLELISM": "false",
}


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an engine process needs to know, handed over whole.

    model: name, folder or file that `models.load_named` accepts. threads: torch threads, 1..64.
    presets: folders of *.toml read after the shipped ones.
    """

    model: str = "embedded"
    threads: int = 1
    presets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Timings:
    """Seconds that decide liveness; frozen, handed over whole.

    beat: period of heartbeats to clients, and of the engine's stamps. misses: stamps that may be missing
    before the clients are told. hung: silence of a started engine after which it is killed and replaced.
    starting: longest time from process start to a loaded model. silent: silence of a bridge that frees its
    session. backoff: waits before restart 1, 2, 3, ...; the last one repeats. settled: an engine that lived
    this long after its start makes the next restart count as the first.
    """

    beat: float = 0.050
    misses: int = 3
    hung: float = 1.5
    starting: float = 60.0
    silent: float = 3.0
    backoff: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 5.0)
    settled: float = 20.0

    @property
    def stale(self) -> float:
        """Age of the engine's last stamp, in seconds, from which on it counts as late."""
        return self.beat * self.misses

    def wait_before(self, restart: int) -> float:
        """Seconds to wait before the restart-th restart in a row (1 is the first)."""
        return self.backoff[min(restart, len(self.backoff)) - 1]


def default_threads(cores: int | None = None) -> int:
    """Torch threads that leave at least a core to the DAW: one, unless there are more than four cores."""
    n = cores if cores is not None else available_cores()
    return 1 if n <= 4 else min(4, n // 2)


def available_cores() -> int:
    """Cores this process may run on (not those of the whole machine, where the system tells)."""
    if sys.platform == "linux":
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def thread_environment(threads: int, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """A copy of `base` (the current environment) with thread counts and passive waiting set for a torch
    process."""
    environment = dict(os.environ if base is None else base)
    environment.update(_PASSIVE)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        environment[name] = str(threads)
    return environment


def apply_threads(threads: int) -> None:
    """Thread: main, before anything runs. Set this process up for torch work with `threads` threads.

    For one-shot commands (render, bench) that run the model in their own process.
    """
    os.environ.update(thread_environment(threads))
    import torch

    torch.set_num_threads(threads)


def ask_for_priority() -> bool:
    """Thread: main of the host and of its engine. Go before ordinary programs where the system allows it (it
    mostly needs a setting for audio users); False, and nothing lost, where it does not."""
    if sys.platform == "win32":
        return False
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except OSError:
        return False
    return True


def ask_for_real_time() -> bool:
    """Thread: one that answers a performer and sleeps in between. Have it woken before everything but
    audio where the system allows it, else before ordinary programs; its children are ordinary. False where
    neither is allowed."""
    if sys.platform == "linux":
        with suppress(OSError):  # it mostly needs a setting for audio users
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(REAL_TIME))
            return True
    return ask_for_priority()


def default_endpoint() -> str:
    """Where a host listens when nothing else is said: a socket in the user's runtime folder, or loopback TCP
    on Windows, which has no ipc."""
    if sys.platform == "win32":
        return "tcp://127.0.0.1:47474"
    with warnings.catch_warnings():  # that XDG_RUNTIME_DIR is missing is nothing to tell anybody
        warnings.simplefilter("ignore")
        folder = Path(platformdirs.user_runtime_dir(APP))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except OSError:
        usable = False
    if not usable:  # no session manager made /run/user/N: a private folder beside other temporary files
        folder = Path(tempfile.gettempdir()) / f"{APP}-{os.getuid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user")
    return f"ipc://{folder / 'host'}"


def stage_endpoint() -> str:
    """Where the stage of this user is, beside the host's default place."""
    return f"{default_endpoint().removesuffix('host')}stage"


def user_presets() -> Path:
    """The folder where a user keeps presets of their own."""
    return Path(platformdirs.user_config_dir(APP)) / "presets"


def bench_log() -> Path:
    """The file `descant bench` appends to when no other is named."""
    return Path(platformdirs.user_data_dir(APP)) / "bench" / "log.jsonl"


def takes_folder() -> Path:
    """Where takes of what was played live are kept."""
    return Path(platformdirs.user_data_dir(APP)) / "takes"
