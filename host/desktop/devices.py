"""Devices: what plays, a test tone through it, which controllers are there, and how the window looks."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFormLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from descant.host.desktop.prefs import SCALES
from descant.host.desktop.theme import THEMES
from descant.host.edge import stage_words as words

DEFAULT = "The system's default"


class Devices(QWidget):
    """asked: what the stage is to do. theme, scale: of the window, in a name and in percent."""

    asked = Signal(object)
    theme = Signal(str)
    scale = Signal(int)

    def __init__(self, theme: str, scale: int) -> None:
        super().__init__()
        self.setAccessibleName("Devices")
        self._devices: tuple[words.Device, ...] = ()
        self.device = QComboBox()
        self.device.setAccessibleName("Audio device")
        self.device.addItem(DEFAULT, "")
        self.device.activated.connect(self._choose)
        self.tone = QPushButton("Test tone")
        self.tone.setCheckable(True)
        self.tone.setAccessibleDescription("A quiet sine of 440 hertz, beside the music")
        self.tone.clicked.connect(lambda on: self.asked.emit(words.Ports(tone=bool(on))))
        self._plays, self._ports, self._rates = QLabel(), QLabel(), QLabel()
        for label in (self._plays, self._ports, self._rates):
            label.setWordWrap(True)
        self.themes, self.scales = QComboBox(), QComboBox()
        self.themes.setAccessibleName("Theme")
        self.scales.setAccessibleName("Scale")
        for name in THEMES:
            self.themes.addItem(name.capitalize().replace("-", " "), name)
        self.themes.setCurrentIndex(self.themes.findData(theme))
        for percent in SCALES:
            self.scales.addItem(f"{percent} %", percent)
        self.scales.setCurrentIndex(max(0, self.scales.findData(scale)))
        self.themes.activated.connect(lambda _: self.theme.emit(str(self.themes.currentData())))
        self.scales.activated.connect(lambda _: self.scale.emit(int(self.scales.currentData())))
        inside = QWidget()
        form = QFormLayout(inside)
        form.setContentsMargins(4, 4, 8, 4)
        form.setVerticalSpacing(10)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Audio", self.device)
        form.addRow("", self._plays)
        form.addRow("Sound", self.tone)
        form.addRow("Timeline", self._rates)
        form.addRow("Controllers", self._ports)
        form.addRow("Theme", self.themes)
        form.addRow("Scale", self.scales)
        area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(area)

    def show_view(self, view: words.View, furniture: words.Furniture | None) -> None:
        """What there is."""
        if furniture is not None and furniture.devices != self._devices:
            self._devices = furniture.devices
            chosen = self.device.currentData()
            self.device.clear()
            self.device.addItem(DEFAULT, "")
            for row in furniture.devices:
                if row.outputs:
                    ways = f"{row.inputs} in, {row.outputs} out"
                    self.device.addItem(f"{row.name} ({row.interface}, {ways})", row.name)
            self.device.setCurrentIndex(max(0, self.device.findData(chosen)))
        if furniture is not None:
            _say(self._rates, f"{furniture.rate / 1000:g} kHz, blocks of {furniture.block}")
        plays = f"Plays through {view.device}" if view.device else f"Nothing is heard: {view.device_why}"
        if view.device and view.device_rate:
            plays += f" at {view.device_rate / 1000:g} kHz"
        _say(self._plays, plays)
        _say(self._ports, "\n".join(view.ports) or "none; plug one in")
        if self.tone.isChecked() != view.tone and not self.tone.isDown():
            self.tone.setChecked(view.tone)

    def _choose(self, row: int) -> None:
        self.asked.emit(words.Ports(device=str(self.device.itemData(row))))


def _say(label: QLabel, text: str) -> None:
    if label.text() != text:
        label.setText(text)
