"""`descant render`: inputs to a sound file, through the same engine as live, under a clock that only counts.

Nothing is written before all of it is made, and then at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from descant.host.edge.cues import Performance, cues
from descant.host.edge.inputs import check_melody, read_performance, unbound
from descant.host.edge.preset_files import choose_preset
from descant.host.edge.settings import apply_threads, default_threads
from descant.host.edge.store import check_sound_file, write_wav
from descant.host.errors import HostError
from descant.host.events import SessionHello, Wave
from descant.host.preset import Preset
from descant.host.translate import to_event

if TYPE_CHECKING:
    from descant.model import MusicModel

LINE_EVERY = 3.0  # seconds between two lines of progress, where there is no terminal for a bar


@dataclass(frozen=True)
class Request:
    """The command line of `descant render`; see there for units and ranges."""

    out: Path
    prompt: str | None
    melody: Path | None
    midi: Path | None
    preset: str
    model: str
    seconds: float | None
    seed: int
    rate: int
    threads: int
    presets: tuple[str, ...]


def run(request: Request) -> None:
    """Thread: main. Render and write. Raises HostError or ModelError; then nothing was written."""
    presets, preset = choose_preset(request.presets, request.preset, "Nothing was written.")
    performance = read_performance(request.prompt, request.midi, request.melody, 0, request.seconds, True)
    if (unheard := unbound(performance, preset)) is not None:
        print(unheard, file=sys.stderr)
    check_sound_file(request.out)
    apply_threads(request.threads or default_threads())
    check_melody(performance, request.melody, request.model)
    console = Console(stderr=True, highlight=False)
    began = time.monotonic()
    with console.status("loading the model") if console.is_terminal else nullcontext():
        from descant.host.edge.models import load_named

        model = load_named(request.model)
    made = time.monotonic()
    columns = (
        TextColumn("rendering"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        lines = _Lines(float(performance.length))

        def progress(share: float) -> None:
            bar.update(task, completed=share)
            if not console.is_terminal:
                lines.tell(share)

        wave = _rendered(request, performance, preset, presets, model, progress)
    finished = time.monotonic()
    write_wav(request.out, wave, request.rate)
    seconds = wave.shape[1] / request.rate
    console.print(
        f"{escape(str(request.out))}: {seconds:.1f} s at {request.rate} Hz, seed {request.seed}, "
        f"{model.spec.name} {model.weights_hash[:12]}, made in {finished - made:.1f} s "
        f"(real-time factor {(finished - made) / seconds:.2f}), model loaded in {made - began:.1f} s",
        soft_wrap=True,
    )


class _Lines:
    """Progress where there is no terminal: a line on standard error every few seconds.

    seconds: of music, in all.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._told = time.monotonic()

    def tell(self, share: float) -> None:
        """So much is done, 0..1."""
        now = time.monotonic()
        if now - self._told >= LINE_EVERY and share < 1:
            self._told = now
            made = share * self._seconds
            line = f"rendering: {made:.0f} of {self._seconds:.0f} s made ({100 * share:.0f} %)"
            print(line, file=sys.stderr, flush=True)


def _rendered(
    request: Request,
    performance: Performance,
    preset: Preset,
    presets: dict[str, Preset],
    model: MusicModel,
    progress: Callable[[float], None],
) -> Wave:
    """[C, T] float32 at the request's rate."""
    from descant.host.render import render

    hello = SessionHello(
        request.rate, channels=model.spec.channels, client="render", preset=preset.name, seed=request.seed
    )
    if performance.hum is not None:
        # a clip this model cannot follow is refused now, not after minutes of work
        model.conditions(None, melody=(performance.hum.wave, performance.hum.sample_rate))
    events = [to_event(message) for message in cues(performance, request.rate)]
    rendered = render(model, presets, events, float(performance.length), hello, progress)
    for fault in rendered.faults:
        if fault.severity != "info":
            raise HostError(fault.what, "Nothing was written.", fault.do)
        print(f"note: {fault.what}; {fault.do}", file=sys.stderr, flush=True)
    return rendered.wave
