"""The page of takes on a real store with real files: found, rated, heard, exported, dragged; its faults."""

import os
import resource
import signal

import msgspec
import numpy as np
import pytest
import soundfile

pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not there: pip install 'descant[desktop]'")

from PySide6.QtCore import QDeadlineTimer, QEventLoop, QPoint, Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QMessageBox, QWidget

from descant.host.desktop import keys
from descant.host.desktop.take_rows import LOW_ROW, ROW, STAR
from descant.host.edge import stage_words as words
from descant.host.edge.take_store import DATABASE, TakeStore
from descant.host.takes import Take

WAVE = np.random.default_rng(3).uniform(-0.5, 0.5, (2, 4800)).astype(np.float32)
VIEW = words.View("ready", device="speakers", device_rate=48000)
MADE = "2026-03-01T20:15:00+00:00"


def recorded(store, name, **more):
    writer = store.begin(name, 48000, 2)
    assert writer.write(WAVE)
    writer.close()
    return store.keep(Take(name, MADE, writer.path.name, writer.seconds, **more))


@pytest.fixture
def folder(tmp_path):
    with TakeStore(tmp_path / "takes") as store:
        recorded(store, "first", prompt="calm jazz with piano", key="Am", tempo=100.0)
        recorded(store, "second", prompt="bright pop with flute", key="C", rating=2)
        recorded(store, "third", prompt="calm folk with guitar", key="G")
    return tmp_path / "takes"


@pytest.fixture
def opened(bare, folder):
    def show(where=folder, view=VIEW):
        one = bare(where)
        one.show(view)
        one.window.show_page(keys.PAGES.index("Takes"))
        return one.window, one.window.takes, one.told

    return show


def until(true):
    """Qt turns until it is so."""
    loop, look, late = QEventLoop(), QTimer(), QDeadlineTimer(10_000)
    look.timeout.connect(lambda: loop.quit() if true() or late.hasExpired() else None)
    look.start(2)
    loop.exec()
    assert not late.hasExpired()


def numbers(page):
    return [row.take.number for row in page.list.model().rows]


def press(page, key, modifiers=Qt.KeyboardModifier.NoModifier):
    QTest.keyClick(page.list, key, modifiers)


def rating(folder, number):
    with TakeStore(folder) as store:
        return store.get(number).rating


def test_takes_are_listed_newest_first_and_found_by_words_as_they_are_typed(opened):
    window, page, _ = opened()
    assert window.focusWidget() is page.search
    until(lambda: numbers(page) == [3, 2, 1])
    shown = page.list.model().index(1)
    said = shown.data(Qt.ItemDataRole.AccessibleTextRole)
    assert said == "take 2, bright pop with flute, 2 of 5 stars"
    assert "0:00.1 · C" in shown.data(Qt.ItemDataRole.AccessibleDescriptionRole)
    assert "3 takes" in page.line.accessibleDescription()
    QTest.keyClicks(page.search, "CALM am")
    until(lambda: numbers(page) == [1])
    QTest.keyClicks(page.search, " polka")
    until(lambda: numbers(page) == [])
    assert "No take holds" in page.line.accessibleDescription() and not page.listen.isEnabled()
    page.search.clear()
    until(lambda: numbers(page) == [3, 2, 1])
    QTest.keyClick(page.search, Qt.Key.Key_Return)
    assert window.focusWidget() is page.list and page.list.row().take.number == 1  # the one that was chosen


def test_a_take_recorded_meanwhile_is_seen_and_the_chosen_one_stays(opened, folder):
    _, page, _ = opened()
    until(lambda: numbers(page) == [3, 2, 1])
    press(page, Qt.Key.Key_Down)
    with TakeStore(folder) as store:
        writer = store.begin("now", 48000, 2)
        writer.write(WAVE)
        store.keep(Take("now", MADE, writer.path.name))
        page.look()
        until(lambda: numbers(page) == [4, 3, 2, 1])
        assert page.list.row().take.number == 2
        assert "being recorded" in page.list.model().index(0).data()
        writer.close()
    page.look()
    until(lambda: "being recorded" not in page.list.model().index(0).data())


def test_stars_by_keys_and_mouse_are_kept_and_pads_are_not_pressed(opened, folder):
    _, page, told = opened()
    until(lambda: numbers(page) == [3, 2, 1])
    press(page, Qt.Key.Key_4, Qt.KeyboardModifier.ControlModifier)
    press(page, Qt.Key.Key_Right)
    press(page, Qt.Key.Key_Right)  # there are no more than five
    until(lambda: rating(folder, 3) == 5)
    press(page, Qt.Key.Key_Left)
    until(lambda: rating(folder, 3) == 4)
    press(page, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    until(lambda: rating(folder, 3) == 0)
    box = page.list.visualRect(page.list.model().index(1))

    def star(n):
        at = QPoint(int(box.right() - 8 - (5 - n + 0.5) * STAR), box.top() + ROW // 4)
        QTest.mouseClick(page.list.viewport(), Qt.MouseButton.LeftButton, pos=at)

    star(4)
    until(lambda: rating(folder, 2) == 4)
    star(4)  # the last one again: one less
    until(lambda: rating(folder, 2) == 3)
    assert told == [] and "3 of 5 stars" in page.list.model().index(1).data()
    QTest.keyClick(page.list, Qt.Key.Key_1)
    assert told == []  # a pad's key: this preset has none
    assert rating(folder, 3) == 0


def test_the_smallest_window_shows_four_takes_and_a_larger_one_more_of_each(opened, folder):
    with TakeStore(folder) as store:
        for number in range(9):
            recorded(store, f"more {number}")
    window, page, _ = opened()
    until(lambda: len(numbers(page)) == 12)

    def row(at):
        return page.list.visualRect(page.list.model().index(at))

    until(lambda: row(0).height() == LOW_ROW)
    assert page.list.viewport().rect().contains(row(3))
    window.resize(1280, 800)
    until(lambda: row(0).height() == ROW)
    assert page.list.viewport().rect().contains(row(3))


def test_a_take_that_the_stage_begins_is_seen_at_once(opened, folder):
    window, page, _ = opened()
    until(lambda: numbers(page) == [3, 2, 1])
    page._timer.stop()  # nobody looks by himself
    with TakeStore(folder) as store:
        recorded(store, "fourth")
    window.show_view(msgspec.structs.replace(VIEW, takes=1))
    until(lambda: numbers(page) == [4, 3, 2, 1])


def test_where_the_stage_records_is_said_where_it_is_not_here(opened, folder):
    window, page, _ = opened()
    until(lambda: numbers(page) == [3, 2, 1])
    for version, (into, says) in enumerate(
        [(str(folder), f"3 takes · {folder}"), ("", "3 takes · nothing is recorded (--no-takes)"),
         ("/other/takes", "3 takes · recorded elsewhere: /other/takes")]
    ):  # fmt: skip
        furniture = words.Furniture(version, "first", (), (), (), {}, 48000, 256, "embedded", (), into)
        window.show_view(window.link._taken(msgspec.structs.replace(VIEW, furniture=furniture)))
        assert page.line.accessibleDescription() == says


def test_a_take_is_heard_through_the_stage_and_stopped(opened, folder):
    window, page, told = opened()
    until(lambda: numbers(page) == [3, 2, 1])
    press(page, Qt.Key.Key_Return)
    path = told[-1].file
    wave, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(wave.T, WAVE)
    assert words.read_asked(words.pack(told[-1])) == words.Listen(path)
    heard = words.View("ready", device="speakers", listened=path, listened_seconds=61.5)
    window.show_view(heard)
    assert page.listen.text() == "Stop" and "listened to" in page.list.model().index(0).data()
    press(page, Qt.Key.Key_Down)
    assert page.listen.text() == "Listen"  # another one
    press(page, Qt.Key.Key_Up)
    QTest.mouseClick(page.listen, Qt.MouseButton.LeftButton)
    assert told[-1] == words.Listen("") and len(told) == 2


def test_what_cannot_be_heard_is_said(opened):
    window, page, told = opened(view=words.View("ready", device_why="nothing is plugged in"))
    until(lambda: numbers(page) == [3, 2, 1])
    press(page, Qt.Key.Key_Space)
    notice = window.notices.notices[-1]
    assert "nothing is plugged in" in notice.what and notice.still and notice.do
    window.link.gone.emit()
    press(page, Qt.Key.Key_Space)
    assert "stage" in window.notices.notices[-1].what and told == []
    assert "stage" in page.listen.accessibleDescription()


def test_the_file_is_copied_and_dragged_out_but_never_moved(opened, folder):
    _, page, _ = opened()
    until(lambda: numbers(page) == [3, 2, 1])
    model = page.list.model()
    assert model.supportedDragActions() == Qt.DropAction.CopyAction
    assert model.flags(model.index(0)) & Qt.ItemFlag.ItemIsDragEnabled and page.list.dragEnabled()
    dragged = model.mimeData([model.index(0)]).urls()
    press(page, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().mimeData().urls() == dragged
    wave, _ = soundfile.read(dragged[0].toLocalFile(), dtype="float32")
    np.testing.assert_array_equal(wave.T, WAVE)


def test_export_by_the_dialog_asks_before_a_file_is_replaced(opened, tmp_path):
    window, page, _ = opened()
    until(lambda: numbers(page) == [3, 2, 1])
    press(page, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    assert isinstance(page.dialog, QFileDialog) and page.dialog.isVisible()
    page.dialog.selectFile(str(tmp_path / "out.flac"))
    page.dialog.accept()
    until(lambda: window.notices.notices)
    flac, _ = soundfile.read(tmp_path / "out.flac", dtype="float32")
    assert np.abs(flac.T - WAVE).max() < 2**-22
    assert str(tmp_path / "out.flac") in window.notices.notices[-1].what
    (tmp_path / "mine.wav").write_bytes(b"somebody's work")

    def button(text):
        return next(each for each in page.dialog.buttons() if each.text() == text)

    page.write(2, str(tmp_path / "mine"))
    assert isinstance(page.dialog, QMessageBox) and "mine.wav" in page.dialog.text()
    QTest.keyClick(page.dialog, Qt.Key.Key_Escape)
    QApplication.processEvents()
    assert (tmp_path / "mine.wav").read_bytes() == b"somebody's work"
    page.write(2, str(tmp_path / "mine.wav"))
    QTest.mouseClick(button("Replace"), Qt.MouseButton.LeftButton)
    until(lambda: len(window.notices.notices) == 2)
    wave, _ = soundfile.read(tmp_path / "mine.wav", dtype="float32")
    np.testing.assert_array_equal(wave.T, WAVE)


def test_what_cannot_be_written_is_said_and_the_window_lives_on(opened, folder, tmp_path):
    window, page, _ = opened()
    until(lambda: numbers(page) == [3, 2, 1])
    page.write(1, str(tmp_path / "none" / "out.wav"))
    until(lambda: window.notices.notices)
    page.write(1, str(folder / "third.wav"))  # another take
    QTest.mouseClick(
        next(each for each in page.dialog.buttons() if each.text() == "Replace"), Qt.MouseButton.LeftButton
    )
    until(lambda: "among the takes" in window.notices.notices[-1].what)
    assert all(notice.still and notice.do for notice in window.notices.notices)
    page.search.setText("folk")
    until(lambda: numbers(page) == [3])


def test_on_a_full_disk_nothing_is_lost_and_stars_are_as_they_were(opened, folder, tmp_path):
    """A limit on file sizes stands for the disk."""
    window, page, _ = opened()
    until(lambda: numbers(page) == [3, 2, 1])
    press(page, Qt.Key.Key_Down)
    before, old = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        page.write(2, str(tmp_path / "out.wav"))
        until(lambda: len(window.notices.notices) == 1)
        press(page, Qt.Key.Key_5, Qt.KeyboardModifier.ControlModifier)
        until(lambda: len(window.notices.notices) > 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert all(notice.what and notice.still and notice.do for notice in window.notices.notices)
    assert not (tmp_path / "out.wav").exists() and not list(folder.glob("*.broken-*"))
    page.look()
    until(lambda: numbers(page) == [3, 2, 1] and page.list.row().take.rating == 2)
    press(page, Qt.Key.Key_5, Qt.KeyboardModifier.ControlModifier)
    until(lambda: rating(folder, 2) == 5)


def test_a_take_whose_file_has_gone_is_marked_and_said(opened, folder):
    window, page, told = opened()
    until(lambda: numbers(page) == [3, 2, 1])
    os.unlink(page.list.model().path(page.list.row()))
    page.shelf.export(3, folder.parent / "gone.wav", False)  # before it was looked at again
    until(lambda: window.notices.notices)
    assert "has gone" in window.notices.notices[-1].what
    page.look()
    until(lambda: "has gone" in page.list.model().index(0).data())
    for key, modifiers in ((Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier),
                           (Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier),
                           (Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)):  # fmt: skip
        before = len(window.notices.notices)
        press(page, key, modifiers)
        assert len(window.notices.notices) == before + 1 and "has gone" in window.notices.notices[-1].what
    assert told == [] and page.dialog is None
    assert not page.list.model().mimeData([page.list.model().index(0)]).hasUrls()
    press(page, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)
    until(lambda: rating(folder, 3) == 3)


def test_a_broken_list_is_set_aside_and_a_missing_one_made_anew_and_both_are_said(opened, folder):
    (folder / DATABASE).write_bytes(b"no database at all" * 500)
    for end in ("-wal", "-shm"):
        (folder / f"{DATABASE}{end}").unlink(missing_ok=True)
    window, page, _ = opened()
    until(lambda: len(numbers(page)) == 3)
    notice = window.notices.notices[-1]
    assert (
        "could not be read" in notice.what and notice.still and notice.do and list(folder.glob("*.broken-*"))
    )
    for end in ("", "-wal", "-shm"):
        (folder / f"{DATABASE}{end}").unlink(missing_ok=True)
    page.look()
    until(lambda: "was not there" in window.notices.notices[-1].what)
    until(lambda: len(numbers(page)) == 3 and page.list.row() is not None)
    press(page, Qt.Key.Key_5, Qt.KeyboardModifier.ControlModifier)
    until(lambda: rating(folder, page.list.row().take.number) == 5)


def test_no_folder_at_all_is_said_once_and_found_when_it_is_there(opened, tmp_path):
    (tmp_path / "file").write_text("no folder")
    window, page, _ = opened(where=tmp_path / "file" / "takes")
    until(lambda: window.notices.notices)
    assert "cannot be kept" in page.line.accessibleDescription()
    page.look()
    page.look()
    (tmp_path / "file").unlink()
    page.look()
    until(lambda: "No take yet" in page.line.accessibleDescription())
    assert len(window.notices.notices) == 1


def test_every_part_has_a_name_and_is_reached_by_tab(opened):
    window, page, _ = opened()
    until(lambda: numbers(page) == [3, 2, 1])
    reached = set()
    for _ in range(60):
        QTest.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
        reached.add(window.focusWidget())
    parts: tuple[QWidget, ...] = (page.search, page.list, page.listen, page.export, page.copy)
    assert reached >= set(parts)
    assert all(part.accessibleName() or part.accessibleDescription() for part in parts)
    before = page.list.grab().toImage()
    window.use_theme("high-contrast")
    assert page.list.grab().toImage() != before
