"""Level meters: what comes in and goes out, with held peaks and a clip lamp that is lit until pressed."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSize
from PySide6.QtGui import QMouseEvent, QPainter

from descant.host.desktop.part import Part, frame
from descant.host.desktop.theme import CENTRE, MEDIUM, Style, font
from descant.host.edge import stage_words as words

FLOOR_DB = -60.0
MARKS = (0, -6, -12, -24, -48)
FALL = 0.86  # what is left of a bar after each view


def decibels(level: float) -> float:
    """A linear level in dBFS, not below the floor."""
    return max(FLOOR_DB, 20 * math.log10(level)) if level > 0 else FLOOR_DB


def height(level: float) -> float:
    """Where a level is on the scale, 0..1: half of it is for the loudest 14 dB."""
    return float((1 - decibels(level) / FLOOR_DB) ** 1.6)


class Meters(Part):
    """In and out, side by side."""

    def __init__(self, style: Style) -> None:
        super().__init__(style, "Levels")
        self.setFixedWidth(96)
        self._shown: tuple[tuple[float, float, bool], ...] = ()
        self._bars: list[float] = []
        self._seen: tuple[float, ...] = ()
        self._forgotten: tuple[float, ...] = ()
        self.setToolTip("In and out, dBFS. Press to forget clipping.")

    def sizeHint(self) -> QSize:
        return QSize(96, 240)

    def show_view(self, view: words.View) -> None:
        """How loud it is."""
        rows = [*view.meters.inputs[:2], *view.meters.outputs[:2]]
        if len(rows) != len(self._bars):
            self._bars = [0.0] * len(rows)
            self._forgotten = (0.0,) * len(rows)
        self._bars = [max(height(row[0]), bar * FALL) for row, bar in zip(rows, self._bars)]
        self._seen = tuple(row[2] for row in rows)
        if any(seen < known for seen, known in zip(self._seen, self._forgotten)):
            self._forgotten = (0.0,) * len(rows)  # another audio process counts afresh
        shown = tuple(
            (round(bar, 3), round(height(row[1]), 3), seen > known)
            for bar, row, seen, known in zip(self._bars, rows, self._seen, self._forgotten)
        )
        if shown != self._shown:
            if any(lit for _, _, lit in shown) != any(lit for _, _, lit in self._shown):
                self.setAccessibleDescription("clipped" if any(lit for _, _, lit in shown) else "no clipping")
            self._shown = shown
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.forget()

    def forget(self) -> None:
        """Clipping was seen."""
        self._forgotten = self._seen

    def draw(self, paint: QPainter, area: QRectF) -> None:
        style = self.look
        frame(paint, style, area)
        inner = area.adjusted(8, 24, -8, -24)
        small = font(10, MEDIUM)
        paint.setFont(small)
        middle = inner.center().x()
        for mark in MARKS:
            y = inner.bottom() - height(10 ** (mark / 20)) * inner.height()
            paint.setPen(style.color("dim"))
            paint.drawText(QRectF(middle - 14, y - 6, 28, 12), CENTRE, str(-mark))
        wide = 12.0
        places = (inner.left(), inner.left() + wide + 3, inner.right() - 2 * wide - 3, inner.right() - wide)
        for x, (bar, held, clipped) in zip(places, self._shown):
            self._channel(paint, QRectF(x, inner.top(), wide, inner.height()), bar, held, clipped)
        paint.setFont(font(11, MEDIUM))
        paint.setPen(style.color("dim"))
        for x, word in ((places[0], "in"), (places[2], "out")):
            paint.drawText(QRectF(x, inner.bottom() + 5, 2 * wide + 3, 14), CENTRE, word)

    def _channel(self, paint: QPainter, box: QRectF, bar: float, held: float, clipped: bool) -> None:
        style = self.look
        paint.fillRect(box, style.color("raised"))
        if style.theme.edge_width > 1:
            paint.setPen(style.edge("edge", 1.0))
            paint.drawRect(box)
        full = box.height() * bar
        paint.fillRect(QRectF(box.left(), box.bottom() - full, box.width(), full), style.color("accent"))
        if held > 0.001:
            y = box.bottom() - box.height() * held
            paint.setPen(style.edge("text", 2.0))
            paint.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
        lamp = QRectF(box.left(), box.top() - 12, box.width(), 8)
        paint.fillRect(lamp, style.color("bad" if clipped else "edge", 1.0 if clipped else 0.6))
