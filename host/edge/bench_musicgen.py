"""`descant bench --musicgen`: MusicGen-small's shape here, beside its reference and this machine's memory.

Random weights at the real shape; everything that is compared runs in one process and in turns. Prints tables
and the bars, appends a line to the log, draws a picture.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

from descant.host.edge import machine
from descant.host.edge.bench import append, check_log
from descant.host.edge.bench_bars import MusicgenFigures
from descant.host.edge.bench_plot import can_plot, plot
from descant.host.edge.bench_tables import show
from descant.host.edge.parity_oracle import WORDS, need_transformers
from descant.host.edge.parity_sizes import SMALL, Size
from descant.host.edge.settings import apply_threads, ask_for_priority, available_cores, bench_log
from descant.host.edge.whole import check_writable, unwritable

PROMPT = " ".join(WORDS[3:] * 3)[:112]  # 19 words and an end


@dataclass(frozen=True)
class Course:
    """How long everything is measured. contexts, window, embedded: seconds; rounds: of the race."""

    size: Size = SMALL
    contexts: tuple[float, ...] = (1.0, 5.0, 10.0, 20.0, 30.0)
    rounds: int = 5
    repeats: int = 100
    sessions: tuple[int, ...] = (1, 2, 4, 8)
    window: float = 30.0
    embedded: float = 4.0


class MusicgenEntry(msgspec.Struct, frozen=True):
    """One line of the benchmark log."""

    stamp: machine.Stamp
    musicgen: MusicgenFigures


def run(kernel: str, threads: int, log: Path | None, picture: Path | None, course: Course = Course()) -> None:
    """Thread: main. Measure, print, append, draw. Raises HostError or ModelError.

    threads: 0: all cores, for nothing else is meant to run. picture: None: musicgen.png beside the log.
    """
    need_transformers()
    threads = threads or available_cores()
    apply_threads(threads)
    path = log or bench_log()
    check_log(path)
    picture = picture or path.with_name("musicgen.png")
    check_writable(picture)
    ask_for_priority()  # as a host does
    when = machine.stamp()
    console = Console(highlight=False)
    told = Console(stderr=True, highlight=False)
    with told.status("writing random weights") as status:

        def progress(what: str) -> None:
            status.update(what)
            if not told.is_terminal:
                told.print(f"[dim]{what}[/dim]")

        found = measure(kernel, threads, course, progress)
    show(console, found)
    append(path, msgspec.json.encode(MusicgenEntry(when, found)) + b"\n")
    console.print(f"appended to {escape(str(path))}", soft_wrap=True)
    if not can_plot():
        console.print("no picture: matplotlib is not installed (pip install matplotlib)")
        return
    try:
        plot(found, _title(found, when), picture)
    except OSError as error:
        raise unwritable(picture, error) from error
    console.print(f"drawn in {escape(str(picture))}", soft_wrap=True)


def measure(kernel: str, threads: int, course: Course, progress: Callable[[str], None]) -> MusicgenFigures:
    """Thread: main. All figures. Raises HostError or ModelError."""
    import torch

    from descant.host.edge.bench_memory import measure_memory
    from descant.host.edge.bench_race import Runner, race
    from descant.host.edge.bench_reference import Reference
    from descant.host.edge.bench_sessions import measure_sessions
    from descant.host.edge.bench_stages import first_audio, stages, together, window
    from descant.host.edge.bench_weights import write_folder
    from descant.model import Sampling, load_model

    before, sampling = machine.load(), Sampling()
    with tempfile.TemporaryDirectory(prefix="descant-bench-") as folder:
        progress("writing random weights")
        write_folder(course.size, Path(folder))
        progress("memory, in a process of its own")
        memory = measure_memory(folder, kernel, threads)
        progress("loading")
        model = load_model(folder, kernel)
    rate = model.spec.frame_rate
    usual = round(min(5.0, max(course.contexts)) * rate)
    runner = Runner(model, PROMPT, sampling, round(max(course.contexts) * rate))
    # twelve different ones: an encoder remembers those it has met
    words = [" ".join(WORDS[3 + (n + at * (1 + n // 7)) % 7] for at in range(19)) for n in range(12)]
    assert len(set(words)) == 12
    progress("stages")
    parts = stages(runner, usual, course.repeats, words)
    progress("first audio")
    first = first_audio(model, PROMPT, 7)
    embedded = measure_sessions(course.sessions, course.embedded, progress, kernel)
    sessions = together(runner, usual, course.sessions, course.rounds, progress)
    progress("building transformers' decoders")
    references = [Reference(course.size, dtype, 20, sampling) for dtype in (torch.bfloat16, torch.float32)]
    contexts = race(runner, references[0], references[1], course.contexts, course.rounds, progress)
    references.clear()
    whole = window(model, PROMPT, course.window, progress)
    return MusicgenFigures(
        size=course.size.name,
        kernel=kernel,
        threads=threads,
        hop_ms=1000 / rate,
        load=before,
        load_after=machine.load(),
        contexts=tuple(contexts),
        stages=parts,
        sessions=tuple(sessions),
        window=whole,
        first_audio=first,
        embedded=tuple(embedded),
        memory=memory,
    )


def _title(found: MusicgenFigures, when: machine.Stamp) -> str:
    here = when.machine
    return (
        f"{found.size}'s shape, random weights, guided, {found.threads} threads of {here.processor} "
        f"({here.isa}); commit {when.commit}, {when.when}, load {found.load:.1f} to {found.load_after:.1f}"
    )
