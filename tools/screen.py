"""A screen without a screen: Xvfb on a free display, somebody at its keys and mouse, and pictures of it.

Knows nothing about Descant's insides; tests of the window use it.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]  # [rows, columns, 3], red first
SIZE = (1360, 860)


class Screen:
    """display: its name, such as ":7". Raises RuntimeError where there is no Xvfb or no xdotool."""

    def __init__(self, width: int = SIZE[0], height: int = SIZE[1]) -> None:
        if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
            raise RuntimeError("Xvfb or xdotool is not installed: tools/setup test would like them")
        self._folder = tempfile.TemporaryDirectory()
        read, write = os.pipe()
        words = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"]
        self._process = subprocess.Popen(
            [*words, "-fbdir", self._folder.name],
            pass_fds=(write,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as told:
            number = told.readline().strip()
        if not number:
            raise RuntimeError("Xvfb did not start")
        self.display = f":{number}"

    def windows(self, title: str) -> list[int]:
        """Those that are shown under a title, the newest last."""
        found = self._tool("search", "--onlyvisible", "--name", f"^{title}$")
        return [int(line) for line in found.split()]

    def focus(self, window: int) -> None:
        """There is no window manager: who shall hear keys is said by us."""
        self._tool("windowfocus", str(window))

    def place(self, window: int) -> tuple[int, int, int, int]:
        """Left, top, width and height in pixels."""
        told = dict(
            line.split("=") for line in self._tool("getwindowgeometry", "--shell", str(window)).split()
        )
        return int(told["X"]), int(told["Y"]), int(told["WIDTH"]), int(told["HEIGHT"])

    def key(self, *names: str) -> None:
        """Press and let go, such as "1", "Escape", "ctrl+t"."""
        self._tool("key", *names)

    def click(self, x: int, y: int, button: int = 1) -> None:
        """Move the mouse there and press."""
        self._tool("mousemove", str(x), str(y), "click", str(button))

    def drag(self, start: tuple[int, int], end: tuple[int, int], button: int = 1) -> None:
        """Press at one place, move in steps, let go at the other."""
        words = ["mousemove", *map(str, start), "mousedown", str(button)]
        for step in range(1, 9):
            at = (round(a + (b - a) * step / 8) for a, b in zip(start, end, strict=True))
            words += ["mousemove", *map(str, at)]
        self._tool(*words, "mouseup", str(button))

    def picture(self) -> Picture:
        """What is on the screen now."""
        data = (Path(self._folder.name) / "Xvfb_screen0").read_bytes()
        header = struct.unpack(">25I", data[:100])  # XWDFile.h: sizes and places, big-endian
        size, columns, rows, byte_order, a_line, colours = (header[i] for i in (0, 4, 5, 7, 12, 19))
        pixels = np.frombuffer(data, np.uint8, rows * a_line, size + 12 * colours).reshape(rows, a_line)
        four = pixels[:, : 4 * columns].reshape(rows, columns, 4)
        return np.ascontiguousarray(four[..., 2::-1] if byte_order == 0 else four[..., 1:])

    def close(self) -> None:
        """Harmless when repeated."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._folder.cleanup()

    def _tool(self, *words: str) -> str:
        environment = {**os.environ, "DISPLAY": self.display}
        done = subprocess.run(
            ["xdotool", *words], env=environment, capture_output=True, text=True, timeout=20
        )
        return done.stdout


def save(picture: Picture, path: Path) -> None:
    """As a PNG."""
    from matplotlib.image import imsave

    imsave(path, picture)
