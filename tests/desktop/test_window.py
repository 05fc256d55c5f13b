"""The window without a stage and without a screen: what it shows, and what a key or a press tells."""

import msgspec
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not there: pip install 'descant[desktop]'")

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from descant.host.desktop.browser import found
from descant.host.desktop.part import title
from descant.host.desktop.prefs import Prefs, load_prefs, save_prefs
from descant.host.edge import stage_words as words

PADS = (words.Pad("calm jazz with piano"), words.Pad("bright pop with flute"), words.Pad("", True))
ROWS = (words.PresetRow("first", "Genres.", 100.0, ("calm jazz",)), words.PresetRow("night", "", 96.0, ()))
FURNITURE = words.Furniture(1, "first", PADS, ROWS, (), {}, 48000, 256, "embedded")
VIEW = words.View(
    "generating", position=1000, slot=0, queued=1, furniture=FURNITURE,
    plan=(words.Coming(0, 0.0, PADS[0].text, 0), words.Coming(25000, 1.0, PADS[1].text, 1)),
)  # fmt: skip


@pytest.fixture
def opened(bare):
    one = bare()
    one.show(VIEW)
    return one.window, one.told


def test_pads_show_what_plays_and_waits_and_tell_when_pressed(opened):
    window, told = opened
    assert [pad.state for pad in window.pads.pads] == ["playing", "queued", "silent"]
    assert window.pads.pads[1].when == "in 1.0"
    QTest.mouseClick(window.pads.pads[2], Qt.MouseButton.LeftButton)
    QTest.mouseClick(window.panic, Qt.MouseButton.LeftButton)
    QTest.mouseClick(window.loops.slots[7], Qt.MouseButton.LeftButton)
    assert [act.what for act in told] == ["slot 3", "panic", "loop 8 press"]


def test_a_hum_is_seen_and_its_buttons_and_keys_tell_the_stage(opened):
    window, told = opened
    assert not window.hum.buttons["hum arm"].isEnabled()  # this stage hears nothing
    idle = words.HumView()
    window.show_view(msgspec.structs.replace(VIEW, hum=idle, furniture=None))
    buttons = window.hum.buttons
    assert buttons["hum arm"].isEnabled() and not buttons["hum generate"].isEnabled()
    QTest.keyClick(window, Qt.Key.Key_H)
    assert window.pages.currentWidget() is window.hum
    counting = words.HumView("counting", beats=3)
    window.show_view(msgspec.structs.replace(VIEW, hum=counting, furniture=None))
    assert buttons["hum arm"].text() == "Never mind"
    assert window.hum.picture.accessibleDescription() == "in 3"
    ready = words.HumView(
        "ready", bars=2, key="G major", notes=((0.0, 0.5, 67, 90), (0.6, 0.4, 71, 64)),
        trace=(67.1,) * 30 + (0.0,) * 8 + (70.9,) * 24, confidence=(0.9,) * 62, follow=0.81, chance=0.08,
    )  # fmt: skip
    before = window.hum.picture.grab().toImage()
    window.show_view(msgspec.structs.replace(VIEW, hum=ready, furniture=None))
    assert window.hum.picture.grab().toImage() != before
    assert "follows by 0.81" in window.hum.picture.accessibleDescription()
    QTest.mouseClick(buttons["hum generate"], Qt.MouseButton.LeftButton)
    QTest.mouseClick(buttons["hum drop"], Qt.MouseButton.LeftButton)
    assert [act.what for act in told] == ["hum arm", "hum generate", "hum drop"]


def test_a_theme_is_used_at_once_and_remembered(opened, tmp_path):
    window, _ = opened
    window.use_theme("high-contrast")
    assert window.grab().toImage().pixelColor(2, 2).name() == "#000000"
    assert load_prefs(tmp_path / "desktop.json").theme == "high-contrast"


def test_broken_preferences_are_none_and_presets_are_found(tmp_path):
    path = tmp_path / "desktop.json"
    for text in (b"{", b'{"theme": "pink"}', b'{"scale": 900}'):
        path.write_bytes(text)
        assert load_prefs(path) == Prefs()
    assert save_prefs(path, Prefs(scale=150)) is None and load_prefs(path).scale == 150
    assert [row.name for row in found(ROWS, "jazz", set())] == ["first"]
    assert found(ROWS, "", {"night"})[0].name == "night" and found(ROWS, "polka", set()) == []
    assert title("calm jazz with piano at 100 bpm in C major") == ("calm jazz", "piano")
