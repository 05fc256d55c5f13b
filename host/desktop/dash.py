"""The top line: how it goes in one word, where the song is, and the numbers that tell whether it holds."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPolygonF

from descant.host.desktop.part import Part, frame, lines
from descant.host.desktop.theme import BOLD, LEFT, MEDIUM, RIGHT, Style, font
from descant.host.edge import stage_words as words

PHASES = {
    "starting": ("Starting", "the audio process"),
    "loading": ("Loading", "the model"),
    "ready": ("Ready", "hit a pad"),
    "generating": ("Generating", ""),
    "late": ("Late", ""),
    "lost": ("Lost", ""),
    "ended": ("Ended", ""),
}
GONE = words.View(phase="lost", why="the stage does not answer; it is looked for")


class Dash(Part):
    """State, place, tempo, real-time factor, lead, gaps, device."""

    def __init__(self, style: Style) -> None:
        super().__init__(style, "State")
        self.setFixedHeight(64)
        self.setMinimumWidth(560)
        self.view: words.View = GONE
        self._told = ""

    def sizeHint(self) -> QSize:
        return QSize(900, 64)

    def show_view(self, view: words.View) -> None:
        """How things stand."""
        self.view = view
        head, _ = PHASES[view.phase]
        m = view.meters
        told = f"{head}. {view.why}. Real-time factor {m.real_time_factor:.2f}, {m.underruns} gaps."
        if told != self._told:
            self._told = told
            self.setAccessibleDescription(told)
            self.setToolTip(self._tip())
        self.update()

    def _tip(self) -> str:
        m = self.view.meters
        return (
            f"Real-time factor: time to make / time it lasts; below 1 holds.\nLead: audio made ahead.\n"
            f"Gaps: {m.underruns} underruns, {m.xruns} xruns of the device, {m.restarts} audio restarts.\n"
            f"Control delay: {m.control_delay_ms:.0f} ms. Given up: rung {m.eased} of 4."
        )

    def draw(self, paint: QPainter, area: QRectF) -> None:
        style, view = self.look, self.view
        frame(paint, style, area)
        inner = area.adjusted(14, 8, -14, -8)
        cells = self._cells()
        wide = 82.0 if area.width() > 760 else 70.0
        right = inner.right()
        for label, value, bad in reversed(cells):
            box = QRectF(right - wide, inner.top(), wide - 10, inner.height())
            self._number(paint, box, label, value, bad)
            right -= wide
        place = QRectF(right - 118, inner.top(), 108, inner.height())
        beat = view.beat - view.bar * view.beats_a_bar
        self._number(paint, place, "bar . beat", f"{view.bar + 1}.{max(0, int(beat)) + 1}", False, 32)
        self._state(
            paint,
            QRectF(inner.left(), inner.top(), max(60.0, place.left() - inner.left() - 12), inner.height()),
        )

    def _cells(self) -> list[tuple[str, str, bool]]:
        view, m = self.view, self.view.meters
        making = view.phase in ("generating", "late")
        return [
            ("bpm", f"{view.tempo:.1f}", False),
            (
                "real time",
                f"{m.real_time_factor:.2f}" if making and m.real_time_factor else "–",
                making and m.real_time_factor >= 1,
            ),
            ("lead ms", f"{m.lead_ms:.0f}" if making else "–", making and m.lead_ms < view.commit_ms),
            ("gaps", f"{m.underruns + m.xruns}", view.phase == "late"),
        ]

    def _number(
        self, paint: QPainter, box: QRectF, label: str, value: str, bad: bool, size: float = 24
    ) -> None:
        style = self.look
        paint.setFont(font(size, MEDIUM))
        paint.setPen(style.color("bad" if bad else "text"))
        paint.drawText(QRectF(box.left() - 20, box.top() - 5, box.width() + 20, 36), RIGHT, value)
        paint.setFont(font(11))
        paint.setPen(style.color("dim"))
        paint.drawText(QRectF(box.left(), box.bottom() - 14, box.width(), 14), RIGHT, label)

    def _state(self, paint: QPainter, box: QRectF) -> None:
        style, view = self.look, self.view
        head, usual = PHASES[view.phase]
        self._lamp(paint, QPointF(box.left() + 9, box.top() + 15))
        type_ = font(24, BOLD)
        paint.setFont(type_)
        paint.setPen(style.color("bad" if view.phase in ("late", "lost") else "text"))
        paint.drawText(QRectF(box.left() + 28, box.top() - 3, box.width() - 28, 34), LEFT, head)
        small = font(12)
        paint.setFont(small)
        paint.setPen(style.color("dim"))
        device = view.device or view.device_why
        device = f"{device} · {view.device_rate / 1000:g} kHz" if view.device and view.device_rate else device
        said = " · ".join(part for part in (view.why or usual, device) if part)
        for line in lines(said, QFontMetricsF(small), box.width() - 28, 1):
            paint.drawText(QRectF(box.left() + 28, box.bottom() - 15, box.width() - 28, 15), LEFT, line)

    def _lamp(self, paint: QPainter, at: QPointF) -> None:
        """The state by shape, not by colour alone."""
        style, phase = self.look, self.view.phase
        wrong = phase in ("late", "lost")
        paint.setPen(style.edge("bad" if wrong else "accent" if phase == "generating" else "dim", 2.5))
        paint.setBrush(style.color("accent") if phase == "generating" else Qt.BrushStyle.NoBrush)
        x, y = at.x(), at.y()
        if phase == "late":
            paint.drawPolygon(QPolygonF([QPointF(x, y - 9), QPointF(x + 9, y + 7), QPointF(x - 9, y + 7)]))
        elif phase in ("lost", "ended"):
            paint.drawLine(QPointF(x - 7, y - 7), QPointF(x + 7, y + 7))
            paint.drawLine(QPointF(x - 7, y + 7), QPointF(x + 7, y - 7))
        elif phase in ("starting", "loading"):
            turn = int(self.view.position / 160) % 5760 if self.view.position else 0
            paint.drawArc(QRectF(x - 8, y - 8, 16, 16), -turn, 16 * 250)
        else:
            paint.drawEllipse(at, 8, 8)
