"""The keys of the window: one table, from which the shortcuts and the page that explains them are made."""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from descant.host.desktop.theme import BOLD, font

PAGES = ("Surface", "Presets", "Hum", "Takes", "Devices", "MIDI", "Keys")
ROWS = (
    ("1 … 0", "pads 1 to 10"),
    ("Q W E R T Y U I", "loops 1 to 8: record, close, overdub"),
    ("Shift + loop key", "stop that loop"),
    ("Alt + loop key", "capture what was just generated"),
    ("P", "stop the music; start it again with the last pad"),
    ("Space", "press what has the frame"),
    ("B", "tap the tempo"),
    ("Esc", "panic: everything stops; while learning: cancel that"),
    ("H, Shift + H, G", "hum: arm; take the last minute; generate"),
    ("F1 … F7", "surface, presets, hum, takes, devices, MIDI, keys"),
    ("/, Ctrl + F", "search the presets, the takes"),
    ("Enter, Ctrl + E", "in the takes: listen, and silence; export"),
    ("← →, Ctrl + 0 … 5", "in the takes: stars, from none to five"),
    ("Ctrl + C", "in the takes: copy the file, as dragging it does"),
    ("Enter, Delete, Ctrl + Z", "in MIDI: learn again, remove a binding, undo"),
    ("Arrows", "move the point on the surface; Shift: small steps"),
    ("Home, Delete", "centre the point; let the surface go"),
    ("Tab, Shift + Tab", "from part to part"),
    ("Menu", "everything a loop can do"),
    ("C", "forget clipping"),
    ("Ctrl + T", "theme: dark, high contrast"),
    ("Ctrl + + / −", "scale"),
    ("F11", "full screen"),
    ("Ctrl + Q", "quit, and stop the sound"),
    ("Ctrl + W", "close the window; the sound goes on"),
)


class Keys(QWidget):
    """The page."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Keys")
        inside = QWidget()
        grid = QGridLayout(inside)
        grid.setContentsMargins(4, 4, 8, 4)
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(5)
        for number, (keys, what) in enumerate(ROWS):
            left, right = QLabel(keys), QLabel(what)
            left.setFont(font(12, BOLD))
            right.setWordWrap(True)
            right.setFont(font(12))
            grid.addWidget(left, number, 0)
            grid.addWidget(right, number, 1)
        grid.setColumnStretch(1, 1)
        grid.setRowStretch(len(ROWS), 1)
        area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(area)
