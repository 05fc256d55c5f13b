"""The most memory that a process needs to load a model and to play it: measured in one of its own.

`python -m descant.host.edge.bench_memory MODEL KERNEL FRAMES` prints two numbers, bytes: after loading, and
after so many frames, files that are mapped counted as far as they are in memory.
"""

from __future__ import annotations

import subprocess
import sys

import msgspec

from descant.host.edge.settings import thread_environment
from descant.host.errors import HostError

PLAYED = 500  # frames: ten seconds, for what is remembered of the music grows with it


class Peak(msgspec.Struct, frozen=True):
    """Most bytes resident: while loading, and in all."""

    loading: int
    playing: int


def measure_memory(model: str, kernel: str, threads: int, frames: int = PLAYED) -> Peak:
    """Thread: main. Start a process, wait for it. Raises HostError with what it said if it fails."""
    command = [sys.executable, "-m", "descant.host.edge.bench_memory", model, kernel, str(frames)]
    done = subprocess.run(
        command,
        env=thread_environment(threads),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise HostError(
            f"Loading the model for the measure of memory failed ({said}).",
            "Nothing was measured.",
            "Free some memory, and try again.",
        )
    loading, playing = map(int, done.stdout.split())
    return Peak(loading, playing)


def most_resident() -> int:
    """Bytes, at most so far, of this process; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def main(arguments: list[str]) -> None:
    """Thread: main of the child."""
    from descant.model import load_model

    name, kernel, frames = arguments
    model = load_model(name, kernel)
    loading = most_resident()
    stream = model.stream("warm piano", seed=1)
    for _ in range(int(frames)):
        stream.step()
    print(loading, most_resident())


if __name__ == "__main__":
    main(sys.argv[1:])
