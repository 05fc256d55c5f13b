"""Windows without a stage and without a screen, for all tests of the window; what they tell is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from descant.host.edge import stage_words as words

if TYPE_CHECKING:
    from descant.host.desktop.link import StageLink
    from descant.host.desktop.window import Window

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
SMALLEST = (900, 516)


@dataclass
class Bare:
    """A window. told: what it told the stage, oldest first."""

    window: Window
    link: StageLink
    told: list[Any]

    def show(self, view: words.View) -> None:
        """The stage answers with a view, as it travels."""
        self.window.show_view(self.link._taken(words.read_view(words.pack(view))))


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Callable[..., Bare]]:
    """Opens windows of the smallest size."""
    pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not there: pip install 'descant[desktop]'")
    from PySide6.QtWidgets import QApplication

    from descant.host.desktop.link import StageLink
    from descant.host.desktop.prefs import Prefs
    from descant.host.desktop.theme import THEMES, Style
    from descant.host.desktop.window import Window

    app = QApplication.instance() or QApplication(["descant"])
    made: list[Bare] = []

    def opened(takes: Path = tmp_path / "takes") -> Bare:
        link = StageLink(f"ipc://{tmp_path / 'nobody'}")
        window = Window(link, Style(THEMES["dark"]), Prefs(), tmp_path / "desktop.json", takes)
        one = Bare(window, link, [])
        link.tell = one.told.append
        made.append(one)
        window.resize(*SMALLEST)
        window.show()
        app.processEvents()
        return one

    yield opened
    for one in made:
        one.window.leave()
        one.link.close()
    app.processEvents()
