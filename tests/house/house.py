"""Where the house stands and which files are its own: shared by the tests beside it."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("host", "model", "plugin_bridge", "presets")


def committed_files() -> list[str]:
    """Every file of the project, relative to the root: committed, or new and not ignored by git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted({name for name in listed if (ROOT / name).is_file()})


def python_files(*folders: str) -> list[str]:
    """Python files below the given top-level folders, relative to the root."""
    return [name for name in committed_files() if name.endswith(".py") and name.split("/")[0] in folders]
