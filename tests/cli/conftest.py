"""The command line in this process, and what must be true whenever it fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from descant.host.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run the command in this process: exit code, standard output, standard error."""
    before, on_interrupt = dict(os.environ), signal.getsignal(signal.SIGINT)

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return (end.value.code if isinstance(end.value.code, int) else 0), out, err

    yield call
    os.environ.clear()
    os.environ.update(before)
    signal.signal(signal.SIGINT, on_interrupt)


@pytest.fixture
def fails(run: Run, tmp_path: Path) -> Callable[..., list[str]]:
    """Run something that must fail with 1: its three lines. Nothing may be left where it was to write."""

    def call(*words: object) -> list[str]:
        out_folder = tmp_path / "out"
        out_folder.mkdir(exist_ok=True)
        code, _, err = run(*(out_folder / "x.wav" if word == "OUT" else word for word in words))
        assert code == 1, err
        lines = err.rstrip("\n").split("\n")
        assert len(lines) == 3 and all(lines), err
        assert "Traceback" not in err
        assert list(out_folder.iterdir()) == []
        return lines

    return call
