"""MIDI: the controllers that are there, what each is bound to and said last; bindings learnt and removed."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from descant.host.desktop.lesson import NONE, Row, mode_of, place_after, rows_of, summary
from descant.host.desktop.lesson_bar import LessonBar, announce
from descant.host.desktop.part import Line, title
from descant.host.desktop.theme import BOLD, Style, font
from descant.host.edge import stage_words as words
from descant.host.functions import groups


class MidiPage(QWidget):
    """asked: a step of learning, for the stage."""

    asked = Signal(object)

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.setAccessibleName("MIDI")
        self.look = style
        self.bar = LessonBar()
        self.list = QListWidget()
        self.list.setAccessibleName("Controllers and what they are bound to")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.line = Line("How the controllers are", 2)
        self.line.setFont(font(12))
        self.line.say(NONE)
        self.undo, self.remove = QPushButton("Undo"), QPushButton("Remove")
        self.remove.setToolTip("The control does what the preset says again (Delete)")
        self.remove.setAccessibleDescription(self.remove.toolTip())
        self._controls: tuple[words.Controls, ...] = ()
        self._rows: list[Row] = []
        self._armed = ""  # asked of the stage, which has not said yet that it is so
        self._read = ""  # what was learnt and has been read
        self._said = ""
        below = QHBoxLayout()
        below.setSpacing(4)
        below.addWidget(self.line, 1)
        for button in (self.undo, self.remove, self.bar.replace, self.bar.cancels[1]):
            below.addWidget(button)
        for button in (self.bar.replace, self.bar.cancels[1]):
            button.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.bar)
        column.addWidget(self.list, 1)
        column.addLayout(below)
        self.bar.asked.connect(self._ask)
        self.undo.clicked.connect(lambda: self._ask(words.Learn("undo")))
        self.remove.clicked.connect(self._remove)
        self.list.currentRowChanged.connect(lambda _: self._moved())
        self.list.itemActivated.connect(lambda _: self._again())
        undo = QShortcut(QKeySequence("Ctrl+Z"), self)
        undo.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        undo.activated.connect(lambda: self._ask(words.Learn("undo")))
        style.changed.connect(self._fill)
        self._show_buttons()

    @property
    def learning(self) -> bool:
        """Whether the next control that moves is waited for, or a question is open."""
        return bool(self._armed or self.bar.lesson.armed)

    def show_view(self, view: words.View, furniture: words.Furniture | None) -> None:
        """What there is, what it said, and how learning stands."""
        if furniture is not None:
            pads = tuple("Stop" if pad.stop else title(pad.text)[0] for pad in furniture.pads)
            self.bar.offer(groups(pads, len(view.loops) or 8))
        controls = furniture.controllers if furniture is not None else ()
        if controls != self._controls:
            self._controls = controls
            self._fill()
        for number, row in enumerate(self._rows):
            if row.kind == "last":
                said = view.said.get(row.port, "")
                _say(self.list.item(number), f"last: {said}" if said else row.text, "    ")
        lesson = view.lesson
        if lesson.armed == self._armed:
            self._armed = ""
        self.bar.show_lesson(lesson, self.isAncestorOf(QApplication.focusWidget() or self))
        news = "" if lesson.armed or lesson.said == self._read else lesson.said
        if not self.isVisible():
            self._read, news = lesson.said, ""
        elif news and news != self._said:
            announce(self.line, news)
        self._said = lesson.said
        text = news or summary(controls, view.midi_why)
        if text != self.line.said:
            self.line.say(text)
        self._show_buttons()

    def cancel(self) -> None:
        """Nothing is to be learnt."""
        self.bar.cancel()

    def showEvent(self, event: QShowEvent) -> None:
        self._read = self._said

    def hideEvent(self, event: QHideEvent) -> None:
        if self.learning:  # nobody would see it
            self.cancel()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        part = QApplication.focusWidget()
        if event.key() == Qt.Key.Key_Delete and part is self.list:
            self._remove()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and isinstance(part, QPushButton):
            part.click()
        else:
            super().keyPressEvent(event)

    # inside

    def _ask(self, step: words.Learn) -> None:
        self._armed = step.do if step.step == "arm" else ""
        self.asked.emit(step)

    def _row(self) -> Row | None:
        """The binding under the cursor."""
        at = self.list.currentRow()
        row = self._rows[at] if 0 <= at < len(self._rows) else None
        return row if row is not None and row.bound is not None else None

    def _remove(self) -> None:
        row = self._row()
        if row is not None and row.bound is not None:
            self._ask(words.Learn("remove", row.bound.do, row.port, row.bound.on))

    def _again(self) -> None:
        """What a control does is to be done by another one."""
        row = self._row()
        if row is not None and row.bound is not None:
            self.bar.arm(row.bound.do)

    def _moved(self) -> None:
        self._read = self._said
        self._show_buttons()

    def _show_buttons(self) -> None:
        asked = mode_of(self.bar.lesson) == "asked"
        for button in (self.undo, self.remove):
            button.setVisible(not asked)
        last = self.bar.lesson.last
        does = f"Take back (Ctrl + Z): {last}" if last else "There is nothing to take back (Ctrl + Z)"
        if self.undo.toolTip() != does:
            self.undo.setToolTip(does)
            self.undo.setAccessibleDescription(does)
        for button, usable in ((self.undo, bool(last)), (self.remove, self._row() is not None)):
            if button.isEnabled() != usable:
                if not usable and button.hasFocus():
                    self.list.setFocus(Qt.FocusReason.ShortcutFocusReason)
                button.setEnabled(usable)

    def _fill(self) -> None:
        """All rows anew; the cursor stays where it was, or goes to what was bound just now."""
        rows = rows_of(self._controls)
        at = place_after(self._rows, self.list.currentRow(), rows)
        self.list.blockSignals(True)
        self.list.clear()
        self._rows = rows
        for row in rows:
            item = QListWidgetItem()
            learnt = row.bound is not None and row.bound.learnt
            item.setFont(font(13, BOLD) if row.kind == "port" else font(12))
            item.setForeground(self.look.color("accent" if learnt else "dim" if row.bound else "text"))
            _say(item, row.text, "" if row.kind == "port" else "    ")
            self.list.addItem(item)
        self.list.setCurrentRow(at)
        self.list.blockSignals(False)
        self._show_buttons()


def _say(item: QListWidgetItem, text: str, before: str) -> None:
    if item.text() != before + text:
        item.setText(before + text)
        item.setToolTip(text)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, text)
