"""The takes: found by words, heard beside the music, given stars, exported, dragged out; none is removed."""

from __future__ import annotations

import os
from pathlib import Path

from PySide6.QtCore import QDir, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from descant.host.desktop.dash import GONE
from descant.host.desktop.part import Line
from descant.host.desktop.take_rows import TakeList, TakeRows
from descant.host.desktop.take_shelf import Shelf, Shown
from descant.host.desktop.theme import Style, font
from descant.host.edge import stage_words as words
from descant.host.errors import HostError
from descant.host.takes import file_name

AGAIN_MS = 3000
"""What is recorded meanwhile is looked for so often, while the page is seen."""
ENDINGS = (".wav", ".flac")
FILTERS = "WAV, the same samples (*.wav);;FLAC, 24 bits (*.flac)"


class TakesPage(QWidget):
    """asked: what the stage is to do. told: a notice, of three lines."""

    asked = Signal(object)
    told = Signal(object)

    def __init__(self, style: Style, folder: Path) -> None:
        super().__init__()
        self.setAccessibleName("Takes")
        self.shelf = Shelf(folder)
        self._rows = TakeRows(folder)
        self._view: words.View = GONE
        self._known = False  # whether anything was found or lost yet
        self._begun = 0  # takes of the stage's so far
        self._into: str | None = None  # the folder it records into, "" for none; None: not known
        self._chosen = -1  # the take under the cursor, kept while it is not found
        self.dialog: QFileDialog | QMessageBox | None = None
        self._saved_to = str(Path.home())
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search: words, key, model")
        self.search.setAccessibleName("Search takes")
        self.search.setClearButtonEnabled(True)
        self.search.setMaxLength(100)
        self.list = TakeList(style, self._rows)
        self.line = Line("How the takes are")
        self.line.setFont(font(12))
        self.listen, self.export, self.copy = (
            QPushButton("Listen"),
            QPushButton("Export"),
            QPushButton("Copy"),
        )
        for button, does in (
            (self.export, "Write the take to a WAV or FLAC file (Ctrl + E)"),
            (self.copy, "Copy the take's file, to be pasted into another program (Ctrl + C)"),
        ):
            button.setToolTip(does)
            button.setAccessibleDescription(does)
        above = QHBoxLayout()
        above.setSpacing(4)
        above.addWidget(self.search, 1)
        for button in (self.listen, self.export, self.copy):
            above.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(above)
        column.addWidget(self.list, 1)
        column.addWidget(self.line)
        self._timer = QTimer(self)
        self._timer.setInterval(AGAIN_MS)
        self._connect()
        self._show_buttons()

    def show_view(self, view: words.View, furniture: words.Furniture | None) -> None:
        """How things stand."""
        self._view = view
        self._rows.hear(view.listened, view.listened_seconds)
        into = furniture.takes if furniture is not None else None
        if into != self._into:
            self._into = into
            self._say_how(self.search.text())
        if view is not GONE and view.takes != self._begun:
            self._begun = view.takes
            if self.isVisible():
                self.look()
        self._show_buttons()

    def close_shelf(self) -> None:
        """Do what was asked, and let go of the takes."""
        self._timer.stop()
        self.shelf.close()

    def showEvent(self, event: QShowEvent) -> None:
        self._timer.start()
        self.look()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()

    def look(self) -> None:
        """Find again what is looked for."""
        self.shelf.look(self.search.text())

    # what is wanted

    def _connect(self) -> None:
        self._timer.timeout.connect(self.look)
        self.search.textChanged.connect(lambda _: self.look())
        self.search.returnPressed.connect(lambda: self.list.setFocus(Qt.FocusReason.ShortcutFocusReason))
        self.list.listened.connect(self._listen)
        self.list.rated.connect(self.shelf.rate)
        self.list.exported.connect(self._export)
        self.list.copied.connect(self._copy)
        self.list.selectionModel().currentChanged.connect(lambda *_: self._moved())
        self.listen.clicked.connect(lambda: self._listen())
        self.export.clicked.connect(lambda: self._export())
        self.copy.clicked.connect(lambda: self._copy())
        self.shelf.found.connect(self._found)
        self.shelf.lost.connect(self._lost)
        self.shelf.rated.connect(self._rated)
        self.shelf.told.connect(self.told)

    def _row(self) -> Shown | None:
        """The take that is meant, if its file is there; else it is told that it is not."""
        row = self.list.row()
        if row is not None and row.state == "gone":
            number = row.take.number
            self._tell(
                f"The sound of take {number} has gone: {self._rows.path(row)} is not there.",
                "What is known of it is kept; all others are as they were, and the music plays on.",
                f"Put the file back, or make it again: descant takes render {number}.",
            )
            return None
        return row

    def _listen(self) -> None:
        if self._view.listened:
            row = self.list.row()
            if row is None or self._rows.path(row) == self._view.listened:
                self.asked.emit(words.Listen(""))
                return
        row = self._row()
        if row is not None and (why := self._why_not()):
            self._tell(why, "Takes can be found, rated and exported.", "Listen again when sound is back.")
        elif row is not None:
            self.asked.emit(words.Listen(self._rows.path(row)))

    def _why_not(self) -> str:
        """Why no take could be heard now, "" where one could."""
        if self._view is GONE:
            return "No take can be listened to: the stage, which makes all sound, does not answer."
        if not self._view.device:
            return f"No take can be listened to: no audio device plays ({self._view.device_why})."
        return ""

    def _copy(self) -> None:
        row = self._row()
        if row is not None:
            at = self.list.currentIndex()
            QGuiApplication.clipboard().setMimeData(self._rows.mimeData([at]))
            self.line.say(f"Copied: the file of take {row.take.number}")

    def _export(self) -> None:
        row = self._row()
        if row is None:
            return
        dialog = QFileDialog(self, f"Export take {row.take.number}", self._saved_to, FILTERS)
        dialog.setOptions(QFileDialog.Option.DontUseNativeDialog | QFileDialog.Option.DontConfirmOverwrite)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setFilter(QDir.Filter.AllDirs | QDir.Filter.Files | QDir.Filter.NoDotAndDotDot)
        dialog.selectFile(file_name(row.take.name).removesuffix(".wav"))  # its kind says how it ends
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        number = row.take.number
        dialog.fileSelected.connect(lambda name: self.write(number, name, dialog.selectedNameFilter()))
        self.dialog = dialog
        dialog.open()

    def write(self, number: int, name: str, kind: str = "") -> None:
        """Export a take to a file of that name, whose ending is that of the kind where it has none; a file
        that is there is asked about."""
        target = Path(name)
        if target.suffix.lower() not in ENDINGS:
            target = target.with_name(target.name + (".flac" if "flac" in kind else ".wav"))
        self._saved_to = str(target.parent)
        if not os.path.lexists(target):
            self._written(number, target, False)
            return
        box = QMessageBox(self)
        box.setWindowTitle("Descant")
        box.setText(f"{target.name} is there already.")
        box.setInformativeText("If it is replaced, what is in it now is lost.")
        replace = box.addButton("Replace", QMessageBox.ButtonRole.DestructiveRole)
        cancel = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(cancel)
        box.setEscapeButton(cancel)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        replace.clicked.connect(lambda: self._written(number, target, True))
        self.dialog = box
        box.open()

    def _written(self, number: int, target: Path, replace: bool) -> None:
        self.line.say(f"Writing take {number} …")
        self.shelf.export(number, target, replace)

    def _moved(self) -> None:
        row = self.list.row()
        self._chosen = row.take.number if row is not None else self._chosen
        self._show_buttons()

    # what is shown

    def _found(self, text: str, rows: tuple[Shown, ...]) -> None:
        if text != self.search.text():
            return  # other words are on their way
        chosen, changed = self._chosen, self._rows.show(rows)
        if changed and rows:
            at = next((place for place, row in enumerate(rows) if row.take.number == chosen), 0)
            self.list.setCurrentIndex(self._rows.index(at))
        known, self._known = self._known, True
        if changed or not known:
            self._say_how(text)
        self._show_buttons()

    def _say_how(self, text: str) -> None:
        """How many there are, and whether what is played is among them. text: what was looked for."""
        if not self._known:
            return  # why not is said already
        rows = self._rows.rows
        one = "1 take" if len(rows) == 1 else f"{len(rows)} takes"
        none = f"No take holds “{text}”" if text else "No take yet"
        where = str(self.shelf.folder)
        if self._into == "":
            where = "nothing is recorded (--no-takes)"
        elif self._into not in (None, where):
            where = f"recorded elsewhere: {self._into}"
        self.line.say(f"{one if rows else none} · {where}")

    def _rated(self, number: int, rating: int) -> None:
        self._rows.settled(number, rating)
        self.look()

    def _lost(self, error: HostError) -> None:
        self._known = False
        self._rows.show(())
        self.line.say(error.what)
        self._show_buttons()

    def _show_buttons(self) -> None:
        row, listened = self.list.row(), self._view.listened
        stops = bool(listened) and (row is None or self._rows.path(row) == listened)
        does = "Silence (Enter)" if stops else self._why_not() or "Hear the take beside the music (Enter)"
        if self.listen.toolTip() != does:
            self.listen.setText("Stop" if stops else "Listen")
            self.listen.setToolTip(does)
            self.listen.setAccessibleDescription(does)
        self.listen.setEnabled(stops or row is not None)
        for button in (self.export, self.copy):
            button.setEnabled(row is not None)

    def _tell(self, what: str, still: str, do: str) -> None:
        self.told.emit(words.Notice(0, "warning", what, still, do))
