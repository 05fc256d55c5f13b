"""The loop slots: outline, playhead, what each does and waits for; one press records, closes, overdubs."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QAction, QFocusEvent, QMouseEvent, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QMenu, QWidget

from descant.host.desktop.part import by_keyboard, focus_ring, frame
from descant.host.desktop.theme import BOLD, LEFT, MEDIUM, RIGHT, Style, font, painter
from descant.host.edge import stage_words as words
from descant.host.edge.audio_words import SlotWord
from descant.host.functions import LOOP_ACTIONS

KEYS = "QWERTYUI"
EMPTY = SlotWord("empty", "", 0.0, 0.0, 0, 0, False, False, False, False, 1.0)


class LoopSlot(QAbstractButton):
    """One slot. asked: number from 0 and an action."""

    asked = Signal(int, str)

    def __init__(self, style: Style, number: int) -> None:
        super().__init__()
        self.look, self.number = style, number
        self.slot, self.outline, self.bars = EMPTY, b"", 0.0
        self._shape: QPolygonF | None = None
        self.ringed = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(92, 84)
        self.setMaximumHeight(124)
        self.pressed.connect(lambda: self.asked.emit(self.number, "press"))
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)
        self.setToolTip(
            f"Key {KEYS[number]}: record, close, overdub. Right button, or Menu: everything else."
        )
        self._describe()
        style.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(150, 108)

    def show_slot(self, slot: SlotWord, outline: bytes, bars: float) -> None:
        """How it stands. bars: how long it is."""
        if outline != self.outline:
            self.outline, self._shape = outline, None
        elif slot == self.slot and bars == self.bars:
            return
        again = (slot.state, slot.queued, slot.muted) != (self.slot.state, self.slot.queued, self.slot.muted)
        self.slot, self.bars = slot, bars
        if again:
            self._describe()
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)

    def _menu(self, point: QPoint) -> None:
        menu = QMenu(self)
        for action, what in LOOP_ACTIONS:
            row = QAction(what, menu)
            row.triggered.connect(lambda _=False, action=action: self.asked.emit(self.number, action))
            menu.addAction(row)
        menu.popup(self.mapToGlobal(point))

    def _says(self) -> str:
        slot = self.slot
        flags = (slot.muted, slot.soloed, slot.reversed, slot.half)
        marks = [word for word, on in zip(("muted", "solo", "reverse", "half"), flags) if on]
        if slot.queued:
            return f"{slot.queued} on the line"
        return ", ".join([slot.state, *marks])

    def _describe(self) -> None:
        self.setAccessibleName(f"Loop {self.number + 1}")
        self.setAccessibleDescription(self._says())

    def resizeEvent(self, event: object) -> None:
        self._shape = None

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.ringed = by_keyboard(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.ringed = False
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        style, area, slot = self.look, QRectF(self.rect()), self.slot
        with painter(self) as paint:
            busy = slot.state in ("recording", "overdubbing", "replacing", "multiplying")
            edge = "bad" if busy else "accent" if slot.queued else "dim" if self.underMouse() else "edge"
            frame(paint, style, area, "edge" if self.isDown() else "raised", edge)
            inner = area.adjusted(10, 6, -10, -7)
            paint.setFont(font(12, MEDIUM))
            paint.setPen(style.color("dim"))
            top = QRectF(inner.left(), inner.top(), inner.width(), 16)
            paint.drawText(top, LEFT, f"{self.number + 1}")
            paint.drawText(top, RIGHT, KEYS[self.number])
            if self.bars:
                paint.setPen(style.color("text"))
                bars = f"{self.bars:.0f}" if abs(self.bars - round(self.bars)) < 0.01 else f"{self.bars:.2f}"
                paint.drawText(top.adjusted(18, 0, -18, 0), LEFT, f"{bars} bar{'s' if bars != '1' else ''}")
            wave = QRectF(inner.left(), inner.top() + 19, inner.width(), inner.height() - 38)
            self._wave(paint, wave)
            paint.setFont(font(13, BOLD))
            paint.setPen(style.color("bad" if busy else "accent" if slot.queued else
                                     "dim" if slot.state == "empty" else "text"))  # fmt: skip
            paint.drawText(QRectF(inner.left(), inner.bottom() - 16, inner.width(), 16), LEFT, self._says())
            if self.ringed:
                focus_ring(paint, style, area)

    def _wave(self, paint, box: QRectF) -> None:  # type: ignore[no-untyped-def]
        style, slot = self.look, self.slot
        middle = box.center().y()
        if not self.outline or slot.state == "empty":
            paint.setPen(style.edge("faint", 1.0))
            paint.drawLine(int(box.left()), int(middle), int(box.right()), int(middle))
            return
        if self._shape is None:
            columns = len(self.outline)
            upper = [(box.left() + i * box.width() / (columns - 1), level / 255 * box.height() / 2)
                     for i, level in enumerate(self.outline)]  # fmt: skip
            shape = [QRectF(x, middle - level, 0, 0).topLeft() for x, level in upper]
            shape += [QRectF(x, middle + level + 1, 0, 0).topLeft() for x, level in reversed(upper)]
            self._shape = QPolygonF(shape)
        sounding = slot.state != "stopped" and not slot.muted
        paint.setPen(Qt.PenStyle.NoPen)
        paint.setBrush(style.color("accent" if sounding else "faint"))
        paint.drawPolygon(self._shape)
        if slot.state != "stopped":
            x = box.left() + slot.place * box.width()
            paint.setPen(style.edge("text", 2.0))
            paint.drawLine(int(x), int(box.top() - 2), int(x), int(box.bottom() + 2))


class LoopStrip(QWidget):
    """All slots in a row. asked: number from 0 and an action."""

    asked = Signal(int, str)

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.setAccessibleName("Loops")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self.slots = [LoopSlot(style, number) for number in range(len(KEYS))]
        for slot in self.slots:
            slot.asked.connect(self.asked)
            row.addWidget(slot)

    def show_view(self, view: words.View, outlines: dict[int, bytes], rate: int) -> None:
        """How they stand."""
        samples_a_bar = view.beats_a_bar * 60 / view.tempo * rate
        for slot in self.slots:
            word = view.loops[slot.number] if slot.number < len(view.loops) else EMPTY
            slot.show_slot(word, outlines.get(slot.number, b""), word.length / samples_a_bar)
