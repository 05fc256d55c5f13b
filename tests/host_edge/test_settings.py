"""Threads and endpoints are set before anything runs."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from descant.host.edge.settings import Timings, default_endpoint, default_threads, thread_environment


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 1), (6, 3), (8, 4), (64, 4)])
def test_a_core_or_more_is_left_to_the_daw(cores: int, threads: int) -> None:
    assert default_threads(cores) == threads
    assert cores == 1 or threads < cores


def test_torch_in_a_child_has_the_threads_it_was_given_and_waits_passively() -> None:
    words = "import os, torch; print(torch.get_num_threads(), os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run(
        [sys.executable, "-c", words],
        env=thread_environment(1),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["1", "PASSIVE"]
    assert thread_environment(3, {"A": "b"}) | {"OMP_NUM_THREADS": "3", "A": "b"} == thread_environment(
        3, {"A": "b"}
    )


def test_the_default_endpoint_is_in_a_folder_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = Path(default_endpoint().removeprefix("ipc://"))
    assert path.parent.is_dir() and path.is_relative_to(tmp_path)
    assert stat.S_IMODE(os.stat(path.parent).st_mode) == 0o700


def test_without_a_runtime_folder_there_is_an_endpoint_and_not_a_word(tmp_path: Path) -> None:
    words = "from descant.host.edge.settings import default_endpoint; print(default_endpoint())"
    environment = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", words],
        env={**environment, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and done.stdout.startswith("ipc://"), done.stderr
    assert done.stderr == ""


def test_restarts_wait_longer_and_longer() -> None:
    timings = Timings(backoff=(0.0, 1.0, 3.0))
    assert [timings.wait_before(restart) for restart in (1, 2, 3, 4, 99)] == [0.0, 1.0, 3.0, 3.0, 3.0]
    assert timings.stale == pytest.approx(0.15)
