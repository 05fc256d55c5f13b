"""`descant play` on a real terminal ends in order, by Ctrl-C or a signal, and the terminal is as it was."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import termios
import time

import pytest

from tools.stage_rig import environment_of

pytestmark = [pytest.mark.jack, pytest.mark.slow]
PATIENCE = 90.0


class Played:
    """The command as the leader of a terminal's session, and what it wrote there."""

    def __init__(self, environment: dict[str, str], *words: str) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            command = [sys.executable, "-m", "descant.host.cli", "play", *words]
            os.execve(command[0], command, environment)
        self.text = ""

    def until(self, words: str) -> None:
        """Read on until it has said so."""
        began = time.monotonic()
        while words not in self.text:
            assert time.monotonic() - began < PATIENCE, self.text
            self._read(0.2)

    def ended(self) -> int:
        """Wait; its exit status, below 0 where a signal ended it."""
        began = time.monotonic()
        while True:
            self._read(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._read(0.2)
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() - began < PATIENCE, self.text

    def _read(self, seconds: float) -> None:
        if select.select([self.screen], [], [], seconds)[0]:
            try:
                self.text += os.read(self.screen, 65536).decode(errors="replace")
            except OSError:  # the other end has closed
                time.sleep(seconds)


@pytest.mark.parametrize("how", ["Ctrl-C", "Ctrl-C at the start", "SIGTERM", "SIGHUP"])
def test_it_ends_in_order_and_leaves_the_terminal_as_it_was(jack, tmp_path, how):
    played = Played(
        environment_of(jack), "--threads", "1", "--takes", str(tmp_path), "--prompt", "slow piano"
    )
    before = termios.tcgetattr(played.screen)
    if how == "Ctrl-C at the start":
        time.sleep(1.0)
        os.write(played.screen, b"\x03")
    else:
        played.until("playing")
        played.until("slow piano")
        if how == "Ctrl-C":
            os.write(played.screen, b"\x03")
        else:
            os.kill(played.pid, getattr(signal, how))
    status = played.ended()
    assert status >= 0, played.text  # it ended itself
    for noise in ("Traceback", "Fatal Python error", "Exception ignored"):
        assert noise not in played.text, played.text
    if how != "Ctrl-C at the start":
        assert status == 0 and " blocks, " in played.text
    assert termios.tcgetattr(played.screen)[3] == before[3]  # echo and lines
    os.close(played.screen)
