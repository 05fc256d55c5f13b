"""What all parts of the window that draw themselves have in common: a style, a frame, words that fit."""

from __future__ import annotations

import re

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFocusEvent, QFontMetricsF, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from descant.host.desktop.theme import RADIUS, Style, painter


class Part(QWidget):
    """Draws itself by `draw`, anew when the theme changes."""

    def __init__(self, style: Style, name: str) -> None:
        super().__init__()
        self.look, self.ringed = style, False
        self.setAccessibleName(name)
        style.changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        with painter(self) as paint:
            self.draw(paint, QRectF(self.rect()))
            if self.ringed:
                focus_ring(paint, self.look, QRectF(self.rect()))

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.ringed = by_keyboard(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.ringed = False
        self.update()

    def draw(self, paint: QPainter, area: QRectF) -> None:
        raise NotImplementedError


class Line(QLabel):
    """A line of words, or so many of them, shortened to the room there is."""

    def __init__(self, name: str, most: int = 1) -> None:
        super().__init__()
        self._most = most
        self.setAccessibleName(name)
        self.setProperty("dim", True)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.said = ""

    def say(self, text: str) -> None:
        """Other words."""
        self.said = text
        self.setToolTip(text)
        self.setAccessibleDescription(text)
        if self._most == 1:
            self.setText(self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, self.width()))
        else:
            self.setText("\n".join(lines(text, QFontMetricsF(self.font()), self.width(), self._most)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.say(self.said)


def frame(paint: QPainter, style: Style, area: QRectF, fill: str = "panel", edge: str = "edge") -> None:
    """A rounded panel."""
    width = style.theme.edge_width
    paint.setPen(style.edge(edge))
    paint.setBrush(style.color(fill))
    paint.drawRoundedRect(area.adjusted(width / 2, width / 2, -width / 2, -width / 2), RADIUS, RADIUS)


def by_keyboard(event: QFocusEvent) -> bool:
    """Whether somebody without a mouse came here, who has to see where that is."""
    reasons = (
        Qt.FocusReason.TabFocusReason,
        Qt.FocusReason.BacktabFocusReason,
        Qt.FocusReason.ShortcutFocusReason,
    )
    return event.reason() in reasons


def focus_ring(paint: QPainter, style: Style, area: QRectF) -> None:
    """What has the keyboard shows it."""
    paint.setPen(style.edge("text", 2.0))
    paint.setBrush(Qt.BrushStyle.NoBrush)
    paint.drawRoundedRect(area.adjusted(1, 1, -1, -1), RADIUS, RADIUS)


def lines(text: str, metrics: QFontMetricsF, width: float, most: int) -> list[str]:
    """Words broken into at most so many lines, the last one shortened."""
    done: list[str] = []
    left = text.split()
    while left and len(done) < most:
        line = left.pop(0)
        while left and metrics.horizontalAdvance(f"{line} {left[0]}") <= width:
            line = f"{line} {left.pop(0)}"
        if left and len(done) == most - 1:
            line = f"{line} {' '.join(left)}"
        done.append(metrics.elidedText(line, Qt.TextElideMode.ElideRight, width))
    return done


def title(text: str) -> tuple[str, str]:
    """A prompt as a performer says it, and the rest: "calm jazz", "piano, jazz guitar and brushes"."""
    text = re.sub(
        r" (at \d+ bpm|in [A-G][#b]? [a-z]+)\b", "", text
    )  # the preset's own, the same on every pad
    head, found, rest = text.partition(" with ")
    if not found:
        words = text.split()
        return " ".join(words[:3]), " ".join(words[3:])
    return head, rest
