"""The line in which learning is done: a function is chosen, a control waited for, a question asked."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QWidget,
)

from descant.host.desktop.lesson import MODES, asks, mode_of
from descant.host.desktop.theme import font
from descant.host.edge import stage_words as words
from descant.host.functions import Group, place_of

HEIGHT = 34  # two lines of words
ASKED = MODES.index("asked")


class LessonBar(QStackedWidget):
    """asked: a step of learning, for the stage. groups: what can be chosen. replace, cancels[1]: the answers,
    to be laid elsewhere.
    """

    asked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.groups: tuple[Group, ...] = ()
        self.lesson = words.Lesson()
        self.group, self.function = QComboBox(), QComboBox()
        self.group.setAccessibleName("Kind of function to bind")
        self.function.setAccessibleName("Function to bind")
        self.learn, self.replace = QPushButton("Learn"), QPushButton("Replace")
        self.cancels = (QPushButton("Cancel"), QPushButton("Cancel"))
        self.says = (QLabel(), QLabel())
        for combo in (self.group, self.function):
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.group.setMinimumContentsLength(6)
        self.function.setMinimumContentsLength(8)
        for button, does in (
            (self.learn, "Bind the function to the pad or knob that moves next"),
            (self.replace, "The control does what was chosen, and no longer what it did"),
            *((cancel, "Bind nothing (Esc)") for cancel in self.cancels),
        ):
            button.setToolTip(does)
            button.setAccessibleDescription(does)
        for label in self.says:
            label.setWordWrap(True)
            label.setFont(font(12))
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.addWidget(_row(self.group, self.function, self.learn, stretch=1))
        self.addWidget(_row(self.says[0], self.cancels[0], stretch=0))
        self.addWidget(_row(self.says[1], stretch=0))  # its buttons are below the list
        self.setFixedHeight(HEIGHT)
        self.group.currentIndexChanged.connect(self._fill_functions)
        self.function.currentIndexChanged.connect(self._explain)
        self.learn.clicked.connect(lambda: self.arm(self.chosen))
        self.replace.clicked.connect(lambda: self.asked.emit(words.Learn("replace")))
        for cancel in self.cancels:
            cancel.clicked.connect(self.cancel)

    @property
    def chosen(self) -> str:
        """The function, as a binding says it."""
        return str(self.function.currentData() or "")

    def arm(self, do: str) -> None:
        """The next pad or knob that moves is to do it."""
        if do:
            self.choose(do)
            self.asked.emit(words.Learn("arm", do))

    def cancel(self) -> None:
        """Nothing is to be learnt."""
        self.asked.emit(words.Learn("cancel"))

    def offer(self, groups: tuple[Group, ...]) -> None:
        """What can be chosen; what was chosen stays so."""
        if groups == self.groups:
            return
        was, self.groups = self.chosen, groups
        kind = self.group.currentText()
        self.group.blockSignals(True)
        self.group.clear()
        self.group.addItems([group.name for group in groups])
        self.group.setCurrentIndex(max(0, self.group.findText(kind)))
        self.group.blockSignals(False)
        self._fill_functions()
        self.choose(was)

    def choose(self, do: str) -> None:
        """Show a function as chosen, if it is offered."""
        if (place := place_of(do, self.groups)) is not None:
            self.group.setCurrentIndex(place[0])
            self.function.setCurrentIndex(place[1])

    def show_lesson(self, lesson: words.Lesson, focused: bool) -> None:
        """How learning stands. focused: whether the keyboard is near, and goes where it is wanted."""
        text = asks(lesson, self.groups)
        for label in self.says:
            if text and label.text() != text:
                label.setText(text)
                label.setToolTip(text)
        at = MODES.index(mode_of(lesson))
        turned = at != self.currentIndex()
        focus = QApplication.focusWidget()
        inside = focus is not None and (self.isAncestorOf(focus) or focus in (self.replace, self.cancels[1]))
        if turned or lesson.in_the_way != self.lesson.in_the_way:
            self.setCurrentIndex(at)
            for button in (self.replace, self.cancels[1]):
                button.setVisible(at == ASKED)
            if focused and (inside or at != 0):
                first = (self.learn, self.cancels[0], self.replace)[at]
                first.setFocus(Qt.FocusReason.ShortcutFocusReason)
            if text:
                announce(self, text)
        self.lesson = lesson

    def _fill_functions(self) -> None:
        at = self.group.currentIndex()
        self.function.clear()
        for function in self.groups[at].functions if 0 <= at < len(self.groups) else ():
            self.function.addItem(function.name, function.do)
            if function.more:
                self.function.setItemData(
                    self.function.count() - 1, function.more, Qt.ItemDataRole.ToolTipRole
                )
        self._explain()

    def _explain(self) -> None:
        more = self.function.currentData(Qt.ItemDataRole.ToolTipRole) or self.function.currentText()
        self.function.setToolTip(str(more))
        self.function.setAccessibleDescription(str(more))
        self.learn.setEnabled(bool(self.chosen))


def announce(part: QWidget, text: str) -> None:
    """Say something to those who do not see it."""
    QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(part, text))


def _row(*parts: QWidget, stretch: int) -> QWidget:
    row = QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    line.setSpacing(4)
    for number, part in enumerate(parts):
        line.addWidget(part, 1 if number == stretch else 0)
    return row
