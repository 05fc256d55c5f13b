"""The window: its parts in their places, the keys, and what each part wants told to the stage."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from descant.host.desktop import keys, loops, pads
from descant.host.desktop.browser import Browser
from descant.host.desktop.dash import GONE, Dash
from descant.host.desktop.devices import Devices
from descant.host.desktop.hum import HumPage
from descant.host.desktop.keys import Keys
from descant.host.desktop.link import REPLACED, StageLink
from descant.host.desktop.loops import LoopStrip
from descant.host.desktop.meters import Meters
from descant.host.desktop.midi import MidiPage
from descant.host.desktop.notices import Notices
from descant.host.desktop.pads import PadGrid
from descant.host.desktop.plan import PlanStrip
from descant.host.desktop.prefs import SCALES, Prefs, save_prefs
from descant.host.desktop.surface import Surface
from descant.host.desktop.takes import TakesPage
from descant.host.desktop.theme import GAP, THEMES, Style
from descant.host.edge import stage_words as words

MOVE_MS = 40
"""The surface tells where its point is so often, at most: each telling costs the engine a rewind."""
SMALLEST = (900, 516)


class Window(QWidget):
    """link: to the stage. prefs, prefs_file: what is remembered, and where. takes: the folder of takes.
    again: whether it is to be opened anew at another scale, once it has closed.
    """

    def __init__(self, link: StageLink, style: Style, prefs: Prefs, prefs_file: Path, takes: Path) -> None:
        super().__init__()
        self.link, self.look, self.prefs = link, style, prefs
        self.again = False
        self._prefs_file = prefs_file
        self._view: words.View = GONE
        self._last_slot = 0
        self._plane: words.Plane | None = None
        self._leaving = False
        self.setWindowTitle("Descant")
        self.setAccessibleName("Descant")
        self.setMinimumSize(*SMALLEST)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.dash, self.plan, self.meters = Dash(style), PlanStrip(style), Meters(style)
        self.pads, self.loops, self.notices = PadGrid(style), LoopStrip(style), Notices(style)
        self.surface, self.browser = Surface(style), Browser(style)
        self.hum, self.devices = HumPage(style), Devices(prefs.theme, prefs.scale)
        self.takes, self.midi = TakesPage(style, takes), MidiPage(style)
        self.tap, self.panic = QPushButton("Tap"), QPushButton("Panic")
        self.tabs, self.pages = QButtonGroup(self), QStackedWidget()
        self._lay()
        self._connect()
        self._shortcuts()
        self._mover = QTimer(self)
        self._mover.setSingleShot(True)
        self._mover.setInterval(MOVE_MS)
        self._mover.timeout.connect(self._tell_plane)
        style.changed.connect(self._dress)
        self._dress()
        self.setFocus()

    def tell(self, asked: words.Asked) -> None:
        """Something for the stage to do."""
        self.link.tell(asked)

    def act(self, what: str, value: float = 1.0, down: bool = True) -> None:
        """What a controller's binding could do, too."""
        self.tell(words.Act(what, value, down))

    # places

    def _lay(self) -> None:
        for button, tip in ((self.tap, "Tap the tempo (B)"), (self.panic, "Everything stops (Esc)")):
            button.setToolTip(tip)
            button.setAccessibleDescription(tip)
            button.setFixedWidth(78)
        top = QHBoxLayout()
        top.setSpacing(GAP)
        top.addWidget(self.dash, 1)
        buttons = QVBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.panic)
        buttons.addWidget(self.tap)
        top.addLayout(buttons)
        tabs = QHBoxLayout()
        tabs.setSpacing(2)
        for number, page in enumerate(keys.PAGES):
            button = QPushButton(page)
            button.setCheckable(True)
            button.setProperty("page", True)
            button.setToolTip(f"{page} (F{number + 1})")
            button.setAccessibleDescription("page")
            self.tabs.addButton(button, number)
            tabs.addWidget(button)
        tabs.addStretch(1)
        self.tabs.button(0).setChecked(True)
        for part in (self.surface, self.browser, self.hum, self.takes, self.devices, self.midi, Keys()):
            self.pages.addWidget(part)
        desk = QVBoxLayout()
        desk.setSpacing(6)
        desk.addLayout(tabs)
        desk.addWidget(self.pages, 1)
        middle = QGridLayout()
        middle.setSpacing(GAP)
        middle.addWidget(self.pads, 0, 0)
        middle.addLayout(desk, 0, 1)
        middle.addWidget(self.meters, 0, 2)
        middle.setColumnStretch(0, 10)
        middle.setColumnStretch(1, 7)
        column = QVBoxLayout(self)
        column.setContentsMargins(GAP, GAP, GAP, GAP)
        column.setSpacing(GAP)
        column.addLayout(top)
        column.addWidget(self.plan)
        column.addLayout(middle, 10)
        column.addWidget(self.loops, 3)
        column.addWidget(self.notices)

    def _connect(self) -> None:
        self.link.viewed.connect(self.show_view)
        self.link.gone.connect(lambda: self.show_view(GONE))
        self.link.replaced.connect(lambda: self.notices.tell(REPLACED))
        self.pads.pressed.connect(self.play)
        self.loops.asked.connect(lambda number, action: self.act(f"loop {number + 1} {action}"))
        self.surface.moved.connect(self._move)
        self.browser.chosen.connect(lambda name: self.tell(words.Choose(name)))
        self.browser.starred.connect(self._star)
        self.hum.asked.connect(self.act)
        self.takes.asked.connect(self.tell)
        self.takes.told.connect(self.notices.tell)
        self.midi.asked.connect(self.tell)
        self.devices.asked.connect(self.tell)
        self.devices.theme.connect(self.use_theme)
        self.devices.scale.connect(self.use_scale)
        self.tap.pressed.connect(lambda: self.act("tap"))
        self.panic.pressed.connect(lambda: self.act("panic"))
        self.tabs.idClicked.connect(self.pages.setCurrentIndex)

    def _on(self, sequence: str, do: Callable[..., object], *given: object) -> None:
        shortcut = QShortcut(QKeySequence(sequence), self)
        shortcut.setAutoRepeat(False)
        shortcut.activated.connect(partial(do, *given))

    def _shortcuts(self) -> None:
        for number, key in enumerate(pads.KEYS):
            self._on(key, self.play, number)
        for number, key in enumerate(loops.KEYS, 1):
            self._on(key, self.act, f"loop {number} press")
            self._on(f"Shift+{key}", self.act, f"loop {number} stop")
            self._on(f"Alt+{key}", self.act, f"loop {number} capture")
        for number in range(len(keys.PAGES)):
            self._on(f"F{number + 1}", self.show_page, number)
        for key, what in (("H", "hum arm"), ("Shift+H", "hum last"), ("G", "hum generate")):
            self._on(key, self._hum, what)
        self._on("Esc", self._escape)
        self._on("P", self.start_stop)
        self._on("B", self.act, "tap")
        self._on("C", self.meters.forget)
        self._on("/", self.show_page, keys.PAGES.index("Presets"))
        self._on("Ctrl+F", self.show_page, keys.PAGES.index("Takes"))
        self._on("Ctrl+T", self._other_theme)
        for key in ("Ctrl++", "Ctrl+="):
            self._on(key, self._other_scale, 1)
        self._on("Ctrl+-", self._other_scale, -1)
        self._on("F11", self._full_screen)
        self._on("Ctrl+Q", self.quit)
        self._on("Ctrl+W", self.leave)

    # what is wanted

    def play(self, number: int) -> None:
        """A pad, from 0."""
        if number < len(self.pads.pads):
            if not self.pads.pads[number].pad.stop:
                self._last_slot = number
            self.act(f"slot {number + 1}")

    def start_stop(self) -> None:
        """Stop what is generated on its line if it sounds, else start the last pad again."""
        stop = next((pad.number for pad in self.pads.pads if pad.pad.stop), None)
        if self._view.phase not in ("generating", "late"):
            self.play(self._last_slot)
        elif stop is not None:
            self.play(stop)
        else:
            self.act(f"slot {self._last_slot + 1}", down=False)

    def _escape(self) -> None:
        """Nothing is learnt any more; where nothing was, everything stops."""
        if self.midi.learning:
            self.midi.cancel()
        else:
            self.act("panic")

    def _hum(self, what: str) -> None:
        """A key hums: what comes of it is seen at once."""
        self.tabs.button(keys.PAGES.index("Hum")).setChecked(True)
        self.pages.setCurrentIndex(keys.PAGES.index("Hum"))
        self.act(what)

    def show_page(self, number: int) -> None:
        """A page by its number, with the keyboard in it."""
        self.tabs.button(number).setChecked(True)
        self.pages.setCurrentIndex(number)
        arm = self.hum.buttons["hum arm"]
        parts = (
            self.surface,
            self.browser.search,
            arm,
            self.takes.search,
            self.devices.device,
            self.midi.list,
        )
        part = (*parts, self.tabs.button(number))[number]
        part.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def quit(self) -> None:
        """No sound any more, and no window."""
        self.tell(words.Quit())
        self.leave()

    def leave(self) -> None:
        """The window closes; the sound goes on."""
        self._leaving = True
        self.close()

    def use_theme(self, name: str) -> None:
        """Another theme, remembered."""
        self.look.use(THEMES[name])
        self._remember(theme=name)

    def use_scale(self, percent: int) -> None:
        """Another scale: the window is opened again at it; the sound does not notice."""
        if percent != self.prefs.scale:
            self._remember(scale=percent)
            self.again = True
            self.leave()

    def _full_screen(self) -> None:
        if self.isFullScreen():
            self.showNormal()
        else:
            self.showFullScreen()

    def _other_theme(self) -> None:
        names = list(THEMES)
        name = names[(names.index(self.look.theme.name) + 1) % len(names)]
        self.devices.themes.setCurrentIndex(self.devices.themes.findData(name))
        self.use_theme(name)

    def _other_scale(self, step: int) -> None:
        at = min(range(len(SCALES)), key=lambda index: abs(SCALES[index] - self.prefs.scale))
        self.use_scale(SCALES[min(max(at + step, 0), len(SCALES) - 1)])

    def _star(self, name: str) -> None:
        kept = self.prefs.favourites
        kept = tuple(other for other in kept if other != name) if name in kept else (*kept, name)
        self._remember(favourites=kept)
        self._show_presets()

    def _remember(self, **changes: object) -> None:
        self.prefs = msgspec.structs.replace(self.prefs, **changes)
        if (error := save_prefs(self._prefs_file, self.prefs)) is not None:
            self.notices.tell(words.Notice(0, "warning", error.what, error.still, error.do))

    def _move(self, plane: words.Plane) -> None:
        self._plane = plane
        if not self._mover.isActive():
            self._tell_plane()

    def _tell_plane(self) -> None:
        if self._plane is not None:
            self.tell(self._plane)
            self._plane = None
            self._mover.start()

    # what is shown

    def show_view(self, view: words.View) -> None:
        """How things stand, everywhere."""
        self._view = view
        furniture = self.link.furniture
        rate = furniture.rate if furniture else 48000
        if view.furniture is not None:
            self.pads.show_pads(view.furniture.pads)
            self.pads.set_rate(rate)
            self._show_presets()
        if view.slot >= 0:
            self._last_slot = view.slot
        self.dash.show_view(view)
        self.pads.show_view(view)
        self.plan.show_view(view, rate)
        self.meters.show_view(view)
        self.loops.show_view(view, self.link.outlines, rate)
        self.notices.show_view(view)
        self.surface.show_view(view, furniture.pads if furniture else ())
        self.hum.show_hum(view.hum)
        self.takes.show_view(view, furniture)
        if self.pages.currentWidget() is self.devices:
            self.devices.show_view(view, furniture)
        self.midi.show_view(view, furniture)

    def _show_presets(self) -> None:
        furniture = self.link.furniture
        if furniture is not None:
            self.browser.show_presets(furniture.presets, furniture.preset, set(self.prefs.favourites))

    def _dress(self) -> None:
        self.setStyleSheet(self.look.sheet())

    def closeEvent(self, event: QCloseEvent) -> None:
        """Where something sounds, it is asked what shall become of it."""
        loops_play = any(slot.state not in ("empty", "stopped") for slot in self._view.loops)
        if not self._leaving and (loops_play or self._view.phase in ("generating", "late")):
            box = QMessageBox(self)
            box.setWindowTitle("Descant")
            box.setText("Music is playing.")
            box.setInformativeText("It can play on without the window; opening Descant again finds it.")
            stop = box.addButton("Stop and quit", QMessageBox.ButtonRole.DestructiveRole)
            on = box.addButton("Play on", QMessageBox.ButtonRole.AcceptRole)
            box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
            box.setDefaultButton(on)
            box.exec()
            if box.clickedButton() is stop:
                self.tell(words.Quit())
            elif box.clickedButton() is not on:
                event.ignore()
                return
        elif not self._leaving:
            self.tell(words.Quit())
        self.takes.close_shelf()
        event.accept()
