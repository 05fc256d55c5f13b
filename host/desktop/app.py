"""The window as a program: Qt at the scale that is wanted, one window, one link to the stage.

Thread: main, everywhere in this package.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from descant.host.desktop.link import StageLink
from descant.host.desktop.prefs import load_prefs
from descant.host.desktop.theme import THEMES, Style, font
from descant.host.desktop.window import Window

SIZE = (1280, 800)


def run(
    endpoint: str,
    revive: Callable[[], object],
    prefs_file: Path,
    takes: Path,
    theme: str | None = None,
    scale: int | None = None,
) -> bool:
    """Show the window until it closes. True: open it again, another scale is wanted.

    endpoint: of the stage. revive: starts one where none listens. takes: the folder of takes. theme, scale:
    instead of what is remembered.
    """
    prefs = load_prefs(prefs_file)
    prefs = msgspec.structs.replace(prefs, theme=theme or prefs.theme, scale=scale or prefs.scale)
    os.environ["QT_SCALE_FACTOR"] = f"{prefs.scale / 100:g}"
    app = QApplication(["descant"])
    app.setApplicationName("Descant")
    app.setDesktopFileName("descant")
    app.setStyle("Fusion")
    app.setFont(font(13))
    signal.signal(signal.SIGINT, lambda *_: app.quit())
    alive = QTimer()  # lets Python see signals
    alive.start(200)
    alive.timeout.connect(lambda: None)
    style = Style(THEMES[prefs.theme])
    link = StageLink(endpoint, revive)
    window = Window(link, style, prefs, prefs_file, takes)
    room = app.primaryScreen().availableSize()
    window.resize(min(SIZE[0], room.width()), min(SIZE[1], room.height()))
    window.show()
    app.exec()
    link.close()
    return window.again
