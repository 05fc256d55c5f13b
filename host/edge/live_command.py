"""`descant play` without a file: controllers, an audio device and a host, until Ctrl-C or for so many
seconds.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from descant.host.edge.audio_server import AudioServer
from descant.host.edge.controller_files import load_profiles
from descant.host.edge.host_keeper import HostKeeper
from descant.host.edge.hummer import Hummer
from descant.host.edge.key_played import classes_played
from descant.host.edge.keys import bridge_curve
from descant.host.edge.live import Live, live_start
from descant.host.edge.midi_clock import MidiClock
from descant.host.edge.midi_ports import MidiPorts
from descant.host.edge.midi_trace import MidiTrace
from descant.host.edge.preset_files import choose_preset
from descant.host.edge.recall import Recall
from descant.host.edge.recording import Recording
from descant.host.edge.recording_client import RecordingClient
from descant.host.edge.round_trips import measured
from descant.host.edge.settings import ask_for_real_time
from descant.host.edge.terminal_keys import HELP, TerminalKeys
from descant.host.errors import HostError

_CHANNELS = 2
_PATIENCE = 10.0


@dataclass(frozen=True)
class LiveRequest:
    """The command line of `descant play` without a file; see there for units and ranges."""

    preset: str
    prompt: str
    seconds: float | None
    seed: int
    rate: int
    block: int
    endpoint: str
    model: str
    threads: int
    presets: tuple[str, ...]
    devices: tuple[str, ...]
    midi: tuple[str, ...]
    controllers: tuple[str, ...]
    hum_bars: int = 2
    count_in: int = 1  # bars
    takes: Path | None = None  # the folder they are kept in; None: nothing is recorded
    clock_out: str = ""  # the MIDI output that is sent a clock, "" for none
    trace: Path | None = None  # a file for when controllers' messages came and were on their way


def run(request: LiveRequest) -> None:
    """Thread: main. Play. Raises HostError or WireError when there is no host to play."""
    presets, preset = choose_preset(request.presets, request.preset, "Nothing was played.")
    curve = bridge_curve(request.endpoint)
    console = Console(stderr=True, highlight=False)

    def say(text: str) -> None:
        console.print(escape(text), soft_wrap=True)

    profiles, broken = load_profiles(request.controllers)
    for error in broken:
        say(str(error))
    with ExitStack() as stack:
        stack.enter_context(ended_as_by_ctrl_c())
        clock = MidiClock(request.clock_out) if request.clock_out else None
        if clock is not None:
            stack.callback(clock.close)
        audio = stack.enter_context(
            AudioServer(
                request.rate,
                _CHANNELS,
                devices=request.devices,
                block=request.block,
                round_trip=measured,
            )
        )
        keeper = None
        if not request.endpoint:
            keeper = HostKeeper(request.model, request.threads, request.presets)
            stack.callback(keeper.close)
            with console.status("starting a host") if console.is_terminal else nullcontext():
                keeper.await_host()
        endpoint = keeper.endpoint if keeper else request.endpoint
        client = RecordingClient(
            endpoint,
            request.rate,
            request.block,
            _CHANNELS,
            name="descant play",
            preset=request.preset,
            seed=request.seed,
            recall=Recall(presets, preset),
            curve=curve,
        )
        stack.callback(client.close)
        patience = time.monotonic() + _PATIENCE
        while not audio.fit.updates and time.monotonic() < patience:  # the first block says where time begins
            audio.turn()
            time.sleep(0.005)
        client.seek(live_start(audio))  # before it is said where we are: a leap would be no part of a take
        client.connect()
        takes = None
        if request.takes is not None:
            model = "" if request.endpoint else request.model
            takes = Recording.into(request.takes, client, preset, request.seed, model, request.threads)
            stack.callback(takes.close)
        ports = MidiPorts(request.midi)
        stack.callback(ports.close)
        hum = Hummer(
            client,
            audio,
            say,
            lambda: classes_played(client.recall),
            request.hum_bars,
            request.count_in,
            request.takes,
        )
        stack.callback(hum.close)
        live = Live(client, audio, ports, profiles, preset.tempo, say, takes, hum)
        if request.controllers:
            live.learnt_folder = Path(request.controllers[0])
        if clock is not None:
            live.clock_out = clock
        if request.trace is not None:
            live.trace = MidiTrace()
        keys = stack.enter_context(TerminalKeys())
        if keys.open:
            say(HELP)
        missing, there = ports.missing()
        for name in missing:
            among = f"there are {', '.join(there)}" if there else "there is none now"
            say(f"No MIDI port is called {name!r}: {among}. All else plays. It is opened when it comes.")
        print("playing", flush=True)
        if request.prompt:
            client.prompt(request.prompt, 0)
        end = None if request.seconds is None else time.monotonic() + request.seconds
        failed: HostError | None = None

        def over() -> bool:
            nonlocal failed
            if keeper is not None and keeper.error is not failed:
                failed = keeper.error
                if failed is not None:
                    say(str(failed))
            for key in keys.typed():
                live.key(key)
            return end is not None and time.monotonic() >= end

        sys.setswitchinterval(0.001)
        gc.collect()
        gc.freeze()  # what is here now stays: later collections are short
        ask_for_real_time()
        with suppress(KeyboardInterrupt):
            live.run(over)
        memory = audio.memory
        if live.trace is not None and request.trace is not None:
            _write_trace(live.trace, request.trace)
        if takes is not None:
            takes.close()
            while takes.recorder.said:
                say(" ".join(takes.recorder.said.popleft()))
            if takes.recorder.takes:
                numbers = ", ".join(map(str, takes.recorder.takes))
                print(f"recorded: takes {numbers} (descant takes list)", file=sys.stderr)
        print(
            f"{memory.blocks} blocks, {memory.xruns} xruns, {memory.underruns + client.underruns} underruns "
            f"({memory.underruns} of our feeding), "
            f"{audio.restarts} restarts, {live.events} events of controllers, "
            f"{sum(slot.state != 'empty' for slot in audio.status)} loops"
            + (f", {ports.lost} messages left out" if ports.lost else ""),
            file=sys.stderr,
        )


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """What a system, or the window of a terminal, ends it with ends it as Ctrl-C does: takes are closed, and
    the terminal is as it was."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []

    def interrupt(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # once is enough
        raise KeyboardInterrupt

    before = [(number, signal.signal(number, interrupt)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _write_trace(trace: MidiTrace, path: Path) -> None:
    """Raises HostError where the file cannot be written."""
    try:
        trace.write(path)
    except OSError as error:
        raise HostError(
            f"{path} could not be written: {(error.strerror or str(error)).lower()}.",
            "What was played is recorded as ever.",
            "Name another file after --trace.",
        ) from error
