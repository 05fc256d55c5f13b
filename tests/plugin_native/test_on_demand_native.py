"""A host that nobody started: a plugin does if the user's file allows it, three share it, it ends."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.plugin_bridge.small_host import ipc_endpoint
from tests.plugin_native import rig
from tests.plugin_native.rig import NativeDaw
from tests.plugin_native.test_core_native import until

BLOCK = 480


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `descant` that notes each start of it; the configuration is a test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("DESCANT_ENDPOINT", raising=False)
    (tmp_path / "config" / "descant").mkdir(parents=True)
    script = tmp_path / "descant"
    words = f'exec {sys.executable} -c "from descant.host.cli import main; main()" "$@" --idle 2'
    script.write_text(f'#!/bin/sh\necho $$ "$@" >> {tmp_path}/started\n{words}\n')
    script.chmod(0o755)
    return script


def started(program: Path) -> list[list[str]]:
    file = program.parent / "started"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def allow(program: Path, *lines: str) -> None:
    (program.parent / "config" / "descant" / "plugin.toml").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_three_plugins_start_one_host_have_a_session_each_and_it_ends_after_them(lib, program):
    with ipc_endpoint() as endpoint:
        allow(program, f'endpoint = "{endpoint}"', f'start_host = "{program}"')
        daws = [NativeDaw(lib, "") for _ in range(3)]
        heard: list[list[np.ndarray]] = [[], [], []]

        def turn() -> None:
            for daw, blocks in zip(daws, heard, strict=True):
                blocks.append(daw.process(BLOCK))
            time.sleep(BLOCK / 48000)

        for seed, daw in enumerate(daws):
            daw.set(rig.SEED, seed + 1)
        until(lambda: all(daw.report["state"] == rig.LIVE for daw in daws), turn, seconds=120)
        for daw in daws:
            daw.set(rig.PLAY, 1)
        until(lambda: all(blocks[-1].any() for blocks in heard), turn, seconds=60)
        for _ in range(50):
            turn()
        tails = [np.concatenate(blocks[-50:], axis=1) for blocks in heard]
        assert all(tail.any() for tail in tails)
        assert not np.array_equal(tails[0], tails[1]) and not np.array_equal(tails[1], tails[2])
        (line,) = started(program)
        assert line[1:] == ["host", "--on-demand", "--endpoint", endpoint]
        assert lives(int(line[0])) and os.getsid(int(line[0])) != os.getsid(0)
        for daw in daws:
            daw.close()
        until(lambda: not lives(int(line[0])), lambda: time.sleep(0.05), seconds=60)


@pytest.mark.parametrize(
    ("lines", "saved"),
    [
        ([], b""),
        (['start_host = "descant"'], b""),  # not a whole path
        (['start_host = "{program}"'], b"ipc:///tmp/descant-a-place-of-a-projects"),
    ],
)
def test_nothing_is_started_that_the_users_file_does_not_allow(lib, program, monkeypatch, lines, saved):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(program.parent))
    allow(program, *(line.replace("{program}", str(program)) for line in lines))
    daw = NativeDaw(lib, "")
    if saved:
        daw.settings(b"descant-plugin 2\nendpoint=" + saved + b"\npreset=\nmodel=\nweights=\n")
    until(lambda: daw.report["state"] == rig.LOOKING, seconds=10)
    end = time.monotonic() + 1.2  # more than it waits before it would
    until(lambda: time.monotonic() > end, lambda: time.sleep(0.02))
    daw.close()
    assert not started(program)
