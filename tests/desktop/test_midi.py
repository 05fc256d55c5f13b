"""The page of controllers: what is bound and learnt, what was said last; rows follow, the cursor stays."""

import msgspec
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not there: pip install 'descant[desktop]'")

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from descant.host.controller import Binding, Profile
from descant.host.desktop import keys
from descant.host.edge import stage_words as words
from descant.host.edge.controller_files import load_profiles, profile_for, save_learnt
from descant.host.edge.midi_view import controls_of, said
from descant.host.midi_words import read_midi

PORT = "MPD218:pads 24:0"
PAD = Binding("note 36", "loop 1 press", channel=10, mode="gate")
KNOB = Binding("cc 20", "parameter guidance", encoding="binary offset", range=(1.0, 4.0))


@pytest.fixture
def opened(bare):
    """(window, what it told, a way to show controllers: the rows that are then seen)."""
    one = bare()

    def show(version, controllers, **more):
        furniture = words.Furniture(
            version, "first", (words.Pad("calm jazz"),), (), (), {}, 48000, 256, "embedded", controllers
        )
        one.show(words.View("ready", furniture=furniture, **more))
        rows = one.window.midi.list
        return [rows.item(row).text().strip() for row in range(rows.count())]

    return one.window, one.told, show


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
    assert show(1, ()) == [] and "found by itself" in window.midi.line.said
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
    assert window.midi.line.said == "2 controllers, 1 bound, 1 learnt"
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
    assert "no system" in window.midi.line.said


def press(window, key, modifiers=Qt.KeyboardModifier.NoModifier):
    QTest.keyClick(window.focusWidget(), key, modifiers)


def test_a_pad_is_bound_by_keys_alone_and_esc_cancels_without_panic(opened):
    window, told, show = opened
    controllers = controls_of({PORT: Profile("pads", bindings=(PAD,))}, [])
    show(1, controllers)
    window.show_page(keys.PAGES.index("MIDI"))
    page, bar = window.midi, window.midi.bar
    while window.focusWidget() is not bar.group:
        press(window, Qt.Key.Key_Backtab, Qt.KeyboardModifier.ShiftModifier)
    press(window, Qt.Key.Key_Down)  # Loop 1
    press(window, Qt.Key.Key_Tab)
    press(window, Qt.Key.Key_Down)  # capture
    press(window, Qt.Key.Key_Tab)
    press(window, Qt.Key.Key_Return)
    assert told == [words.Learn("arm", "loop 1 capture")]
    assert words.read_asked(words.pack(told[0])) == told[0]
    show(2, controllers, lesson=words.Lesson("loop 1 capture"))
    assert window.focusWidget() is bar.cancels[0] and "now press the pad" in bar.says[0].text()
    press(window, Qt.Key.Key_Escape)
    assert told[1:] == [words.Learn("cancel")]
    show(3, controllers, lesson=words.Lesson("", "", "Nothing is bound to loop 1 capture."))
    assert window.focusWidget() is bar.learn and page.line.said == "Nothing is bound to loop 1 capture."
    press(window, Qt.Key.Key_Escape)
    assert told[2:] == [words.Act("panic")]


def test_esc_cancels_before_the_stage_has_said_that_it_listens(opened):
    window, told, show = opened
    show(1, ())
    window.show_page(keys.PAGES.index("MIDI"))
    window.midi.bar.learn.click()
    press(window, Qt.Key.Key_Escape)
    assert told == [words.Learn("arm", "slot 1"), words.Learn("cancel")]
    press(window, Qt.Key.Key_Escape)
    assert told[2:] == [words.Act("panic")]


def test_what_is_in_the_way_is_asked_about_and_answered(opened):
    window, told, show = opened
    controllers = controls_of({PORT: Profile("pads", bindings=(PAD,))}, [])
    show(1, controllers)
    window.show_page(keys.PAGES.index("MIDI"))
    bar = window.midi.bar
    asked = words.Lesson("tap", "note 36, channel 10 of MPD218 does loop 1 press already.")
    show(2, controllers, lesson=asked)
    assert bar.says[1].text() == asked.in_the_way and window.focusWidget() is bar.replace
    assert bar.replace.isVisible() and not window.midi.undo.isVisible()
    press(window, Qt.Key.Key_Return)
    assert told == [words.Learn("replace")]
    said = "note 36, channel 10 of MPD218 does tap now."
    new = controls_of({PORT: Profile("pads", bindings=(Binding("note 36", "tap", 10),))}, [])
    show(3, new, lesson=words.Lesson("", "", said, said))
    assert window.midi.list.currentItem().text().strip() == "learnt: note 36, channel 10  →  tap"
    assert window.midi.line.said == said and said in window.midi.undo.accessibleDescription()
    assert window.focusWidget() is bar.learn and not bar.replace.isVisible()
    press(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    window.midi.list.setFocus()
    press(window, Qt.Key.Key_Delete)
    press(window, Qt.Key.Key_Return)
    assert told[1:] == [
        words.Learn("undo"),
        words.Learn("remove", "tap", PORT, "note 36, channel 10"),
        words.Learn("arm", "tap"),
    ]
    assert bar.chosen == "tap"


def test_learning_ends_where_nobody_sees_it_any_more(opened):
    window, told, show = opened
    show(1, ())
    window.show_page(keys.PAGES.index("MIDI"))
    show(2, (), lesson=words.Lesson("tap"))
    window.show_page(keys.PAGES.index("Surface"))
    assert told == [words.Learn("cancel")]


def test_every_part_has_a_name_and_is_reached_by_tab(opened):
    window, _, show = opened
    show(1, controls_of({PORT: Profile("pads", bindings=(PAD,))}, []), lesson=words.Lesson(last="x"))
    window.show_page(keys.PAGES.index("MIDI"))
    page = window.midi
    page.list.setCurrentRow(2)
    parts = {page.bar.group, page.bar.function, page.bar.learn, page.list, page.undo, page.remove}
    reached = set()
    for _ in range(60):
        press(window, Qt.Key.Key_Tab)
        reached.add(window.focusWidget())
    assert reached >= parts
    buttons = {*parts, page.bar.replace, *page.bar.cancels, page.line}
    assert all(part.accessibleName() or part.accessibleDescription() for part in buttons)
