"""The native library: found in the cache, or compiled into it once by this machine's own C compiler.

Knows nothing about models. Importing needs no compiler; every failure is a reason in words.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "csrc"
COMPILER_VARIABLE = "DESCANT_CC"
CACHE_VARIABLE = "DESCANT_CACHE"
_COMPILERS = ("cc", "gcc", "clang")
# No contraction: a product and a sum are fused where the source says so, else a row's result would depend on
# which copy of an inlined function it went through, and so on who shares its batch.
_ALWAYS = (
    "-O3",
    "-std=gnu11",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
)
_LINK = ("-shared", "-fPIC", "-pthread", "-lm")
_MACHINES = (("-march=native",), ("-mcpu=native",), ())
_TIMEOUT = 120  # seconds a compiler may take


@dataclass(frozen=True)
class Library:
    """The loaded library, or None and the reason why there is none."""

    handle: ctypes.CDLL | None
    reason: str = ""
    path: Path | None = None


_loaded: dict[tuple[str, ...], Library] = {}
_lock = threading.Lock()


def load(folder: Path | None = None, flags: tuple[str, ...] | None = None) -> Library:
    """The library, from `folder` or compiled into it; once a process.

    folder: None: $DESCANT_CACHE, else ~/.cache/descant. flags: machine flags to use instead of this machine's
    own, such as ("-march=x86-64-v3",).
    """
    where = folder if folder is not None else default_folder()
    key = (str(where), *(flags if flags is not None else ("?",)), os.environ.get(COMPILER_VARIABLE, ""))
    with _lock:
        if key not in _loaded:
            _loaded[key] = _load(where, flags)
        return _loaded[key]


def ready(folder: Path | None = None) -> bool:
    """Whether the library is there already, so that `load` would compile nothing."""
    where = folder if folder is not None else default_folder()
    return os.name == "posix" and _place(where, _MACHINES).is_file()


def default_folder() -> Path:
    """Where the library is kept unless the caller says otherwise."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "descant"


def _load(folder: Path, flags: tuple[str, ...] | None) -> Library:
    if os.name != "posix":
        return Library(None, f"it is built on Linux and macOS, and this is {platform.system()}")
    choices = _MACHINES if flags is None else (flags,)
    path = _place(folder, choices)
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            reason = _compile(path, choices)
        except OSError as error:
            reason = f"{path.parent} cannot be written: {error.strerror or error}"
        if reason:
            return Library(None, reason)
    try:
        return Library(ctypes.CDLL(str(path)), "", path)
    except OSError as error:
        return Library(None, f"{path} cannot be loaded: {error}")


def _place(folder: Path, choices: tuple[tuple[str, ...], ...]) -> Path:
    return folder / "kernels" / f"step-{_digest(choices)}.so"


def _digest(choices: tuple[tuple[str, ...], ...]) -> str:
    """Changes with the source, the flags, the compiler asked for, and the processor."""
    found = hashlib.sha256()
    for source in sorted(SOURCES.iterdir()):
        if source.suffix in (".c", ".h"):
            found.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    parts = (*_ALWAYS, *_LINK, str(choices), os.environ.get(COMPILER_VARIABLE, ""), _processor())
    found.update("\0".join(parts).encode())
    return found.hexdigest()[:24]


def _processor() -> str:
    """What this processor can do, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        told = [line for line in lines if line.split(":")[0].strip() in ("flags", "Features", "model name")]
        return platform.machine() + "".join(sorted(set(told)))
    except OSError:
        return f"{platform.machine()} {platform.processor()} {platform.version()}"


def _compile(path: Path, choices: tuple[tuple[str, ...], ...]) -> str:
    """Compile into place, whole or not at all; the reason if it cannot be done, else nothing."""
    named = os.environ.get(COMPILER_VARIABLE)
    compilers = [c for c in ([named] if named else _COMPILERS) if c and shutil.which(c)]
    if not compilers:
        wanted = named or ", ".join(_COMPILERS)
        return f"there is no C compiler here (looked for {wanted}; {COMPILER_VARIABLE} names another)"
    reason = ""
    for compiler in compilers:
        for machine in choices:
            with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
                made = Path(scratch) / path.name
                sources = [str(source) for source in sorted(SOURCES.glob("*.c"))]
                command = [compiler, *_ALWAYS, *machine, *sources, "-o", str(made), *_LINK]
                reason = _run(command)
                if not reason:
                    os.replace(made, path)
                    return ""
    return reason


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]} did not run: {error}"
    if done.returncode == 0:
        return ""
    errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
    return f"{command[0]} failed: {errors[0] if errors else f'exit code {done.returncode}'}"


def main() -> None:
    """Thread: main. Compile it now, so that nothing waits for it later; one line of what came of that."""
    library = load()
    there = library.handle is not None
    print(
        "native kernels: ready" if there else f"native kernels: none, torch's run instead ({library.reason})"
    )
