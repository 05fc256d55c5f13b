"""The pads: a prompt of the preset under each, playing, waiting for its line or silent; mouse and keys."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QFontMetricsF, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QGridLayout, QSizePolicy, QWidget

from descant.host.desktop.part import by_keyboard, focus_ring, frame, lines, title
from descant.host.desktop.theme import BOLD, LEFT, MEDIUM, Style, font, painter
from descant.host.edge import stage_words as words

KEYS = "1234567890"
COLUMNS = 4


class Pad(QAbstractButton):
    """One prompt. number: from 0."""

    def __init__(self, style: Style, number: int, pad: words.Pad) -> None:
        super().__init__()
        self.look, self.number, self.pad = style, number, pad
        self.state, self.when = "silent", ""
        self.share = 0.0
        self.ringed = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(92, 60)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._describe()
        style.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(170, 120)

    def show_pad(self, pad: words.Pad) -> None:
        """Other words."""
        if pad != self.pad:
            self.pad = pad
            self._describe()
            self.update()

    def show_state(self, state: str, when: str, share: float) -> None:
        """state: "playing", "queued", "silent". when: how long a queued one waits. share: on the surface."""
        if (state, when, round(share, 2)) != (self.state, self.when, round(self.share, 2)):
            again = state != self.state
            self.state, self.when, self.share = state, when, share
            if again:
                self._describe()
            self.update()

    def _describe(self) -> None:
        what = "stop" if self.pad.stop else self.pad.text
        self.setAccessibleName(f"Pad {self.number + 1}: {what}")
        self.setAccessibleDescription(self.state)
        key = f"key {KEYS[self.number]}" if self.number < len(KEYS) else "no key"
        self.setToolTip(f"{what} ({key})")

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.ringed = by_keyboard(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.ringed = False
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        style, area = self.look, QRectF(self.rect())
        playing, queued = self.state == "playing", self.state == "queued"
        words_in = "on_accent" if playing else "text"
        small_in = "on_accent" if playing else "dim"
        with painter(self) as paint:
            fill = "accent" if playing else "edge" if self.isDown() else "raised"
            edge = "accent" if playing or queued else "dim" if self.underMouse() else "edge"
            frame(paint, style, area, fill, edge)
            if queued:
                paint.setPen(style.edge("accent", 3))
                y = area.bottom() - 3
                paint.drawLine(QPointF(area.left() + 8, y), QPointF(area.right() - 8, y))
            if self.share and not playing:
                paint.fillRect(QRectF(2, area.height() * (1 - self.share), 4, area.height() * self.share - 2),
                               style.color("accent"))  # fmt: skip
            inner = area.adjusted(12, 9, -12, -9)
            paint.setFont(font(12, MEDIUM))
            paint.setPen(style.color(small_in))
            paint.drawText(
                inner, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft, str(self.number + 1)
            )
            mark = {"playing": "playing", "queued": self.when}.get(self.state, "")
            if self.share and not playing:
                mark = f"{100 * self.share:.0f} %"
            paint.setPen(style.color("on_accent" if playing else "accent" if mark else "dim"))
            paint.drawText(inner, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignRight, mark)
            head, rest = ("Stop", "fade to silence") if self.pad.stop else title(self.pad.text)
            big = font(min(22.0, max(15.0, area.height() / 5.5)), BOLD)
            metrics = QFontMetricsF(big)
            top = inner.top() + 20
            paint.setFont(big)
            paint.setPen(style.color(words_in))
            for line in lines(head, metrics, inner.width(), 2):
                paint.drawText(QRectF(inner.left(), top, inner.width(), metrics.height()), LEFT, line)
                top += metrics.height()
            small = font(12)
            metrics = QFontMetricsF(small)
            room = int((inner.bottom() - top - 2) // metrics.height())
            paint.setFont(small)
            paint.setPen(style.color(small_in))
            for line in lines(rest, metrics, inner.width(), room) if room > 0 else []:
                paint.drawText(QRectF(inner.left(), top + 2, inner.width(), metrics.height()), LEFT, line)
                top += metrics.height()
            if self.ringed:
                focus_ring(paint, style, area)


class PadGrid(QWidget):
    """All pads of the preset, four in a row. pressed: a pad's number."""

    pressed = Signal(int)

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.look = style
        self.setAccessibleName("Pads")
        self.pads: list[Pad] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(8)

    def show_pads(self, pads: tuple[words.Pad, ...]) -> None:
        """The pads of a preset; those that stay keep the keyboard."""
        while len(self.pads) > len(pads):
            gone = self.pads.pop()
            self._grid.removeWidget(gone)
            gone.deleteLater()
        for number, pad in enumerate(pads):
            if number < len(self.pads):
                self.pads[number].show_pad(pad)
                continue
            made = Pad(self.look, number, pad)
            made.pressed.connect(lambda number=number: self.pressed.emit(number))
            self.pads.append(made)
            self._grid.addWidget(made, number // COLUMNS, number % COLUMNS)

    def show_view(self, view: words.View) -> None:
        """Which of them plays, and which waits for how long."""
        beat_samples = 1.0
        waiting = next((row for row in view.plan if row.at_sample > view.position), None)
        when = ""
        if waiting is not None:
            seconds = (waiting.at_sample - view.position) / max(1, self._rate)
            beat_samples = seconds * view.tempo / 60
            when = f"in {beat_samples:.1f}"
        shares = view.shares
        for pad in self.pads:
            share = shares[pad.number] if pad.number < len(shares) else 0.0
            queued = view.queued == pad.number or (pad.pad.stop and waiting is not None and not waiting.text)
            playing = view.slot == pad.number and not shares
            pad.show_state(
                "queued" if queued else "playing" if playing else "silent", when if queued else "", share
            )

    def set_rate(self, rate: int) -> None:
        """Samples a second of the view's positions."""
        self._rate = rate

    _rate = 48000
