"""`descant doctor`: is this machine, and this installation, fit to play? One line a check, and what to do.

Each check is a function that returns lines and never raises; what a check cannot find out is a warning.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.markup import escape

from descant.host.edge import machine
from descant.host.edge.audio_device import list_devices
from descant.host.edge.errors_shown import explain
from descant.host.edge.preset_files import load_presets
from descant.host.edge.settings import apply_threads, available_cores, default_endpoint, default_threads
from descant.host.errors import PresetError

State = Literal["ok", "warn", "fail"]
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_MEASURED_FRAMES = 40


@dataclass(frozen=True)
class Line:
    """One finding. do: what to do about it, empty where there is nothing to do."""

    state: State
    name: str
    found: str
    do: str = ""


def run(model: str, threads: int, endpoint: str) -> int:
    """Thread: main. Print every line as it is found; 1 when anything failed, else 0."""
    threads = threads or default_threads()
    apply_threads(threads)
    console = Console(highlight=False)
    checks: tuple[tuple[str, Callable[[], Iterable[Line]]], ...] = (
        ("python", check_python),
        ("cores", check_cores),
        ("torch", lambda: check_torch(threads)),
        ("kernels", check_kernels),
        ("libraries", check_libraries),
        ("presets", check_presets),
        ("model", lambda: check_model(model)),
        ("audio", check_devices),
        ("endpoint", lambda: check_endpoint(endpoint)),
        ("plugin", check_plugin),
    )
    worst = 0
    for name, check in checks:
        try:
            lines = list(check())
        except (
            Exception
        ) as error:  # a broken installation breaks in ways of its own, and is what doctor is for
            what, _, do = explain(error)
            lines = [Line("fail", name, what, do)]
        for line in lines:
            colour = _COLOURS[line.state]
            advice = f" → {line.do}" if line.do else ""
            text = f"[{colour}]{line.state:<4}[/{colour}] {line.name:<10} {escape(line.found + advice)}"
            console.print(text, soft_wrap=True)
            worst = max(worst, line.state == "fail")
    return int(worst)


def check_python() -> Iterable[Line]:
    """The interpreter."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        yield Line("ok", "python", found)
    else:
        yield Line("fail", "python", found, "install Descant with Python 3.11 or 3.12")


def check_cores() -> Iterable[Line]:
    """Cores and what already runs on them."""
    cores, load = available_cores(), machine.load()
    found = f"{cores} for this process, load {load:g}, {machine.processor()}"
    if cores < 2:
        yield Line("warn", "cores", found, "give the host two cores or more: one is the DAW's")
    elif load > cores:
        yield Line("warn", "cores", found, "close other programs: more wants to run than can")
    else:
        yield Line("ok", "cores", found)


def check_torch(threads: int) -> Iterable[Line]:
    """torch, its threads and the instruction set it uses."""
    import torch

    isa = machine.isa()
    found = f"{torch.__version__}, {torch.get_num_threads()} of {threads} threads asked for, {isa}"
    if isa in ("DEFAULT", "unknown"):
        yield Line(
            "warn", "torch", found, "expect slow music: this processor has no vector instructions torch uses"
        )
    else:
        yield Line("ok", "torch", found)


def check_kernels() -> Iterable[Line]:
    """The native library, compiled here if it was not; and a GPU, where torch can use one."""
    import torch

    from descant.model.kernels.build import load

    library = load()
    if library.handle is not None:
        yield Line("ok", "kernels", f"native, compiled for this processor: {library.path}")
    else:
        found = f"torch's: {library.reason}"
        yield Line("warn", "kernels", found, "install a C compiler: MusicGen and several sessions run faster")
    if torch.cuda.is_available():
        free, whole = torch.cuda.mem_get_info()
        found = f"{torch.cuda.get_device_name()}, {free / 1e9:.1f} of {whole / 1e9:.1f} GB free"
        yield Line("ok", "gpu", found + "; large models are tried on it first")


def check_libraries() -> Iterable[Line]:
    """What reads files and carries messages."""
    import soundfile
    import zmq

    yield Line("ok", "libsndfile", soundfile.__libsndfile_version__)
    zmq_version = zmq.zmq_version_info()
    found = f"{zmq.zmq_version()} (pyzmq {zmq.__version__}), ipc {'yes' if zmq.has('ipc') else 'no'}"
    if zmq_version < (4, 3):
        yield Line("fail", "zeromq", found, "install pyzmq again from its wheel")
    else:
        yield Line("ok", "zeromq", found)
    yield Line("ok", "soundfont", "not needed to play; only training renders use one")


def check_presets() -> Iterable[Line]:
    """The shipped presets and the user's own."""
    broken: list[PresetError] = []
    presets = load_presets(on_broken=broken.append)
    for error in broken:
        yield Line("warn", "presets", error.what, error.do)
    if presets:
        yield Line("ok", "presets", f"{len(presets)}: {', '.join(presets)}")
    else:
        yield Line("fail", "presets", "none", "install Descant again: its own presets are missing")


def check_model(name: str) -> Iterable[Line]:
    """The model's files, its hash, and whether it will keep up here: predicted, then measured, in seconds."""
    from descant.host.edge.models import kernel_for, load_named

    choice = kernel_for(name)
    if choice is not None:
        tried = ", ".join(f"{kernel} {ms:.1f} ms" for kernel, ms in choice.milliseconds.items())
        found = (
            f"{choice.kernel}; predicted before loading: {choice.milliseconds[choice.kernel]:.1f} ms "
            f"a guided column of {choice.frame_ms:g} ms, a real-time factor of {choice.factor:.2f} ({tried})"
        )
        found += f"; the GPU is passed over: {choice.passed_over}" if choice.passed_over else ""
        do = "" if choice.holds else "close other programs, use a smaller model, or render offline"
        yield Line("ok" if choice.holds else "warn", "kernel", found, do)
    began = time.perf_counter()

    model = load_named(name)
    spec = model.spec
    seconds = time.perf_counter() - began
    found = (
        f"{spec.name}, {spec.sample_rate} Hz, {spec.frame_rate:g} frames/s of {spec.n_codebooks} codebooks, "
        f"weights {model.weights_hash[:12]}, loaded in {seconds:.1f} s"
    )
    yield Line("ok", "model", found)
    stream = model.stream(text="a short test", seed=0)
    for _ in range(5):
        stream.step()
    times = []
    for _ in range(_MEASURED_FRAMES):
        began = time.perf_counter()
        stream.step()
        times.append(time.perf_counter() - began)
    times.sort()
    hop = 1 / spec.frame_rate
    mean, slow = sum(times) / len(times) / hop, times[int(0.95 * len(times))] / hop
    found = f"real-time factor {mean:.2f}, p95 {slow:.2f} ({1 / mean:.1f} times as fast as the music)"
    if mean < 0.5 and slow < 1:
        yield Line("ok", "speed", found)
    elif mean < 0.9:
        yield Line("warn", "speed", found, "little room: close other programs, or use more lead")
    else:
        yield Line("fail", "speed", found, "it cannot keep up live here; descant render still works")


def check_devices() -> Iterable[Line]:
    """Audio devices; none are needed by a host."""
    outputs = [device for device in list_devices() if device.outputs]
    default = next((device for device in outputs if device.default_output), None)
    if default is not None:
        found = f"{len(outputs)} outputs, default {default.name} at {default.sample_rate} Hz"
        yield Line("ok", "audio", found)
    else:
        yield Line(
            "warn",
            "audio",
            "no output device",
            "none is needed with a DAW; plug one in to hear `descant play`",
        )


def check_plugin() -> Iterable[Line]:
    """Where plugins look for a host, and what they are told in vain."""
    from descant.host.edge.plugin_settings import found

    at = found()
    for problem in at.problems:
        yield Line("warn", "plugin", problem, "correct it, or remove it")
    if at.endpoint:
        yield Line("ok", "plugin", f"plugins look for the host at {at.endpoint} (by {at.source})")


def check_endpoint(endpoint: str) -> Iterable[Line]:
    """Whether a host could listen where it would, or one does already."""
    from descant.host.edge.host_command import only_host_at
    from descant.host.errors import HostError
    from descant.plugin_bridge import BridgeServer, WireError

    endpoint = endpoint or default_endpoint()
    try:
        with only_host_at(endpoint):
            BridgeServer(endpoint).close()
    except (HostError, WireError) as error:
        what, _, do = explain(error)
        running = "already" in what
        yield Line("ok" if running else "fail", "endpoint", what, "connect to it" if running else do)
    else:
        yield Line("ok", "endpoint", f"{endpoint} is free for a host")
