"""`descant takes render`: a take made again from its model, its seed and what was played, and compared with
what was recorded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from descant.host.edge.settings import apply_threads, default_threads
from descant.host.edge.store import check_sound_file
from descant.host.edge.take_log import Opened, unpack, unpack_opened
from descant.host.edge.takes_command import opened as opened_store
from descant.host.edge.whole import whole_file
from descant.host.errors import TakeError
from descant.host.takelog import LogEntry
from descant.host.takes import Take

Wave = npt.NDArray[np.float32]
SAME = "the recording bit for bit"
_STILL = "Its sound is there, whole; nothing was written."


def run(folder: Path | None, number: int, out: Path, model: str) -> None:
    """Thread: main. Render and write. Raises TakeError, HostError or ModelError; then nothing was written."""
    check_sound_file(out)
    with opened_store(folder) as store:
        take = store.get(number)
        entries, known = unpack(store.noted(take.session)) if take.session else ([], False)
        recorded = store.folder / take.file
    how = _how(take, known)
    name = model or how.model or take.model
    wave, compared = _as_recorded(take, how, entries, name, recorded)
    with whole_file(out) as part:  # float, as it was recorded: every bit of it
        soundfile.write(part, wave.T, how.hello.sample_rate, format="WAV", subtype="FLOAT")
    print(f"wrote {out}: {compared}")


def _as_recorded(
    take: Take, how: Opened, entries: list[LogEntry], name: str, recorded: Path
) -> tuple[Wave, str]:
    """Made with the model's kernel of today, or an earlier one if it is that which gives the recording; and
    how it compares."""
    apply_threads(how.threads or default_threads())
    from descant.host.edge.models import earlier_kernels

    first = _made(take, how, entries, name, None)
    told = _compared(first, recorded)
    if told != SAME and recorded.is_file():
        for kernel in earlier_kernels(name):
            wave = _made(take, how, entries, name, kernel)
            if _compared(wave, recorded) == SAME:
                return wave, f"{SAME}, with {kernel}"
    return first, told


def _how(take: Take, known: bool) -> Opened:
    """How its session was opened. Raises TakeError where it cannot be played again."""
    if not take.events or not take.session:
        raise TakeError(
            f"What was played in take {take.number} is not known.", _STILL, "Export the take instead."
        )
    if not known:
        raise TakeError(
            f"Not all that was played in take {take.number} is known: its engine was replaced, it leapt in "
            "time, or there was too much.",
            _STILL,
            "Export the take instead.",
        )
    return unpack_opened(take.events)


def _made(take: Take, how: Opened, entries: list[LogEntry], name: str, kernel: str | None) -> Wave:
    """[C, n] at the rate it was recorded at."""
    console = Console(stderr=True, highlight=False)
    threads = how.threads or default_threads()
    apply_threads(threads)
    import torch

    from descant.host.edge.models import load_named
    from descant.host.render import replay

    torch.set_num_threads(threads)
    model = load_named(name, kernel)
    if model.weights_hash != take.weights_hash:
        raise TakeError(
            f"Take {take.number} was played by {take.model} {take.weights_hash[:12]}; this is "
            f"{model.spec.name} {model.weights_hash[:12]}.",
            _STILL,
            "Name the folder of the model it was played by with --model.",
        )
    columns = (
        TextColumn("rendering"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        return replay(
            model,
            {preset.name: preset for preset in how.presets},
            entries,
            take.seconds,
            how.hello,
            how.begin,
            lambda share: bar.update(task, completed=share),
        ).wave


def _compared(wave: Wave, recorded: Path) -> str:
    """How the sound made again compares with what was recorded, in words."""
    try:
        heard, _ = soundfile.read(recorded, dtype="float32", always_2d=True)
    except (OSError, RuntimeError):
        return "the recording is gone, there is nothing to compare it with"
    n = min(len(heard), wave.shape[1])
    differs = int(np.count_nonzero((wave[:, :n] != heard[:n].T).any(axis=0)))
    differs += abs(len(heard) - wave.shape[1])
    if not differs:
        return SAME
    return f"{differs} of {wave.shape[1]} samples differ from the recording"
