"""`descant desktop`: finds the stage, or starts one, and opens the window on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from descant.host.edge.preset_files import choose_preset
from descant.host.edge.settings import stage_endpoint, takes_folder
from descant.host.edge.stage import StageOrder
from descant.host.edge.stage_process import Start, start_stage
from descant.host.errors import HostError
from descant.plugin_bridge.place import listens

OPTIONS = (
    *("preset", "seed", "rate", "block", "endpoint", "model", "threads", "presets", "devices", "midi"),
    "controllers",
)


def run(order: StageOrder, stage: str, theme: str | None, scale: int | None, takes: Path) -> None:
    """Thread: main. Show the window until it closes.

    stage: where the stage is, "" for this user's own. takes: the folder of those that are shown. Raises
    HostError where there is no Qt, no screen or no such preset.
    """
    choose_preset(order.presets, order.preset, "Nothing was started.")
    endpoint = stage or stage_endpoint()
    check_stage(endpoint)
    try:
        from descant.host.desktop import app
        from descant.host.desktop.prefs import prefs_file
    except ImportError as error:
        raise HostError(
            f"The window needs PySide6, which cannot be loaded ({error}).",
            "Everything else works: descant play is the same without a window.",
            "Install it: pip install 'descant[desktop]' (on Linux also libegl1 and libxcb-cursor0).",
        ) from error
    check_screen()
    started: list[subprocess.Popen[bytes]] = []

    def revive() -> None:
        """Start a stage unless one listens, or one that was started is still on its way."""
        if not listens(endpoint) and all(process.poll() is not None for process in started):
            started.append(start_stage(Start(endpoint, order)))

    if listens(endpoint):
        asked = [name for name in OPTIONS if getattr(order, name) != getattr(StageOrder(), name)]
        if order.takes != str(takes_folder().absolute()):
            asked.append("takes")
        if asked:
            print(
                "A stage plays already, and the window shows that one. What you asked for is not used: "
                f"{', '.join(sorted(asked))}. End it with Ctrl+Q in the window, then start again.",
                file=sys.stderr,
            )
    elif order.model not in (StageOrder().model, "tiny"):
        from descant.model.checkpoints import read_spec

        read_spec(order.model)  # a stage without its model could only be ended again
    revive()
    again = app.run(endpoint, revive, prefs_file(), takes, theme, scale)
    if again:  # Qt takes a scale once in a process's life
        words = [word for word in sys.argv[1:] if not word.startswith("--scale=")]
        if "--scale" in words:
            at = words.index("--scale")
            del words[at : at + 2]
        os.execv(sys.executable, [sys.executable, "-m", "descant.host.cli", *words])


def check_stage(endpoint: str) -> None:
    """Raise HostError unless it is a place on this machine that a stage can have."""
    if sys.platform == "win32":
        raise HostError(
            "The window is not there for Windows yet: live audio is not.",
            "Everything else works: the plugin in a DAW, render, play with a file.",
            "Play through a DAW.",
        )
    if not endpoint.startswith("ipc:///"):
        raise HostError(
            f"{endpoint!r} is no place for a stage.",
            "Nothing was started.",
            "Name one such as ipc:///run/user/1000/descant/stage, or none.",
        )


def check_screen() -> None:
    """Raise HostError where Qt would end the process for want of a screen."""
    wanted = os.environ.get("QT_QPA_PLATFORM", "")
    if sys.platform == "linux" and not wanted:
        if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
            raise HostError(
                "There is no screen: neither DISPLAY nor WAYLAND_DISPLAY is set.",
                "Nothing was started; descant play needs no screen.",
                "Run it within a desktop session.",
            )
