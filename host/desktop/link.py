"""The window's end of the socket to the stage: asks for a view thirty times a second, tells what is wanted.

Thread: Qt's, which never waits here: a socket that has nothing is left alone, a word for which there is no
room is dropped and counted. The stage is asked again only once it has answered, or has been silent for long.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import zmq
from PySide6.QtCore import QObject, QTimer, Signal

from descant.host.edge import stage_words as words

LOOK_MS = 33
SILENT_SECONDS = 0.6
GONE_SECONDS = 2.0
REVIVE_SECONDS = 6.0
REPLACED = words.Notice(
    0,
    "warning",
    "The stage ended, and another one was started in its place.",
    "Takes are kept. Loops, and what was chosen since the window was opened, are lost.",
    "Choose the preset again, and record or capture the loops anew.",
)


class StageLink(QObject):
    """revive: starts a stage if none listens; returns at once. viewed: how things stand. gone: the stage has
    not answered for a while; viewed is next when it is back. replaced: another stage answers, which has none
    of the loops. dropped: words that could not be told.
    """

    viewed = Signal(object)
    gone = Signal()
    replaced = Signal()

    def __init__(self, endpoint: str, revive: Callable[[], object] | None = None) -> None:
        super().__init__()
        self.dropped = 0
        self.furniture: words.Furniture | None = None
        self.outlines: dict[int, bytes] = {}
        self._loops = -1
        self._endpoint, self._revive = endpoint, revive
        self._context = zmq.Context()
        self._socket = self._opened()
        self._asked = 0.0
        self._heard = self._revived = time.monotonic()
        self._awaiting = self._gone = False
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._turn)
        self._timer.start(LOOK_MS)

    def tell(self, asked: words.Asked) -> None:
        """What is wanted, now or not at all."""
        try:
            self._socket.send(words.pack(asked), zmq.NOBLOCK)
        except zmq.Again:
            self.dropped += 1

    def close(self) -> None:
        """Let go of the stage, which plays on."""
        self._timer.stop()
        self._socket.close()
        self._context.term()

    def _opened(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        for option, value in (
            (zmq.MAXMSGSIZE, words.MAX_BYTES),
            (zmq.SNDHWM, 64),
            (zmq.RCVHWM, 8),
            (zmq.LINGER, 200),
            (zmq.IMMEDIATE, 1),
        ):
            socket.setsockopt(option, value)
        socket.connect(self._endpoint)
        return socket

    def _turn(self) -> None:
        now = time.monotonic()
        view = None
        while True:
            try:
                data = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            try:
                view = self._taken(words.read_view(data))
            except msgspec.MsgspecError:
                continue  # of another version, perhaps: as good as silent
        if view is not None:
            self._heard, self._awaiting, self._gone = now, False, False
            self.viewed.emit(view)
        silent = now - self._heard
        if silent > GONE_SECONDS and not self._gone:
            self._gone = True
            self.gone.emit()
        if self._gone and self._revive is not None and now - self._revived > REVIVE_SECONDS:
            self._revived = now
            self._revive()
        if not self._awaiting or now - self._asked > SILENT_SECONDS:
            known = self.furniture.version if self.furniture and silent < GONE_SECONDS else -1
            loops = self._loops if silent < GONE_SECONDS else -1
            self._asked, self._awaiting = now, True
            try:
                self._socket.send(words.pack(words.Look(furniture=known, loops=loops)), zmq.NOBLOCK)
            except zmq.Again:
                self._awaiting = False

    def _taken(self, view: words.View) -> words.View:
        """Keep what came along that is not told again."""
        if view.furniture is not None:
            self.furniture = view.furniture
        if view.loops_version < self._loops:
            self.outlines.clear()  # another stage
            self.replaced.emit()
        self._loops = view.loops_version
        self.outlines.update(view.outlines)
        return view
