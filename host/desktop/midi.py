"""MIDI: the controllers that are there, which profile each has, what it is bound to and what it said last."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from descant.host.desktop.theme import BOLD, Style, font
from descant.host.edge import stage_words as words

NONE = "No controller is there; one that is plugged in is found by itself."
PRESET = "no profile: it plays what the preset says"


def row_of(bound: words.Bound) -> str:
    """What one of its pads or knobs does, in one line."""
    how = f" ({bound.how})" if bound.how else ""
    return f"{'learnt: ' if bound.learnt else ''}{bound.on}  →  {bound.do}{how}"


class MidiPage(QWidget):
    """Shows; nothing is changed here."""

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.setAccessibleName("MIDI")
        self.look = style
        self.line = QLabel(NONE)
        self.line.setWordWrap(True)
        self.line.setProperty("dim", True)
        self.list = QListWidget()
        self.list.setAccessibleName("Controllers and what they are bound to")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._shown: tuple[words.Controls, ...] = ()
        self._last: list[QListWidgetItem] = []  # where the last message of each is shown
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.line)
        column.addWidget(self.list, 1)
        style.changed.connect(self._fill)

    def show_view(self, view: words.View, furniture: words.Furniture | None) -> None:
        """What there is, and what it said."""
        controls = furniture.controllers if furniture is not None else ()
        if controls != self._shown:
            self._shown = controls
            self._fill()
        for item, row in zip(self._last, self._shown):
            said = view.said.get(row.port, "")
            _say(item, f"last: {said}" if said else "silent so far", "    ")
        bound = sum(len(row.bindings) for row in controls)
        learnt = sum(binding.learnt for row in controls for binding in row.bindings)
        many = f"{len(controls)} controller{'s' if len(controls) != 1 else ''}"
        text = f"{many}, {bound} bound, {learnt} of them learnt" if controls else view.midi_why or NONE
        if text != self.line.text():
            self.line.setText(text)

    def _fill(self) -> None:
        """All rows anew; the cursor stays where it was."""
        at = self.list.currentRow()
        self.list.clear()
        self._last = []
        for controls in self._shown:
            self._add(f"{controls.port} · {controls.profile or PRESET}", "text", "")
            self._last.append(self._add("silent so far", "text"))
            for bound in controls.bindings:
                self._add(row_of(bound), "accent" if bound.learnt else "dim")
        self.list.setCurrentRow(max(0, min(at, self.list.count() - 1)))

    def _add(self, text: str, color: str, before: str = "    ") -> QListWidgetItem:
        item = QListWidgetItem()
        item.setFont(font(12) if before else font(13, BOLD))
        item.setForeground(self.look.color(color))
        _say(item, text, before)
        self.list.addItem(item)
        return item


def _say(item: QListWidgetItem, text: str, before: str = "") -> None:
    if item.text() != before + text:
        item.setText(before + text)
        item.setToolTip(text)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, text)
