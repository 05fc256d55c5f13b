"""`descant plugin build | install | where`: the DAW plugin, made on this machine from the sources that ship.

Knows nothing about what the plugin does. A compiler and the framework are needed here and nowhere else.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import descant.plugin_bridge
from descant.host.edge.keys import bridge_file
from descant.host.edge.plugin_settings import found
from descant.host.edge.settings import APP, available_cores
from descant.host.errors import HostError

DEBIAN_FRAMEWORK = Path("/usr/share/dpf")
_STEP = re.compile(r"^\[ *(\d+)%\] (.*)")
_STILL = "Everything else of Descant works without the plugin; nothing was changed."
_PACKAGES = {  # what is missing -> the Debian package that has it
    "a C++ compiler": "g++",
    "make": "make",
    "CMake": "cmake",
    "the DISTRHO Plugin Framework": "dpf-source",
    "libzmq's header zmq.h": "libzmq3-dev",
    "libzmq's C++ header zmq.hpp": "cppzmq-dev",
}


@dataclass(frozen=True)
class Product:
    """One thing that is built: `built` in the build's bin folder; `folder` where DAWs look for it."""

    title: str
    built: str
    folder: Path


def source_folder() -> Path:
    """The plugin's source, as shipped."""
    return Path(descant.plugin_bridge.__file__).parent / "native"


def build_folder() -> Path:
    """Where it is built when nothing else is said: in the user's cache."""
    return Path(platformdirs.user_cache_dir(APP)) / "plugin"


def products() -> tuple[Product, ...]:
    """What a build makes, and where this system's DAWs look for it."""
    home = Path.home()
    if sys.platform == "darwin":
        base = home / "Library" / "Audio" / "Plug-Ins"
        vst3, clap, lv2, programs = base / "VST3", base / "CLAP", base / "LV2", home / ".local" / "bin"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", str(home))) / "Programs" / "Common"
        vst3, clap, lv2, programs = base / "VST3", base / "CLAP", base / "LV2", base / "Descant"
    else:
        vst3, clap, lv2, programs = home / ".vst3", home / ".clap", home / ".lv2", home / ".local" / "bin"
    suffix = ".exe" if sys.platform == "win32" else ""
    rows = []
    for name, title in (("descant", "instrument"), ("descant-effect", "effect")):
        rows += [
            Product(f"VST3 {title}", f"{name}.vst3", vst3),
            Product(f"CLAP {title}", f"{name}.clap", clap),
            Product(f"LV2 {title}", f"{name}.lv2", lv2),
            Product(f"JACK {title}", f"{name}-jack{suffix}", programs),
        ]
    return tuple(rows)


def build(framework: Path | None, into: Path | None) -> Path:
    """Thread: main. Build; the folder with the results. Raises HostError naming what is missing."""
    framework = framework or DEBIAN_FRAMEWORK
    folder = into or build_folder()
    _check_tools(framework)
    console = Console(stderr=True, highlight=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"{folder} cannot be written to: {(error.strerror or str(error)).lower()}.",
            _STILL,
            "Name another folder: --into FOLDER.",
        ) from error
    _forget_another_source(folder)
    configure = ["cmake", "-S", str(source_folder()), "-B", str(folder), f"-DDPF_DIR={framework}"]
    if shutil.which("ninja") and not (folder / "CMakeCache.txt").exists() and not shutil.which("make"):
        configure += ["-G", "Ninja"]
    console.print(f"Building the plugin in {escape(str(folder))}", soft_wrap=True)
    said = "\n".join(_lines(configure))
    _explain_failure(said, folder)
    _with_bar(["cmake", "--build", str(folder), "--parallel", str(available_cores())], folder, console)
    console.print("[green]built[/green]: " + escape(str(folder / "bin")), soft_wrap=True)
    return folder / "bin"


def install(framework: Path | None, into: Path | None) -> None:
    """Thread: main. Build what is not up to date and put it where DAWs look. Raises HostError."""
    built = build(framework, into)
    console = Console(highlight=False)
    for product in products():
        target = product.folder / product.built
        try:
            _replace(built / product.built, target)
        except OSError as error:
            raise HostError(
                f"{target} could not be written: {(error.strerror or str(error)).lower()}.",
                "What was installed before it works; the rest is as it was.",
                "Check that you may write there, close DAWs that use the plugin, and repeat.",
            ) from error
        console.print(f"{product.title:16} {escape(str(target))}", soft_wrap=True)
    console.print("Now start the host (descant host), open your DAW and let it scan for plugins.")


def where() -> None:
    """Thread: main. Print what is installed, where the source is and where the plugin looks for the host."""
    console = Console(highlight=False)
    for product in products():
        target = product.folder / product.built
        state = "installed" if target.exists() else "not installed"
        console.print(f"{product.title:16} {state:14} {escape(str(target))}", soft_wrap=True)
    console.print(f"{'source':31} {escape(str(source_folder()))}", soft_wrap=True)
    at = found()
    console.print(f"{'host':31} {escape(at.endpoint or 'none')} (by {escape(at.source)})", soft_wrap=True)
    console.print(f"{'another host':31} DESCANT_ENDPOINT, or {escape(str(bridge_file()))}", soft_wrap=True)
    for problem in at.problems:
        console.print(f"[yellow]{'not used':31}[/yellow] {escape(problem)}", soft_wrap=True)


def _check_tools(framework: Path) -> None:
    here = (framework / "distrho" / "DistrhoPlugin.hpp").is_file()
    if not here and framework != DEBIAN_FRAMEWORK:
        raise HostError(
            f"{framework} holds no DISTRHO Plugin Framework (it would have distrho/DistrhoPlugin.hpp in it).",
            _STILL,
            "Name the framework's own folder, or leave out --framework to use Debian's package dpf-source.",
        )
    compilers = [os.environ.get("CXX", ""), "c++", "g++", "clang++", "cl"]
    missing = []
    if not any(name and shutil.which(name) for name in compilers):
        missing.append("a C++ compiler")
    if not any(map(shutil.which, ("make", "ninja", "nmake"))):
        missing.append("make")
    if not shutil.which("cmake"):
        missing.append("CMake")
    if not here:
        missing.append("the DISTRHO Plugin Framework")
    if sys.platform == "linux" and not missing:
        for name, what in (("zmq.h", "libzmq's header zmq.h"), ("zmq.hpp", "libzmq's C++ header zmq.hpp")):
            folders = ("/usr/include", "/usr/local/include", *os.environ.get("CPATH", "").split(":"))
            if not any((Path(folder) / name).is_file() for folder in folders if folder):
                missing.append(what)
    if missing:
        packages = " ".join(_PACKAGES[name] for name in missing)
        verb = "are" if len(missing) > 1 else "is"
        raise HostError(
            f"To build the plugin {_and(missing)} {verb} missing.",
            _STILL,
            f"On Debian: sudo apt-get install {packages}"
            + ("." if here else " (a framework elsewhere: --framework FOLDER)."),
        )


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _lines(command: list[str]) -> Iterator[str]:
    """The command's output, line by line; its last line is `exit N`."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield line.rstrip()
    yield f"exit {process.returncode}"


def _forget_another_source(folder: Path) -> None:
    """A build of a Descant that lay elsewhere: CMake would not go on with it. What is not CMake's stays."""
    cache = folder / "CMakeCache.txt"
    try:
        home = re.search(
            r"^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$", cache.read_text(errors="replace"), re.MULTILINE
        )
        if home is not None and Path(home[1]).resolve() != source_folder().resolve():
            cache.unlink()
            shutil.rmtree(folder / "CMakeFiles", ignore_errors=True)
    except OSError:
        return  # there is none


def _explain_failure(said: str, folder: Path) -> None:
    if said.endswith("exit 0"):
        return
    reason = _reason(said)
    log = folder / "descant-build.log"
    log.write_text(said, encoding="utf-8")
    raise HostError(
        f"The plugin could not be built: {reason[:300] or 'the compiler gave up'}",
        _STILL,
        f"Read {log}; all packages it needs are there, so a compiler or one of them may be broken.",
    )


def _reason(said: str) -> str:
    """CMake's first paragraph of a reason as one line, or the first line that speaks of an error."""
    lines = said.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("  ") and line.strip()]
    if not starts:
        return next((line for line in lines if "error" in line.lower()), "")
    found = []
    for line in lines[starts[0] :]:  # up to the next paragraph that is no further sentence of it
        if line.strip() and not line.startswith("  "):
            break
        found.append(line.strip())
    return " ".join(" ".join(found).split())


def _with_bar(command: list[str], folder: Path, console: Console) -> None:
    """Run the build, its percentage as a bar, or as a line every tenth where there is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    said, told = [], -1
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("compiling", total=100)
        for line in _lines(command):
            said.append(line)
            found = _STEP.match(line)
            if not found:
                continue
            percent = int(found[1])
            progress.update(task, completed=percent)
            if not console.is_terminal and percent // 10 > told:
                told = percent // 10
                console.print(f"compiling: {percent}%")
    _explain_failure("\n".join(said), folder)


def _replace(built: Path, target: Path) -> None:
    """Put a file or bundle in place of what was there; a DAW never sees half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    old = target.with_name(f".{target.name}.old")
    for leftover in (fresh, old):
        _remove(leftover)
    if built.is_dir():
        shutil.copytree(built, fresh)
    else:
        shutil.copy2(built, fresh)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
