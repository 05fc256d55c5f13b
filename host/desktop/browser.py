"""The preset browser: search by name, words and instruments; favourites first; Enter plays on with it."""

from __future__ import annotations

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from descant.host.desktop.part import lines
from descant.host.desktop.theme import BOLD, LEFT, MEDIUM, RIGHT, Style, font
from descant.host.edge import stage_words as words
from descant.host.preset import is_found

Index = QModelIndex | QPersistentModelIndex
ROW = 62
STAR = 30.0


def found(presets: tuple[words.PresetRow, ...], text: str, favourites: set[str]) -> list[words.PresetRow]:
    """Those in which every word is found, favourites first, else in their order."""
    rows = [row for row in presets if is_found(text, row.name, row.description, *row.prompts)]
    return sorted(rows, key=lambda row: row.name not in favourites)


class Rows(QAbstractListModel):
    """What the list shows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[words.PresetRow] = []
        self.favourites: set[str] = set()
        self.current = ""

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = 0) -> object:
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return row
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            marks = [word for word, on in (("current", row.name == self.current),
                                           ("favourite", row.name in self.favourites)) if on]  # fmt: skip
            return ", ".join([row.name, *marks])
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return "\n".join((row.description, *(f"{n + 1}  {text}" for n, text in enumerate(row.prompts))))
        return None

    def show(self, rows: list[words.PresetRow], favourites: set[str], current: str) -> None:
        """Other rows."""
        self.beginResetModel()
        self.rows, self.favourites, self.current = rows, favourites, current
        self.endResetModel()


class Row(QStyledItemDelegate):
    """Draws one preset."""

    def __init__(self, style: Style, rows: Rows) -> None:
        super().__init__()
        self.look, self._rows = style, rows

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, ROW)

    def paint(self, paint: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        style, row = self.look, self._rows.rows[index.row()]
        paint.save()
        paint.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(option.rect)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        if chosen:
            paint.fillRect(area, style.color("raised"))
            paint.fillRect(QRectF(area.left(), area.top(), 3, area.height()), style.color("text"))
        inner = area.adjusted(12, 7, -8, -7)
        playing = row.name == self._rows.current
        paint.setFont(font(15, BOLD))
        paint.setPen(style.color("accent" if playing else "text"))
        paint.drawText(QRectF(inner.left(), inner.top(), inner.width() - 110, 20), LEFT, row.name)
        paint.setFont(font(12, MEDIUM))
        paint.setPen(style.color("dim"))
        paint.drawText(
            QRectF(inner.right() - 110 - STAR + 26, inner.top(), 80, 20), RIGHT, f"{row.tempo:g} bpm"
        )
        star = "★" if row.name in self._rows.favourites else "☆"
        paint.setFont(font(17))
        paint.setPen(style.color("accent" if star == "★" else "faint"))
        paint.drawText(QRectF(inner.right() - STAR, inner.top(), STAR, 22), RIGHT, star)
        small = font(12)
        paint.setFont(small)
        paint.setPen(style.color("dim"))
        for number, line in enumerate(lines(row.description, QFontMetricsF(small), inner.width() - 8, 2)):
            paint.drawText(
                QRectF(inner.left(), inner.top() + 20 + 15 * number, inner.width(), 15), LEFT, line
            )
        paint.restore()


class List(QListView):
    """chosen: Enter or a double click. starred: the star, or the key F."""

    chosen = Signal(str)
    starred = Signal(str)

    def __init__(self, style: Style, rows: Rows) -> None:
        super().__init__()
        self._rows = rows
        self.setModel(rows)
        self._row = Row(style, rows)
        self.setItemDelegate(self._row)
        self.setAccessibleName("Presets")
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.doubleClicked.connect(lambda index: self.chosen.emit(self._rows.rows[index.row()].name))
        self.clicked.connect(self._clicked)

    def name(self) -> str:
        """The preset under the cursor, "" for none."""
        index = self.currentIndex()
        return self._rows.rows[index.row()].name if index.isValid() else ""

    def _clicked(self, index: QModelIndex) -> None:
        at = self.mapFromGlobal(self.cursor().pos())
        if at.x() > self.visualRect(index).right() - STAR - 8:
            self.starred.emit(self._rows.rows[index.row()].name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        name = self.name()
        if name and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.chosen.emit(name)
        elif name and event.key() == Qt.Key.Key_F:
            self.starred.emit(name)
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown,
                             Qt.Key.Key_Home, Qt.Key.Key_End):  # fmt: skip
            super().keyPressEvent(event)
        else:
            event.ignore()  # keys of the whole window


class Browser(QWidget):
    """chosen: a preset's name. starred: one that becomes a favourite, or is none any more."""

    chosen = Signal(str)
    starred = Signal(str)

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.setAccessibleName("Preset browser")
        self._rows = Rows()
        self._presets: tuple[words.PresetRow, ...] = ()
        self._favourites: set[str] = set()
        self._current = ""
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search: name, genre, instrument")
        self.search.setAccessibleName("Search presets")
        self.search.setClearButtonEnabled(True)
        self.search.setMaxLength(100)
        self.list = List(style, self._rows)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.search)
        column.addWidget(self.list)
        self.search.textChanged.connect(self._fill)
        self.search.returnPressed.connect(self._first)
        self.list.chosen.connect(self.chosen)
        self.list.starred.connect(self.starred)

    def show_presets(self, presets: tuple[words.PresetRow, ...], current: str, favourites: set[str]) -> None:
        """All there are."""
        if (presets, current, favourites) != (self._presets, self._current, self._favourites):
            self._presets, self._current, self._favourites = presets, current, set(favourites)
            self._fill()

    def _fill(self) -> None:
        kept = self.list.name() or self._current
        rows = found(self._presets, self.search.text(), self._favourites)
        self._rows.show(rows, self._favourites, self._current)
        at = next((number for number, row in enumerate(rows) if row.name == kept), 0)
        if rows:
            self.list.setCurrentIndex(self._rows.index(at))

    def _first(self) -> None:
        if self._rows.rows:
            self.chosen.emit(self.list.name() or self._rows.rows[0].name)
