"""The list of takes: a row for each, its stars under the mouse and the keys, its file to be dragged out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import (
    QAbstractListModel,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    QSize,
    Qt,
    QUrl,
    Signal,
)
from PySide6.QtGui import QDrag, QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from descant.host.desktop.part import lines
from descant.host.desktop.take_shelf import Shown
from descant.host.desktop.theme import BOLD, LEFT, MEDIUM, RIGHT, Style, font
from descant.host.takes import length_of, when_made

Index = QModelIndex | QPersistentModelIndex
ROW = 46
LOW_ROW = 23  # where there is no room for three high ones
STAR = 17.0  # pixels a star is wide
MOST = 5  # stars
EDGE = 8.0  # right of them
STATES = {"": "", "recorded": "being recorded", "gone": "its file has gone"}
RATES = {Qt.Key.Key_0 + stars: stars for stars in range(MOST + 1)}


def title_of(row: Shown) -> str:
    """What a take is called in the list: its words, or else its name."""
    return row.take.prompt or row.take.name


class TakeRows(QAbstractListModel):
    """What the list shows. folder: of the files. listened, seconds: the file that is heard, and how far."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.rows: tuple[Shown, ...] = ()
        self.listened, self.seconds = "", 0
        self._wishes: dict[int, int] = {}

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = 0) -> object:
        row = self.rows[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            heard = "listened to" if self.path(row) == self.listened else ""
            says = (f"take {row.take.number}", title_of(row), f"{row.take.rating} of {MOST} stars", heard)
            return ", ".join(part for part in (*says, STATES[row.state]) if part)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return f"{self.known(row)}\n{row.take.name}"
        return None

    def known(self, row: Shown) -> str:
        """When, how long, in which key, how fast: what is known of it."""
        take = row.take
        tempo = f"{take.tempo:g} bpm" if take.tempo else ""
        return " · ".join(filter(None, (when_made(take), length_of(take.seconds), take.key, tempo)))

    def path(self, row: Shown) -> str:
        """Of its sound file."""
        return str(self.folder / row.take.file)

    def flags(self, index: Index) -> Qt.ItemFlag:
        kept = super().flags(index)
        return kept | Qt.ItemFlag.ItemIsDragEnabled if index.isValid() else kept

    def supportedDragActions(self) -> Qt.DropAction:
        return Qt.DropAction.CopyAction  # nobody moves a take away

    def mimeTypes(self) -> list[str]:
        return ["text/uri-list"]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        rows = [self.rows[index.row()] for index in indexes]
        data = QMimeData()
        urls = [QUrl.fromLocalFile(self.path(row)) for row in rows if row.state != "gone"]
        if urls:
            data.setUrls(urls)
        return data

    def show(self, rows: tuple[Shown, ...]) -> bool:
        """Other rows; whether they are others."""
        rows = tuple(self._wished(row) for row in rows)
        if rows == self.rows:
            return False
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()
        return True

    def rated(self, number: int, rating: int) -> None:
        """Show a rating that is only asked for yet, until it is `settled`."""
        self._wishes[number] = rating
        for at, row in enumerate(self.rows):
            if row.take.number == number:
                row = replace(row, take=replace(row.take, rating=rating))
                self.rows = (*self.rows[:at], row, *self.rows[at + 1 :])
                self.dataChanged.emit(self.index(at), self.index(at))

    def settled(self, number: int, rating: int) -> None:
        """It was kept, or could not be: what is found now counts."""
        if self._wishes.get(number) == rating:
            del self._wishes[number]

    def _wished(self, row: Shown) -> Shown:
        rating = self._wishes.get(row.take.number, row.take.rating)
        return row if rating == row.take.rating else replace(row, take=replace(row.take, rating=rating))

    def hear(self, path: str, seconds: float) -> None:
        """Which file is heard, and how far."""
        if (path, int(seconds)) != (self.listened, self.seconds):
            were = {self.listened, path}
            self.listened, self.seconds = path, int(seconds)
            for at, row in enumerate(self.rows):
                if self.path(row) in were:
                    self.dataChanged.emit(self.index(at), self.index(at))


class TakeRow(QStyledItemDelegate):
    """Draws one take. low: in one line."""

    def __init__(self, style: Style, rows: TakeRows) -> None:
        super().__init__()
        self.look, self._rows, self.low = style, rows, False

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, LOW_ROW if self.low else ROW)

    def paint(self, paint: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        style, rows, row = self.look, self._rows, self._rows.rows[index.row()]
        heard = rows.path(row) == rows.listened
        paint.save()
        paint.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(option.rect)
        if option.state & QStyle.StateFlag.State_Selected:
            paint.fillRect(area, style.color("raised"))
            paint.fillRect(QRectF(area.left(), area.top(), 3, area.height()), style.color("text"))
        inner = area.adjusted(12, 1 if self.low else 6, -EDGE, -1 if self.low else -6)
        number = font(15, BOLD)
        paint.setFont(number)
        paint.setPen(style.color("accent" if heard else "text"))
        wide = QFontMetricsF(number).horizontalAdvance(f"{row.take.number}") + 8
        paint.drawText(QRectF(inner.left(), inner.top(), wide, 20), LEFT, f"{row.take.number}")
        says = f"▶ {rows.seconds // 60}:{rows.seconds % 60:02}" if heard else STATES[row.state]
        small, beside = font(12), 0.0
        if self.low:  # what is most needed of the second line
            beside = QFontMetricsF(small).horizontalAdvance(says or length_of(row.take.seconds)) + 8
        box = QRectF(inner.left() + wide, inner.top(), inner.width() - wide - MOST * STAR - 8 - beside, 20)
        head = font(13, MEDIUM)
        paint.setFont(head)
        for text in lines(title_of(row), QFontMetricsF(head), box.width(), 1):
            paint.drawText(box, LEFT, text)
        paint.setFont(font(15))
        for star in range(MOST):
            lit = star < row.take.rating
            paint.setPen(style.color("accent" if lit else "faint"))
            left = inner.right() - (MOST - star) * STAR
            paint.drawText(QRectF(left, inner.top(), STAR, 20), RIGHT, "★" if lit else "☆")
        paint.setFont(small)
        told = style.color("accent" if heard else "bad" if says else "dim")
        if self.low:
            paint.setPen(told)
            paint.drawText(
                QRectF(box.right(), box.top(), beside, 20), RIGHT, says or length_of(row.take.seconds)
            )
        else:
            line = QRectF(inner.left(), inner.top() + 20, inner.width(), 15)
            if says:
                paint.setPen(told)
                paint.drawText(line, LEFT, says)
                line.setLeft(line.left() + QFontMetricsF(small).horizontalAdvance(says) + 10)
            paint.setPen(style.color("dim"))
            for text in lines(rows.known(row), QFontMetricsF(small), line.width(), 1):
                paint.drawText(line, LEFT, text)
        paint.restore()


class TakeList(QListView):
    """listened: Enter, Space or a double click. rated: a take and its stars, by a press on them or by keys.
    exported, copied: by their keys.
    """

    listened = Signal()
    rated = Signal(int, int)
    exported = Signal()
    copied = Signal()

    def __init__(self, style: Style, rows: TakeRows) -> None:
        super().__init__()
        self._rows = rows
        self.setModel(rows)
        self._row = TakeRow(style, rows)
        self.setItemDelegate(self._row)
        self.setAccessibleName("Takes")
        self.setDragEnabled(True)
        self.setDragDropMode(QListView.DragDropMode.DragOnly)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.doubleClicked.connect(lambda _: self.listened.emit())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        low = self.viewport().height() < 3 * ROW
        if low != self._row.low:
            self._row.low = low
            self.scheduleDelayedItemsLayout()

    def row(self) -> Shown | None:
        """The take under the cursor."""
        index = self.currentIndex()
        return self._rows.rows[index.row()] if index.isValid() else None

    def startDrag(self, actions: Qt.DropAction) -> None:
        data = self._rows.mimeData(self.selectedIndexes())
        if data.hasUrls():
            drag = QDrag(self)
            drag.setMimeData(data)
            drag.exec(Qt.DropAction.CopyAction)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        if index.isValid() and event.button() == Qt.MouseButton.LeftButton:
            box = self.visualRect(index)
            star = int(MOST - (box.right() - EDGE - event.position().x()) // STAR)
            if 1 <= star <= MOST and event.position().y() < box.top() + ROW / 2:
                self.setAutoScroll(False)  # the next press is for the same take
                self.setCurrentIndex(index)
                self.setAutoScroll(True)
                self._rate(star - 1 if star == self._rows.rows[index.row()].take.rating else star)
                return
        super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        box = self.visualRect(self.indexAt(event.position().toPoint()))
        if event.position().x() < box.right() - EDGE - MOST * STAR:
            super().mouseDoubleClickEvent(event)
        else:
            self.mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, row = event.key(), self.row()
        control = (
            event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier == Qt.KeyboardModifier.ControlModifier
        )
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Home,
                   Qt.Key.Key_End):  # fmt: skip
            super().keyPressEvent(event)
        elif row is None:
            event.ignore()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.listened.emit()
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._rate(row.take.rating + (1 if key == Qt.Key.Key_Right else -1))
        elif control and key in RATES:
            self._rate(RATES[Qt.Key(key)])
        elif control and key == Qt.Key.Key_E:
            self.exported.emit()
        elif control and key == Qt.Key.Key_C:
            self.copied.emit()
        else:
            event.ignore()  # keys of the whole window

    def _rate(self, rating: int) -> None:
        row = self.row()
        rating = min(max(rating, 0), MOST)
        if row is not None and rating != row.take.rating:
            self._rows.rated(row.take.number, rating)
            self.rated.emit(row.take.number, rating)
