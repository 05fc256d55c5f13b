"""How the window looks: its colours, one accent among them, its type, and the sheet for Qt's own widgets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPen
from PySide6.QtWidgets import QWidget

FAMILIES = ["Inter", "SF Pro Text", "Segoe UI Variable", "Segoe UI", "Noto Sans", "DejaVu Sans"]
RADIUS = 6.0
GAP = 10
"""Pixels between panels, before scaling."""


@dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb. ground: behind all; panel: of a part; raised: of what can be pressed; edge: around
    it; faint: of marks; dim, text: of words; accent: what plays or is chosen; on_accent: words on it; bad:
    what has gone wrong. edge_width: pixels.
    """

    name: str
    ground: str
    panel: str
    raised: str
    edge: str
    faint: str
    dim: str
    text: str
    accent: str
    on_accent: str
    bad: str
    edge_width: float = 1.0


DARK = Theme(
    "dark", "#0e1012", "#15181b", "#1d2125", "#2b3036", "#3d444c", "#98a2ad", "#eceff2", "#f0a23c", "#191204",
    "#ff6a55",
)  # fmt: skip
CONTRAST = Theme(
    "high-contrast", "#000000", "#000000", "#000000", "#ffffff", "#bfbfbf", "#ffffff", "#ffffff", "#ffdd00",
    "#000000", "#ff8a7a", 2.0,
)  # fmt: skip
THEMES = {theme.name: theme for theme in (DARK, CONTRAST)}


class Style(QObject):
    """The theme of a window, handed to all its parts. changed: another one holds now."""

    changed = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme

    def use(self, theme: Theme) -> None:
        """Another theme, at once."""
        self.theme = theme
        self.changed.emit()

    def color(self, name: str, alpha: float = 1.0) -> QColor:
        """A colour by its name in the theme. alpha: 0..1."""
        color = QColor(str(getattr(self.theme, name)))
        color.setAlphaF(alpha)
        return color

    def edge(self, name: str = "edge", width: float | None = None) -> QPen:
        """A line around something."""
        return QPen(self.color(name), self.theme.edge_width if width is None else width)

    def sheet(self) -> str:
        """For Qt's own widgets."""
        t = self.theme
        return f"""
        QWidget {{ background: {t.ground}; color: {t.text}; }}
        QToolTip {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.edge}; padding: 4px; }}
        QLabel {{ background: transparent; }}
        QLabel[dim="true"] {{ color: {t.dim}; }}
        QPushButton {{ background: {t.raised}; border: {t.edge_width}px solid {t.edge}; border-radius: 5px;
            padding: 5px 12px; outline: none; }}
        QPushButton:hover {{ border-color: {t.dim}; }}
        QPushButton:pressed, QPushButton:checked {{ background: {t.accent}; color: {t.on_accent};
            border-color: {t.accent}; }}
        QPushButton:focus {{ border: 2px solid {t.text}; padding: 4px 11px; }}
        QPushButton:disabled {{ color: {t.faint}; }}
        QLineEdit, QComboBox {{ background: {t.raised}; border: {t.edge_width}px solid {t.edge};
            border-radius: 5px; padding: 5px 8px; selection-background-color: {t.accent};
            selection-color: {t.on_accent}; }}
        QLineEdit:focus, QComboBox:focus {{ border: 2px solid {t.text}; padding: 4px 7px; }}
        QComboBox QAbstractItemView {{ background: {t.raised}; border: 1px solid {t.edge};
            selection-background-color: {t.accent}; selection-color: {t.on_accent}; }}
        QListView {{ background: {t.panel}; border: none; outline: none; }}
        QListWidget::item {{ padding: 2px 6px; border-left: 3px solid transparent; }}
        QListWidget::item:selected {{ background: {t.raised}; border-left: 3px solid {t.text}; }}
        QListView:focus {{ border: 2px solid {t.text}; border-radius: 5px; }}
        QScrollBar:vertical {{ background: {t.panel}; width: 10px; margin: 0; }}
        QScrollBar::handle:vertical {{ background: {t.faint}; border-radius: 4px; min-height: 24px; }}
        QScrollBar::add-line, QScrollBar::sub-line {{ height: 0; }}
        QScrollBar::add-page, QScrollBar::sub-page {{ background: none; }}
        QScrollArea {{ border: none; }}
        QPushButton[page="true"] {{ background: transparent; color: {t.dim}; padding: 4px 6px; border: none;
            border-radius: 0; border-bottom: 2px solid transparent; }}
        QPushButton[page="true"]:hover {{ color: {t.text}; }}
        QPushButton[page="true"]:checked {{ background: transparent; color: {t.text};
            border-bottom: 2px solid {t.accent}; }}
        QPushButton[page="true"]:focus {{ border: 1px solid {t.text}; border-bottom: 2px solid {t.accent};
            padding: 3px 5px; }}
        """


def font(size: float, weight: QFont.Weight = QFont.Weight.Normal, tabular: bool = True) -> QFont:
    """Type of a size in pixels, before scaling; its figures all equally wide."""
    made = QFont()
    made.setFamilies(FAMILIES)
    made.setPixelSize(round(size))
    made.setWeight(weight)
    if tabular:
        made.setFeature(QFont.Tag("tnum"), 1)
    return made


@contextmanager
def painter(widget: QWidget) -> Iterator[QPainter]:
    """For a part that draws itself; smooth lines."""
    made = QPainter(widget)
    made.setRenderHint(QPainter.RenderHint.Antialiasing)
    try:
        yield made
    finally:
        made.end()


BOLD = QFont.Weight.DemiBold
MEDIUM = QFont.Weight.Medium
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
CENTRE = Qt.AlignmentFlag.AlignCenter
