"""The real window on a real screen server: keys and mouse make music; killed or frozen, the sound goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not there: pip install 'descant[desktop]'")

from descant.host.edge import stage_words as words
from descant.host.edge.controller_files import load_profiles, profile_for
from descant.host.edge.take_store import TakeStore
from tests.rig.conftest import wait_for
from tests.rig.eye import Eye
from tests.rig.player import Player
from tools.screen import Picture, Screen, save

pytestmark = pytest.mark.jack

BRIGHT = (0xEC, 0xEF, 0xF2)  # the dark theme's text

# Where parts of a window of that size are, by a twin that nobody sees: [x, y] in pixels, by name.
TWIN = """
import json, sys
from pathlib import Path
from PySide6.QtWidgets import QApplication
from descant.host.desktop.link import StageLink
from descant.host.desktop.prefs import Prefs
from descant.host.desktop.theme import THEMES, Style
from descant.host.desktop.window import Window
from descant.host.edge import stage_words as words

app = QApplication(["descant"])
link = StageLink(sys.argv[1] + "-nobody")
folder = Path(sys.argv[2])
window = Window(link, Style(THEMES["dark"]), Prefs(), folder / "twin.json", folder / "no-takes")
window.resize(int(sys.argv[3]), int(sys.argv[4]))
window.show()
window.show_view(link._taken(words.read_view(sys.stdin.buffer.read())))
app.processEvents()
parts = {"surface": window.surface, "panic": window.panic}
parts |= {f"pad {n + 1}": pad for n, pad in enumerate(window.pads.pads)}
parts |= {f"loop {n + 1}": slot for n, slot in enumerate(window.loops.slots)}
places = {}
for name, part in parts.items():
    at = part.mapTo(window, part.rect().topLeft())
    places[name] = [at.x(), at.y(), part.width(), part.height()]
print(json.dumps(places))
"""


class Desk:
    """A screen and a stage with windows on it."""

    def __init__(self, screen: Screen, folder: Path) -> None:
        self.screen, self.folder = screen, folder
        self.endpoint = f"ipc://{folder}/stage"
        self.environment = {**os.environ, "DISPLAY": screen.display, "QT_QPA_PLATFORM": "xcb"}
        self.started: list[subprocess.Popen[bytes]] = []
        self.eye = Eye(self.endpoint)

    def open(self) -> subprocess.Popen[bytes]:
        """One more window, shown and with the keys."""
        before = len(self.screen.windows("Descant"))
        command = [sys.executable, "-m", "descant.host.cli", "desktop", "--stage", self.endpoint]
        with (self.folder / f"log{len(self.started)}").open("wb") as log:
            self.started.append(
                subprocess.Popen(
                    [*command, "--threads", "1", "--theme", "dark", "--scale", "100"],
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                )
            )
        wait_for(lambda: len(self.screen.windows("Descant")) > before, "a window", 60)
        self.screen.focus(self.window)
        return self.started[-1]

    @property
    def window(self) -> int:
        return self.screen.windows("Descant")[-1]

    def places(self) -> dict[str, tuple[int, int]]:
        """The middle of each part on the screen."""
        left, top, width, height = self.screen.place(self.window)
        view = self.eye.until(lambda view: view.furniture is not None, "the stage's furniture")
        told = subprocess.run(
            [sys.executable, "-c", TWIN, self.endpoint, str(self.folder), str(width), str(height)],
            input=words.pack(view),
            stdout=subprocess.PIPE,
            env={**self.environment, "QT_QPA_PLATFORM": "offscreen"},
            check=True,
        )
        rows = json.loads(told.stdout)
        return {name: (left + x + w // 2, top + y + h // 2) for name, (x, y, w, h) in rows.items()}

    def close(self) -> None:
        self.eye.tell(words.Quit())
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        wait_for(lambda: self.eye.look() is None, "the stage's end", 30)
        self.eye.close()
        self.screen.close()


@pytest.fixture
def desk(jack: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    try:
        screen = Screen()
    except RuntimeError as error:
        pytest.skip(str(error))
    for name in ("CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    made = Desk(screen, tmp_path)
    yield made
    made.close()


def seen(desk: Desk, name: str, true: Callable[[Picture], bool]) -> Picture:
    """A picture, once something is true of it; it is kept beside the test's files."""
    found: list[Picture] = []

    def looks() -> bool:
        found[:] = [desk.screen.picture()]
        return true(found[0])

    wait_for(looks, name)
    save(found[0], desk.folder / f"{name}.png")
    return found[0]


def share(picture: Picture, colour: tuple[int, int, int]) -> float:
    """How much of a picture is of a colour."""
    return float((picture == np.array(colour, np.uint8)).all(axis=-1).mean())


def ring(picture: Picture) -> int:
    """The lowest row of pixels with the ring around the button that has the keyboard, 0 where none has."""
    bright = (picture == np.array(BRIGHT, np.uint8)).all(axis=-1)
    rows = np.any(np.all(np.lib.stride_tricks.sliding_window_view(bright, 44, axis=1), axis=-1), axis=1)
    return int(np.flatnonzero(rows)[-1]) if rows.any() else 0


def row_is_chosen(picture: Picture) -> bool:
    """Whether a list shows the bar at the left of a row of takes: nothing else is so high and so bright."""
    bright = (picture == np.array(BRIGHT, np.uint8)).all(axis=-1)
    return bool(np.lib.stride_tricks.sliding_window_view(bright, 40, axis=0).all(axis=-1).any())


def sounds(view: words.View) -> bool:
    """Made, or the last bar held where this machine is too slow for the moment."""
    return (
        view.phase in ("generating", "late")
        and max((peak for peak, _, _ in view.meters.outputs), default=-99) > -60
    )


def test_keys_and_mouse_play_and_the_sound_outlives_the_window(desk: Desk) -> None:
    first = desk.open()
    desk.eye.until(lambda view: view.phase == "ready", "a stage that is ready")
    desk.screen.key("1")
    desk.eye.until(lambda view: view.slot == 0 and sounds(view), "the first pad, by its key")

    places = desk.places()
    desk.screen.click(*places["pad 2"])
    desk.eye.until(lambda view: view.slot == 1, "the second pad, by the mouse")
    x, y = places["surface"]
    desk.screen.drag((x, y), (x + 60, y - 40))
    desk.eye.until(
        lambda view: view.plane is not None and view.plane.on and view.plane.x > 0.55 and view.plane.y < 0.45,
        "the point, dragged",
    )
    desk.screen.key("alt+q")
    desk.eye.until(lambda view: any(loop.state != "empty" for loop in view.loops), "a loop, captured by keys")

    dark = seen(desk, "dark", lambda picture: bool(picture.any()))
    desk.screen.key("ctrl+t")
    black = seen(desk, "high-contrast", lambda picture: share(picture, (0, 0, 0)) > 0.3)
    assert share(dark, (0, 0, 0)) < 0.3 and len(np.unique(black.reshape(-1, 3), axis=0)) > 20

    os.kill(first.pid, signal.SIGSTOP)  # frozen
    before = desk.eye.look()
    assert before is not None
    after = desk.eye.until(
        lambda view: view.position > before.position + 2 * 48_000 and sounds(view), "sound that goes on"
    )
    assert after.meters.restarts == before.meters.restarts
    os.kill(first.pid, signal.SIGKILL)  # and dead
    first.wait()
    later = desk.eye.until(
        lambda view: view.position > after.position + 48_000 and sounds(view), "sound without a window"
    )
    assert later.slot == after.slot

    desk.open()
    desk.screen.key("Escape")
    desk.eye.until(lambda view: view.phase == "ready", "panic, in another window on the same stage")
    again = desk.eye.look()
    assert again is not None and again.position > later.position


def test_what_is_played_is_on_the_page_of_takes_at_once_and_after_the_stage_was_killed(desk: Desk) -> None:
    window = desk.open()
    desk.eye.until(lambda view: view.phase == "ready", "a stage that is ready")
    desk.screen.key("1")
    desk.eye.until(lambda view: view.takes == 1 and sounds(view), "a take that has begun")
    folder = desk.folder / "data/descant/takes"
    (path,) = folder.glob("*.wav")
    wait_for(lambda: soundfile.info(path).duration > 4.0, "some seconds of it")
    assert listen(desk, "the take, while it is recorded").listened == str(path)

    children = subprocess.run(
        ["pgrep", "-P", str(window.pid), "-f", "stage_process"], stdout=subprocess.PIPE, check=True
    )
    os.kill(int(children.stdout), signal.SIGKILL)
    again = desk.eye.until(lambda view: view.phase == "ready" and not view.takes, "another stage")
    assert again.furniture is not None and again.furniture.takes == str(folder)
    heard = listen(desk, "the take of the one that was killed")
    assert heard.listened == str(path)
    with TakeStore(folder) as store:
        (take,) = store.find()
        wave, rate = soundfile.read(path)
        assert take.seconds == len(wave) / rate > 4.0 and np.abs(wave).max() > 0.01
        assert take.prompt and take.weights_hash and take.tempo > 0


def listen(desk: Desk, what: str) -> words.View:
    """The newest take is heard: found on its page, by keys alone."""
    desk.screen.key("F1", "F4")
    seen(desk, "takes", row_is_chosen)
    desk.screen.key("Return", "Return")
    heard = desk.eye.until(lambda view: view.listened and view.listened_seconds > 0.2, what)
    desk.eye.tell(words.Listen(""))  # a key would listen again where the take had ended just now
    desk.eye.until(lambda view: not view.listened, "silence of it")
    return heard


def test_a_real_pad_is_learnt_asked_about_taken_back_and_kept_where_descant_play_keeps_it(desk: Desk) -> None:
    desk.open()
    desk.eye.until(lambda view: view.phase == "ready", "a stage that is ready")
    pads = Player("pads")
    try:
        desk.eye.until(lambda view: bindings(view) == [], "the controller")
        learn(desk, "loop 1 press", "Down")
        pads.send(0x90, 50, 100)
        bound = [("note 50, channel 1", "loop 1 press", True)]
        desk.eye.until(lambda view: bindings(view) == bound, "what was learnt")
        pads.send(0x90, 50, 100)
        desk.eye.until(lambda view: view.loops[0].state != "empty" or view.loops[0].queued, "the loop")
        assert kept() == [("note 50", "loop 1 press")]

        learn(desk, "loop 2 press", "Down")
        pads.send(0x90, 50, 100)
        desk.eye.until(lambda view: "does loop 1 press already" in view.lesson.in_the_way, "a question")
        below = desk.places()["surface"][1]  # the answers are below the middle of the page
        seen(desk, "asked", lambda picture: ring(picture) > below)
        desk.screen.key("Escape")
        desk.eye.until(lambda view: not view.lesson.armed and bindings(view) == bound, "no change")

        seen(desk, "cancelled", lambda picture: 0 < ring(picture) < below)
        desk.screen.key("Return")
        desk.eye.until(lambda view: view.lesson.armed == "loop 2 press", "the same function again")
        pads.send(0x90, 50, 100)
        desk.eye.until(lambda view: view.lesson.in_the_way, "the question again")
        seen(desk, "asked again", lambda picture: ring(picture) > below)
        desk.screen.key("Return")
        replaced = [("note 50, channel 1", "loop 2 press", True)]
        desk.eye.until(lambda view: bindings(view) == replaced, "what took its place")
        assert kept() == [("note 50", "loop 2 press")]
        desk.screen.key("ctrl+z")
        desk.eye.until(lambda view: bindings(view) == bound, "what was there before")
        desk.screen.key("ctrl+z")
        desk.eye.until(lambda view: bindings(view) == [], "nothing")
        assert kept() == []
    finally:
        pads.unplug()


def learn(desk: Desk, do: str, *more: str) -> None:
    """The next function below the one that is chosen is asked for, by keys alone."""
    desk.screen.key("F1", "F6", "shift+Tab", "shift+Tab", "shift+Tab", *more, "Tab", "Tab", "Return")
    desk.eye.until(lambda view: view.lesson.armed == do, "a lesson")


def bindings(view: words.View) -> list[tuple[str, str, bool]] | None:
    """What the one controller is bound to; None while there is none."""
    assert view.furniture is not None
    rows = [row.bindings for row in view.furniture.controllers]
    return [(bound.on, bound.do, bound.learnt) for bound in rows[0]] if rows else None


def kept() -> list[tuple[str, str]]:
    """What a performance that begins now would know of the controller."""
    profiles, broken = load_profiles(())
    assert not broken
    return [(row.on, row.do) for row in profile_for("pads:keys", profiles).bindings]
