"""Temporary folders end with their process, and those of a killed one with the next start."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from descant.host.edge.scratch import PREFIX, Scratch, sweep


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder of temporary files, for this process and those it starts."""
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def die(words: str) -> None:
    """Run something in a process that is killed at its end."""
    words += "\nimport os\nos.kill(os.getpid(), 9)\n"
    assert subprocess.run([sys.executable, "-c", words], timeout=120).returncode == -9


def test_a_folder_is_its_owners_and_goes_with_it(temporary: Path) -> None:
    mine = Scratch()
    (mine.path / "file").touch()
    assert mine.path.stat().st_mode & 0o777 == 0o700
    assert sweep() == 0 and (mine.path / "file").exists()
    mine.remove()
    mine.remove()
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_nothing_else(temporary: Path) -> None:
    mine = Scratch()
    die("from descant.host.edge.scratch import Scratch\nfor _ in range(2): (Scratch().path / 'x').mkdir()")
    others = [temporary / f"{PREFIX}{name}" for name in ("0", "file", "link")]
    others[0].mkdir()  # a folder like ours, but without an owner's lock
    others[1].touch()
    others[2].symlink_to(mine.path)
    assert len(list(temporary.iterdir())) == 6
    assert sweep() == 2
    assert sorted(temporary.iterdir()) == sorted([mine.path, *others])
    mine.remove()


def test_a_killed_host_and_its_client_leave_nothing_for_long(temporary: Path) -> None:
    die(
        "import os\nfrom descant.host.edge.host_process import running_host\n"
        "host = running_host('tiny', 1)\nos.kill(host.__enter__().pid, 9)"
    )
    left = {path.name for folder in temporary.glob(f"{PREFIX}*") for path in folder.iterdir()}
    assert {"log", "engine"} <= left
    words = [sys.executable, "-m", "descant.host.cli", "host", "--model", "nothere"]
    words += ["--endpoint", f"ipc://{temporary}/h"]
    next_one = subprocess.run(words, capture_output=True, timeout=120, env={**os.environ})
    assert next_one.returncode == 1
    assert list(temporary.glob(f"{PREFIX}*")) == []
