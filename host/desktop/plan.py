"""The plan: what is heard now, what comes, from which bar, and what can no longer change."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QPainter

from descant.host.desktop.part import Part, frame, lines, title
from descant.host.desktop.theme import BOLD, LEFT, MEDIUM, Style, font
from descant.host.edge import stage_words as words

BARS = 6.0
"""How many bars are seen."""
NOW = 0.18
"""Where the present is, of the width."""


class PlanStrip(Part):
    """Bar lines, stretches of music, the present and the commit point."""

    def __init__(self, style: Style) -> None:
        super().__init__(style, "Plan")
        self.setFixedHeight(66)
        self._view: words.View | None = None
        self._rate = 48000
        self._told = ""

    def sizeHint(self) -> QSize:
        return QSize(900, 66)

    def show_view(self, view: words.View, rate: int) -> None:
        """How things stand."""
        self._view, self._rate = view, rate
        coming = next((row for row in view.plan if row.at_sample > view.position), None)
        told = f"bar {view.bar + 1}; " + (
            f"from bar {coming.bar + 1:g}: {coming.text or 'silence'}" if coming else "nothing new is planned"
        )
        if told != self._told:
            self._told = told
            self.setAccessibleDescription(told)
        self.update()

    def draw(self, paint: QPainter, area: QRectF) -> None:
        style, view = self.look, self._view
        frame(paint, style, area)
        if view is None:
            return
        inner = area.adjusted(1, 1, -1, -1)
        paint.setClipRect(inner)
        samples_a_bar = view.beats_a_bar * 60 / view.tempo * self._rate
        a_sample = inner.width() / (BARS * samples_a_bar)
        now = inner.left() + NOW * inner.width()

        def at(sample: float) -> float:
            return now + (sample - view.position) * a_sample

        self._stretches(paint, inner, at)
        beat_samples = samples_a_bar / view.beats_a_bar
        first = math.floor(view.beat) - math.ceil(BARS * NOW * view.beats_a_bar) - 1
        small = font(11, MEDIUM)
        for beat in range(first, first + int((BARS + 1) * view.beats_a_bar) + 3):
            x = at(view.position + (beat - view.beat) * beat_samples)
            line = beat % view.beats_a_bar == 0
            paint.setPen(style.edge("faint" if line else "edge", 1.0))
            paint.drawLine(
                int(x), int(inner.top() if line else inner.bottom() - 5), int(x), int(inner.bottom())
            )
            if line:
                paint.setFont(small)
                paint.setPen(style.color("dim"))
                paint.drawText(
                    QRectF(x + 5, inner.top() + 3, 60, 14), LEFT, str(beat // view.beats_a_bar + 1)
                )
        commit = view.commit_ms / 1000 * self._rate * a_sample
        paint.fillRect(QRectF(now, inner.top(), commit, inner.height()), style.color("text", 0.16))
        paint.setPen(style.edge("text", 2.0))
        paint.drawLine(int(now), int(inner.top()), int(now), int(inner.bottom()))

    def _stretches(self, paint: QPainter, inner: QRectF, at) -> None:  # type: ignore[no-untyped-def]
        """What sounds from where to where, in words."""
        style, view = self.look, self._view
        assert view is not None
        for index, row in enumerate(view.plan):
            last = index + 1 == len(view.plan)
            left = max(inner.left(), at(row.at_sample))
            right = inner.right() if last else min(inner.right(), at(view.plan[index + 1].at_sample))
            if right <= inner.left() or left >= inner.right() or not row.text:
                continue
            box = QRectF(left, inner.top() + 21, right - left, inner.height() - 27)
            now = row.at_sample <= view.position and (last or view.plan[index + 1].at_sample > view.position)
            mixed = now and bool(view.shares)
            paint.setPen(Qt.PenStyle.NoPen)
            paint.setBrush(style.color("accent", 0.24 if now else 0.10))
            paint.drawRect(box)
            paint.fillRect(QRectF(left, box.top(), 3, box.height()), style.color("accent"))
            head, rest = title(row.text)
            text = "a mix of the surface" if mixed else f"{head}, {rest}" if rest else head
            type_ = font(14, BOLD)
            from_now = max(left, at(view.position) if now else left)
            room = right - from_now - 18
            if room < 30:
                continue
            paint.setFont(type_)
            paint.setPen(style.color("text"))
            for line in lines(text, QFontMetricsF(type_), room, 1):
                paint.drawText(QRectF(from_now + 11, box.top(), room, box.height()), LEFT, line)
