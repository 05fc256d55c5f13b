"""The hum: armed, counted in, seen as it was sung and as it was read, listened to, mended, handed in."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QPainter, QPolygonF
from PySide6.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from descant.host.desktop.part import Part, frame, lines
from descant.host.desktop.theme import BOLD, LEFT, MEDIUM, Style, font
from descant.host.edge import stage_words as words

TRACE_RATE = 62.5  # rows of the trace a second
LEAST_SPAN = 12.0  # semitones that are seen at least
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
BUTTONS = (  # what the stage is told, the words, what they do
    ("hum arm", "Arm", "Count in, then record; again: never mind (H)"),
    ("hum last", "Last minute", "Turn what was just hummed into a take (Shift + H)"),
    ("hum listen", "Listen", "Hear the hum; again: silence"),
    ("hum generate", "Generate", "The music follows the hum from the next line (G)"),
    ("hum snap", "Snap", "Notes move to the key, to the key that was heard, or stay"),
    ("hum octave", "Octave", "Guard against jumps of an octave: on or off"),
    ("hum drop", "Drop", "Forget the hum"),
)
SNAPS = {"key": "to the preset's key", "heard": "to the key heard", "off": "left as sung"}


def told(view: words.HumView) -> str:
    """How humming stands, in one line."""
    if view.state == "counting":
        return f"in {view.beats}" if view.beats else "now"
    if view.state == "recording":
        return f"recording bar {view.bar} of {view.bars}"
    if view.state == "listening":
        return "reading what was hummed"
    if not view.notes:
        return "no hum yet: arm, or take the last minute"
    line = f"{len(view.notes)} notes, {SNAPS[view.snap]}{f' ({view.key})' if view.key else ''}"
    if view.follow > -1:
        return f"follows by {view.follow:.2f} (chance {view.chance:.2f}); {line}"
    return line


class HumPicture(Part):
    """Pitch over time: notes as bars, the trace over them, the surer the brighter."""

    def __init__(self, style: Style) -> None:
        super().__init__(style, "Hum")
        self.setMinimumHeight(70)
        self.view = words.HumView()

    def sizeHint(self) -> QSize:
        return QSize(300, 110)

    def show_hum(self, view: words.HumView) -> None:
        """How humming stands."""
        if view != self.view:
            self.view = view
            self.setAccessibleDescription(told(view))
            self.update()

    def draw(self, paint: QPainter, area: QRectF) -> None:
        style, view = self.look, self.view
        frame(paint, style, area)
        inner = area.adjusted(8, 20, -8, -6)
        paint.setPen(style.color("accent" if view.state in ("counting", "recording") else "dim"))
        words_in = font(11, BOLD if view.state == "recording" else MEDIUM)
        paint.setFont(words_in)
        line = QRectF(area.left() + 8, area.top() + 3, area.width() - 16, 16)
        for text in lines(told(view), QFontMetricsF(words_in), line.width(), 1):
            paint.drawText(line, LEFT, text)
        keys = [key for key in view.trace if key > 0] + [float(note[2]) for note in view.notes]
        if not keys:
            return
        seconds = max(
            [len(view.trace) / TRACE_RATE, *(start + length for start, length, _, _ in view.notes), 0.1]
        )
        middle = (max(keys) + min(keys)) / 2
        span = max(max(keys) - min(keys) + 2, LEAST_SPAN)
        low = middle - span / 2

        def x(second: float) -> float:
            return inner.left() + inner.width() * second / seconds

        def y(key: float) -> float:
            return inner.bottom() - inner.height() * (key - low) / span

        paint.setFont(font(10, MEDIUM))
        for key in range(math.ceil(low), math.floor(low + span) + 1):
            if key % 12 == 0:
                paint.setPen(style.edge("edge", 1.0))
                paint.drawLine(QPointF(inner.left(), y(key)), QPointF(inner.right(), y(key)))
                paint.setPen(style.color("dim"))
                paint.drawText(QPointF(inner.left(), y(key) - 2), f"C{key // 12 - 1}")
        high = max(3.0, inner.height() / span * 0.8)
        paint.setPen(Qt.PenStyle.NoPen)
        for start, length, note, velocity in view.notes:
            paint.setBrush(style.color("accent", 0.35 + 0.5 * velocity / 127))
            paint.drawRect(QRectF(x(start), y(note) - high / 2, max(2.0, x(length) - inner.left()), high))
        self._trace(paint, x, y)

    def _trace(self, paint: QPainter, x, y) -> None:  # type: ignore[no-untyped-def]
        """What was sung, broken where nothing was heard."""
        view, line, sure = self.view, QPolygonF(), 0.0
        for row, key in enumerate((*view.trace, 0.0)):
            if key > 0:
                line.append(QPointF(x(row / TRACE_RATE), y(key)))
                sure += view.confidence[row] if row < len(view.confidence) else 1.0
            elif line.size():
                color = self.look.color("text", 0.3 + 0.7 * min(1.0, sure / line.size()))
                paint.setPen(color)
                paint.drawPolyline(line)
                line, sure = QPolygonF(), 0.0


class HumPage(QWidget):
    """asked: what the stage is to do, as a binding would say it."""

    asked = Signal(str)

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.setAccessibleName("Hum")
        self.picture = HumPicture(style)
        self.buttons: dict[str, QPushButton] = {}
        row = QGridLayout()
        row.setSpacing(4)
        for number, (what, label, does) in enumerate(BUTTONS):
            button = QPushButton(label)
            button.setToolTip(does)
            button.setAccessibleDescription(does)
            button.clicked.connect(lambda _=False, what=what: self.asked.emit(what))
            self.buttons[what] = button
            row.addWidget(button, number // 4, number % 4)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.picture, 1)
        column.addLayout(row)
        self.show_hum(None)

    def show_hum(self, view: words.HumView | None) -> None:
        """How humming stands; None: there is no stage, or it hears nothing."""
        for button in self.buttons.values():
            button.setEnabled(view is not None)
        view = view or words.HumView()
        self.picture.show_hum(view)
        busy = view.state in ("counting", "recording")
        self.buttons["hum arm"].setText("Never mind" if busy else "Arm")
        for what in ("hum listen", "hum generate", "hum drop"):
            self.buttons[what].setEnabled(
                self.buttons["hum arm"].isEnabled() and bool(view.notes) and not busy
            )
