"""`descant render`: inputs to a sound file, through the same engine as live, under a clock that only counts.

Nothing is written before all of it is made, and then at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from descant.host.edge.cues import Performance, cues
from descant.host.edge.inputs import (
    DEFAULT_SECONDS,
    check_guidance,
    check_melody,
    check_settings,
    read_performance,
    unbound,
)
from descant.host.edge.preset_files import choose_preset
from descant.host.edge.settings import apply_threads, default_threads
from descant.host.edge.store import Clip, check_sound_file, read_wav, write_wav
from descant.host.errors import HostError
from descant.host.events import SessionHello, Wave
from descant.host.preset import Preset
from descant.host.translate import to_event

if TYPE_CHECKING:
    from torch import Tensor

    from descant.model import MusicModel

MAX_BEFORE = 600.0  # seconds of music to go on from
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
    going_on: Path | None = None
    settings: tuple[tuple[str, float], ...] = ()
    two_step: bool = False


def run(request: Request) -> None:
    """Thread: main. Render and write. Raises HostError or ModelError; then nothing was written."""
    presets, preset = choose_preset(request.presets, request.preset, "Nothing was written.")
    check_settings(request.settings)
    before = None if request.going_on is None else read_wav(request.going_on, MAX_BEFORE)
    seconds = request.seconds
    if before is not None and seconds is None and request.midi is None:
        seconds = before.seconds + DEFAULT_SECONDS
    performance = read_performance(request.prompt, request.midi, request.melody, 0, seconds, True)
    performance = replace(performance, settings=request.settings)
    if before is not None and before.seconds >= performance.length:
        raise HostError(
            f"{request.going_on} lasts {before.seconds:.1f} s, all of the {float(performance.length):.1f} s "
            "that were asked for.",
            "Nothing was written.",
            "Ask for more with --seconds.",
        )
    if (unheard := unbound(performance, preset)) is not None:
        print(unheard, file=sys.stderr)
    check_guidance(performance, preset.sampling, request.two_step)
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

        wave = _rendered(request, performance, preset, presets, model, before, progress)
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
    before: Clip | None,
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
    begin_with = None if before is None else _codes(model, before)
    events = [to_event(message) for message in cues(performance, request.rate)]
    length = float(performance.length)
    rendered = render(model, presets, events, length, hello, progress, begin_with, request.two_step)
    asked = bool(request.preset or request.midi)  # for the controls of a preset, which a prompt alone is not
    for fault in rendered.faults:
        if fault.severity != "info":
            raise HostError(fault.what, "Nothing was written.", fault.do)
        if asked:
            print(f"note: {fault.what}; {fault.do}", file=sys.stderr, flush=True)
    return rendered.wave


def _codes(model: MusicModel, before: Clip) -> Tensor:
    """The music to go on from, as the model's codes [K, F]. Raises HostError for more than it can hear."""
    lm, seconds = model.spec.lm, before.seconds
    if lm.window is not None and seconds * model.spec.frame_rate >= lm.window:
        raise HostError(
            f"The music to go on from lasts {seconds:.1f} s; {model.spec.name} hears less than "
            f"{lm.window / model.spec.frame_rate:g} s.",
            "Nothing was written.",
            "Give its latest seconds: half of that leaves room for what comes.",
        )
    return model.prompt_codes((before.wave, before.sample_rate))
