"""What went wrong, in three lines, at a place of its own below the music."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QKeyEvent, QMouseEvent, QPainter

from descant.host.desktop.part import Part, frame, lines
from descant.host.desktop.theme import BOLD, LEFT, RIGHT, Style, font
from descant.host.edge import stage_words as words
from descant.host.errors import sentences

KEPT = 50


class Notices(Part):
    """The latest one; Up and Down look at earlier ones, Delete puts it away."""

    def __init__(self, style: Style) -> None:
        super().__init__(style, "Notices")
        self.setFixedHeight(62)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolTip("Press for the one before; Delete puts it away.")
        self.notices: list[words.Notice] = []
        self._newest = 0
        self._at = -1  # which is shown, from the end; 0: none

    def sizeHint(self) -> QSize:
        return QSize(900, 62)

    def show_view(self, view: words.View) -> None:
        """What is new of what the stage tells."""
        if view.notices and view.notices[-1].number < self._newest:
            self._newest = 0  # another stage
        for notice in view.notices:
            if notice.number > self._newest:
                self._newest = notice.number
                self.tell(notice)

    def tell(self, notice: words.Notice) -> None:
        """Show one."""
        self.notices = [*self.notices, notice][-KEPT:]
        self._at = -1
        self._describe()

    def _shown(self) -> words.Notice | None:
        return self.notices[self._at] if self._at < 0 and len(self.notices) >= -self._at else None

    def _describe(self) -> None:
        notice = self._shown()
        self.setAccessibleDescription(
            sentences(notice.what, notice.still, notice.do) if notice else "nothing to tell"
        )
        self.update()

    def _turn(self, step: int) -> None:
        if self.notices:
            self._at = min(-1, max(-len(self.notices), (self._at or 0) + step))
            self._describe()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Up:
                self._turn(-1)
            case Qt.Key.Key_Down:
                self._turn(1)
            case Qt.Key.Key_Delete:
                self._at = 0
                self._describe()
            case _:
                super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._turn(-1)

    def draw(self, paint: QPainter, area: QRectF) -> None:
        style, notice = self.look, self._shown()
        frame(paint, style, area)
        inner = area.adjusted(14, 4, -14, -4)
        if notice is None:
            paint.setFont(font(12))
            paint.setPen(style.color("dim"))
            paint.drawText(inner, LEFT, "Nothing to tell.")
        else:
            if notice.severity != "info":
                paint.fillRect(
                    QRectF(area.left() + 1, area.top() + 6, 4, area.height() - 12), style.color("bad")
                )
            rows = [row for row in (notice.what, notice.still, notice.do) if row]
            for index, row in enumerate(rows):
                type_ = font(13, BOLD) if index == 0 else font(12)
                paint.setFont(type_)
                paint.setPen(style.color("text" if index == 0 else "dim"))
                box = QRectF(inner.left(), inner.top() + 18 * index, inner.width() - 60, 18)
                for line in lines(row, QFontMetricsF(type_), box.width(), 1):
                    paint.drawText(box, LEFT, line)
            paint.setFont(font(11))
            paint.setPen(style.color("dim"))
            paint.drawText(
                QRectF(inner.right() - 60, inner.top(), 60, 18), RIGHT,
                f"{len(self.notices) + self._at + 1} / {len(self.notices)}",
            )  # fmt: skip
