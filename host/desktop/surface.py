"""The surface: the first pads on a plane and a point; the nearer a prompt, the more of it is heard."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QKeyEvent, QMouseEvent, QPainter

from descant.host.desktop.part import Part, frame, title
from descant.host.desktop.theme import BOLD, CENTRE, MEDIUM, Style, font
from descant.host.edge import stage_words as words

GRASP = 16.0
"""Pixels within which a prompt is taken hold of."""
STEP = 0.04


class Surface(Part):
    """moved: the plane as the performer wants it. Arrow keys move the point, Shift makes steps small; Home
    centres it, Delete turns the plane off. A prompt is moved with the right button.
    """

    moved = Signal(object)

    def __init__(self, style: Style) -> None:
        super().__init__(style, "Prompt surface")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(220, 150)
        self.setToolTip(
            "Press or drag: mix the pads by nearness. Right button: move a prompt. "
            "Arrows move, Home centres, Delete lets go."
        )
        self.plane = words.Plane((), 0.5, 0.5, False)
        self._pads: tuple[words.Pad, ...] = ()
        self._shares: tuple[float, ...] = ()
        self._held: int | None = None  # a prompt under the mouse, or -1 for the point
        self._ours = 0  # views for which the stage's word on the plane is old

    def sizeHint(self) -> QSize:
        return QSize(380, 300)

    def show_view(self, view: words.View, pads: tuple[words.Pad, ...]) -> None:
        """Where things are; while somebody moves them here, here is what counts."""
        if self._ours:
            self._ours -= 1
        plane = self.plane if self._held is not None or self._ours or view.plane is None else view.plane
        shown = (plane, view.shares, pads)
        if shown != (self.plane, self._shares, self._pads):
            self.plane, self._shares, self._pads = shown
            heard = [
                f"{100 * share:.0f} % {title(pad.text)[0]}" for share, pad in zip(view.shares, pads) if share
            ]
            self.setAccessibleDescription(", ".join(heard) or "off: the last pad is heard alone")
            self.update()

    def _want(self, plane: words.Plane) -> None:
        self.plane, self._ours = plane, 4
        self.moved.emit(plane)
        self.update()

    def _put(self, x: float, y: float) -> None:
        self._want(words.Plane(self.plane.points, _unit(x), _unit(y), True))

    def _area(self) -> QRectF:
        return QRectF(self.rect()).adjusted(30, 30, -30, -34)

    def _place(self, point: tuple[float, float]) -> QPointF:
        area = self._area()
        return QPointF(area.left() + point[0] * area.width(), area.top() + point[1] * area.height())

    def _unplace(self, at: QPointF) -> tuple[float, float]:
        area = self._area()
        return _unit((at.x() - area.left()) / area.width()), _unit((at.y() - area.top()) / area.height())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._held = -1
            self._put(*self._unplace(event.position()))
        elif event.button() == Qt.MouseButton.RightButton:
            near = [
                (math.dist(self._place(point).toTuple(), event.position().toTuple()), index)
                for index, point in enumerate(self.plane.points)
            ]
            if near and min(near)[0] <= GRASP * 1.5:
                self._held = min(near)[1]

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._held == -1:
            self._put(*self._unplace(event.position()))
        elif self._held is not None:
            points = list(self.plane.points)
            points[self._held] = self._unplace(event.position())
            self._want(words.Plane(tuple(points), self.plane.x, self.plane.y, self.plane.on))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._held = None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = STEP / 4 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else STEP
        moves = {
            Qt.Key.Key_Left: (-step, 0.0),
            Qt.Key.Key_Right: (step, 0.0),
            Qt.Key.Key_Up: (0.0, -step),
            Qt.Key.Key_Down: (0.0, step),
        }
        key = Qt.Key(event.key())
        if key in moves:
            dx, dy = moves[key]
            self._put(self.plane.x + dx, self.plane.y + dy)
        elif key == Qt.Key.Key_Home:
            self._put(0.5, 0.5)
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self._want(words.Plane(self.plane.points, self.plane.x, self.plane.y, False))
        else:
            super().keyPressEvent(event)

    def draw(self, paint: QPainter, area: QRectF) -> None:
        style, plane = self.look, self.plane
        frame(paint, style, area)
        point = self._place((plane.x, plane.y))
        for index, place in enumerate(plane.points):
            if index >= len(self._pads) or self._pads[index].stop:
                continue
            share = self._shares[index] if index < len(self._shares) else 0.0
            at = self._place(place)
            if share:
                line = style.edge("accent", 1 + 5 * share)
                line.setCapStyle(Qt.PenCapStyle.RoundCap)
                paint.setPen(line)
                paint.drawLine(at, point)
        for index, place in enumerate(plane.points):
            if index < len(self._pads) and not self._pads[index].stop:
                share = self._shares[index] if index < len(self._shares) else 0.0
                self._prompt(paint, area, index, self._place(place), share)
        radius = 11.0
        paint.setBrush(style.color("accent" if plane.on else "panel"))
        paint.setPen(style.edge("text" if plane.on else "dim", 2.0))
        paint.drawEllipse(point, radius, radius)

    def _prompt(self, paint: QPainter, area: QRectF, index: int, at: QPointF, share: float) -> None:
        style = self.look
        paint.setPen(style.edge("accent" if share else "faint", 1.5))
        paint.setBrush(style.color("raised"))
        radius = 10 + 8 * share
        paint.drawEllipse(at, radius, radius)
        paint.setFont(font(12, BOLD))
        paint.setPen(style.color("text"))
        paint.drawText(QRectF(at.x() - 20, at.y() - 10, 40, 20), CENTRE, str(index + 1))
        name = title(self._pads[index].text)[0]
        label = f"{name}  {100 * share:.0f} %" if share else name
        type_ = font(13, BOLD if share else MEDIUM)
        wide = QFontMetricsF(type_).horizontalAdvance(label) + 8
        left = min(max(at.x() - wide / 2, area.left() + 6), area.right() - wide - 6)
        paint.setFont(type_)
        paint.setPen(style.color("text" if share else "dim"))
        paint.drawText(QRectF(left, at.y() + radius + 1, wide, 18), CENTRE, label)


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
