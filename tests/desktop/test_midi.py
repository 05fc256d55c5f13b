"""The page of controllers: what is bound and learnt, what was said last; rows follow, the cursor stays."""

import os

import msgspec
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not there: pip install 'descant[desktop]'")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from descant.host.controller import Binding, Profile
from descant.host.desktop import keys
from descant.host.desktop.link import StageLink
from descant.host.desktop.prefs import Prefs
from descant.host.desktop.theme import THEMES, Style
from descant.host.desktop.window import Window
from descant.host.edge import stage_words as words
from descant.host.edge.controller_files import load_profiles, profile_for, save_learnt
from descant.host.edge.midi_view import controls_of, said
from descant.host.midi_words import read_midi

PORT = "MPD218:pads 24:0"
PAD = Binding("note 36", "loop 1 press", channel=10, mode="gate")
KNOB = Binding("cc 20", "parameter guidance", encoding="binary offset", range=(1.0, 4.0))


@pytest.fixture
def opened(tmp_path):
    app = QApplication.instance() or QApplication(["descant"])
    link = StageLink(f"ipc://{tmp_path / 'nobody'}")
    window = Window(link, Style(THEMES["dark"]), Prefs(), tmp_path / "desktop.json", tmp_path / "takes")
    told: list = []
    link.tell = told.append
    window.resize(900, 516)
    window.show()
    app.processEvents()

    def show(version, controllers, **more):
        furniture = words.Furniture(
            version, "first", (words.Pad("calm jazz"),), (), (), {}, 48000, 256, "embedded", controllers
        )
        view = words.read_view(words.pack(words.View("ready", furniture=furniture, **more)))
        window.show_view(link._taken(view))
        return [window.midi.list.item(row).text().strip() for row in range(window.midi.list.count())]

    yield window, told, show
    window.leave()
    link.close()
    app.processEvents()


def test_what_was_learnt_is_told_from_what_was_written(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    (tmp_path / "mine.toml").write_text(
        'name = "pads"\nport = "MPD218"\n[[bindings]]\non = "note 36"\ndo = "loop 1 press"\nchannel = 10\n'
        'mode = "gate"\n'
    )
    save_learnt(PORT, Profile("pads", bindings=(PAD, KNOB)), tmp_path)
    profiles, broken = load_profiles((str(tmp_path),))
    written, _ = load_profiles((str(tmp_path),), learnt=False)
    assert len(profiles) == 2 and len(written) == 1 and not broken
    found = {PORT: profile_for(PORT, profiles), "keys": profile_for("keys", profiles)}
    assert controls_of(found, written) == (
        words.Controls(PORT, "pads", (
            words.Bound("note 36, channel 10", "loop 1 press", "gate", False),
            words.Bound("cc 20", "parameter guidance", "binary offset, 1 to 4", True),
        )),
        words.Controls("keys"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x99\x24\x64", "note 36, velocity 100, channel 10"),
        (b"\x80\x24\x00", "note 36 let go, channel 1"),
        (b"\xb1\x14\x7f", "cc 20, value 127, channel 2"),
        (b"\xc0\x05", "program 5, channel 1"),
        (b"\xe0\x00\x00", "bend -8192, channel 1"),
        (b"\xfa", "start"),
    ],
)
def test_a_message_is_said_in_words(data, text):
    assert said(read_midi(data)) == text


def test_controllers_their_bindings_and_last_words_are_shown_and_follow(opened):
    window, told, show = opened
    assert show(1, ()) == [] and "found by itself" in window.midi.line.text()
    page = keys.PAGES.index("MIDI")
    QTest.keyClick(window, Qt.Key(Qt.Key.Key_F1 + page))
    assert window.pages.currentWidget() is window.midi and window.focusWidget() is window.midi.list
    assert window.midi.list.accessibleName() and window.midi.accessibleName()
    controllers = controls_of({PORT: Profile("pads", bindings=(PAD,)), "keys": Profile("keys")}, [])
    texts = show(2, controllers, said={PORT: "note 36, velocity 1, channel 1"})
    assert texts == [
        f"{PORT} · pads",
        "last: note 36, velocity 1, channel 1",
        "learnt: note 36, channel 10  →  loop 1 press (gate)",
        "keys · no profile: it plays what the preset says",
        "silent so far",
    ]
    assert window.midi.line.text() == "2 controllers, 1 bound, 1 of them learnt"
    for _ in range(2):
        QTest.keyClick(window.midi.list, Qt.Key.Key_Down)
    more = (
        msgspec.structs.replace(
            controllers[0], bindings=(*controllers[0].bindings, words.Bound("bend", "tap"))
        ),
    )
    assert "bend  →  tap" in show(3, (*more, controllers[1]))
    assert window.midi.list.currentRow() == 2
    QTest.keyClick(window.midi.list, Qt.Key.Key_1)
    assert [act.what for act in told] == ["slot 1"]  # pads play from here, too
    window.use_theme("high-contrast")
    assert window.midi.list.count() == 6
    assert show(4, (), midi_why="MIDI does not work here (no system)") == []
    assert "no system" in window.midi.line.text()
