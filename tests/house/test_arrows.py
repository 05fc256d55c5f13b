"""Import arrows: who may know whom, and who may touch the world."""

from __future__ import annotations

import ast

import pytest

from tests.house.house import PACKAGES, ROOT, python_files

# What only the edge may import: threads, processes, clocks, sockets, devices.
WORLD = {
    *("asyncio", "concurrent", "multiprocessing", "queue", "select", "selectors", "signal", "socket"),
    *("sounddevice", "sched", "subprocess", "threading", "time", "_thread", "zmq", "rtmidi"),
}
FILES = {"shutil", "soundfile", "sqlite3", "tempfile"}
NEVER = {"pickle", "marshal", "shelve", "dill", "transformers", "sentence_transformers", "audiocraft"}


def imports(name: str) -> set[str]:
    """Dotted names imported anywhere in a file, relative ones resolved; `from a import b` gives a and a.b."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    package = ["descant", *name.split("/")[:-1]]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def ours(name: str) -> set[str]:
    """Our packages that a file imports, as far down as named."""
    return {item for item in imports(name) if item.split(".")[0] == "descant"}


def reaches(found: set[str], *prefixes: str) -> set[str]:
    return {item for item in found if any(item == p or item.startswith(p + ".") for p in prefixes)}


def is_edge(name: str) -> bool:
    return name == "host/cli.py" or name.startswith(("host/edge/", "host/desktop/"))


@pytest.mark.parametrize("package", ["model", "plugin_bridge", "presets"])
def test_model_bridge_and_presets_import_nothing_of_ours(package: str) -> None:
    for name in python_files(package):
        foreign = ours(name) - reaches(ours(name), f"descant.{package}")
        assert not foreign, f"{name} imports {sorted(foreign)}"


def test_pure_host_imports_the_model_and_only_translate_knows_the_wire() -> None:
    for name in python_files("host"):
        if is_edge(name):
            continue
        edge = reaches(ours(name), "descant.host.edge", "descant.host.cli", "descant.host.desktop")
        assert not edge, f"{name} imports the edge: {sorted(edge)}"
        bridge = reaches(ours(name), "descant.plugin_bridge")
        if name == "host/translate.py":
            bridge -= {"descant.plugin_bridge"} | reaches(bridge, "descant.plugin_bridge.wire")
        assert not bridge, f"{name} imports {sorted(bridge)}"


def test_only_the_edge_touches_threads_clocks_sockets_and_devices() -> None:
    # these build the native kernels once, where one is first asked for: nothing of it while music is made
    builders = {
        "model/kernels/build.py": {"shutil", "subprocess", "tempfile", "threading", "pathlib"},
        "model/kernels/native.py": {"pathlib"},
        "model/kernels/pool.py": {"threading"},
        "model/kernels/frame.py": {"threading"},
    }
    for name in python_files("host", "model"):
        if is_edge(name):
            continue
        touched = {item.split(".")[0] for item in imports(name)} & (WORLD | FILES)
        if name.startswith("model/checkpoints/"):
            touched -= FILES
        touched -= builders.get(name, set())
        assert not touched, f"{name} imports {sorted(touched)}"


def test_only_the_window_knows_qt_and_it_knows_no_model() -> None:
    for name in python_files(*PACKAGES):
        if name.startswith("host/desktop/"):
            foreign = reaches(ours(name), "descant.model", "descant.plugin_bridge")
            assert not foreign, f"{name} imports {sorted(foreign)}: the window talks to the stage alone"
        else:
            assert not reaches(imports(name), "PySide6"), f"{name} imports Qt"


def test_nobody_imports_tools_or_tests() -> None:
    for name in python_files(*PACKAGES):
        assert not reaches(imports(name), "tools", "tests"), name


def test_what_runs_never_loads_pickles_or_slow_encoders() -> None:
    oracle = {"host/edge/parity_oracle.py": {"transformers"}}  # what parity is measured against
    for name in python_files(*PACKAGES):
        found = {item.split(".")[0] for item in imports(name)} & NEVER
        assert found == oracle.get(name, set()), name


def test_nobody_imports_the_packages_by_their_folder_names() -> None:
    for name in python_files(*PACKAGES, "tools", "tests"):
        assert not reaches(imports(name), *PACKAGES), name


def test_the_reader_of_imports_sees_every_form() -> None:
    assert reaches(imports("host/translate.py"), "descant.plugin_bridge.wire")
    assert "ast" in imports("tests/house/test_arrows.py")
    assert "tests.house.house.ROOT" in imports("tests/house/test_arrows.py")
