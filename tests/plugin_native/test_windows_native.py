"""The plugin compiles for Windows, every format but JACK; the last link would need a libzmq built there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.plugin_native.rig import ROOT, tool

NATIVE = ROOT / "plugin_bridge" / "native"
CORE = sorted(path.name for path in NATIVE.glob("*.cpp") if path.name != "plugin.cpp")


def test_the_core_is_built_of_all_its_files():
    listed = (NATIVE / "CMakeLists.txt").read_text().partition("add_library(descant_core STATIC")[2]
    assert sorted(listed.partition(")")[0].split()) == CORE


@pytest.mark.slow
@pytest.mark.parametrize("identity", [(), ("-DDESCANT_EFFECT",)], ids=["instrument", "effect"])
def test_everything_compiles_for_windows(built: Path, tmp_path: Path, identity: tuple[str, ...]):
    for header in ("zmq.h", "zmq.hpp"):
        shutil.copy(Path("/usr/include") / header, tmp_path)  # theirs are for any system
    framework = built / "native" / "dpf" / "distrho"
    compiler = [tool("x86_64-w64-mingw32-g++-posix"), "-std=c++17", "-fsyntax-only", f"-I{tmp_path}"]
    compiler += [f"-I{NATIVE}", f"-I{framework}", f"-I{framework / 'src'}", "-DNDEBUG", *identity]
    runs = [[*compiler, "-Wall", "-Wextra", "-Werror", str(NATIVE / name)] for name in CORE]
    for kind in ("VST3", "CLAP", "LV2"):
        for source in (NATIVE / "plugin.cpp", framework / "DistrhoPluginMain.cpp"):
            runs.append([*compiler, f"-DDISTRHO_PLUGIN_TARGET_{kind}", str(source)])
    for run in runs:
        done = subprocess.run(run, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(run)}\n{done.stderr[-3000:]}"
