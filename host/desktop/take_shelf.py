"""The takes as the window reaches them: a thread of its own owns the store, so no disk holds the window up.

Thread: main, all but what is marked. What is asked comes back as a signal; what cannot be is told in three
lines, and the store is opened anew for what is asked next.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal

from descant.host.edge import stage_words as words
from descant.host.edge.errors_shown import explain
from descant.host.edge.take_store import DATABASE, TakeStore
from descant.host.edge.take_writer import is_recorded
from descant.host.errors import HostError
from descant.host.takes import Take

PATIENCE = 2.0  # seconds, for a disk that is asked for something when the window closes
LOOK_AGAIN = "It is looked for again by itself. Make room on the disk if it is full."


@dataclass(frozen=True)
class Shown:
    """A take as it is shown. state: whether its file is being recorded, or has gone."""

    take: Take
    state: Literal["", "recorded", "gone"] = ""


@dataclass(frozen=True)
class Job:
    """Something to do with the store, and after it, whether it could be done or not. looks: only that."""

    do: Callable[[TakeStore], object]
    after: Callable[[], object]
    looks: bool


class Shelf(QObject):
    """found: the words that were looked for and what holds them, the newest first. lost: there is no list,
    for this error; found is next when there is one. rated: a take and the rating that was asked for, now
    that it is kept, or could not be. told: a notice.
    """

    found = Signal(str, object)
    lost = Signal(object)
    rated = Signal(int, int)
    told = Signal(object)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._words, self._looking = "", False
        self._store: TakeStore | None = None
        self._known: tuple[int, int] | None = None  # which file the store has open
        self._lost = ""

    def look(self, text: str) -> None:
        """Find takes by words, all of them by none. Of several that wait, the last one counts."""
        self._words = text
        if not self._looking:
            self._looking = True
            self._ask(self._look, looks=True)

    def rate(self, number: int, rating: int) -> None:
        """Keep a rating, 0..5."""
        self._ask(lambda store: store.rate(number, rating), lambda: self.rated.emit(number, rating))

    def export(self, number: int, target: Path, replace: bool) -> None:
        """Write a copy; replace: a file of that name may go."""

        def job(store: TakeStore) -> None:
            store.export(number, target, replace)
            self._tell("info", f"Take {number} was written to {target}.", "", "")

        self._ask(job)

    def close(self) -> None:
        """Do what was asked, and let go. A disk that hangs is not waited for."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(PATIENCE)
            self._thread = None

    # inside

    def _ask(
        self,
        do: Callable[[TakeStore], object],
        after: Callable[[], object] = lambda: None,
        looks: bool = False,
    ) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="descant takes shown", daemon=True)
            self._thread.start()
        self._jobs.put(Job(do, after, looks))

    def _run(self) -> None:
        """Thread: the shelf's own, as all below."""
        while (job := self._jobs.get()) is not None:
            with suppress(RuntimeError):  # the window has gone meanwhile
                self._do(job)
        self._close()

    def _do(self, job: Job) -> None:
        looks = job.looks
        self._looking = self._looking and not looks
        try:
            job.do(self._opened())
        except HostError as error:
            self._failed(error, looks)
        except (sqlite3.Error, OSError) as error:
            self._close()
            reason = " ".join((getattr(error, "strerror", None) or str(error)).split()).rstrip(".").lower()
            what = f"The list of takes in {self.folder} cannot be {'read' if looks else 'written'}: {reason}."
            still = "The music plays on; sound files are as they were."
            self._failed(HostError(what, still, LOOK_AGAIN), looks)
        except Exception as error:
            self._failed(HostError(*explain(error)), looks)
        finally:
            job.after()

    def _failed(self, error: HostError, looks: bool) -> None:
        """Tell it: what is only looked at again and again, once."""
        if not looks or str(error) != self._lost:
            self._tell("error", error.what, error.still, error.do)
        if looks:
            self._lost = str(error)
            self.lost.emit(error)

    def _look(self, store: TakeStore) -> None:
        text = self._words
        rows = tuple(_shown(store, take) for take in store.find(text))
        self._lost = ""
        self.found.emit(text, rows)

    def _opened(self) -> TakeStore:
        """The store, as long as the file it has open is the one that lies there."""
        path = self.folder / DATABASE
        if self._store is not None and _which(path) == self._known:
            return self._store
        self._close()
        missing = not path.exists() and any(self.folder.glob("*.wav"))
        self._store = store = TakeStore(self.folder)
        self._known = _which(path)
        for said in store.said:
            if DATABASE in said:
                still = "All takes whose files are there are in the new one; the music plays on."
                do = f"Ratings and words are in the old one alone: keep it if you need them ({self.folder})."
                self._tell("warning", said, still, do)
            else:
                self._tell("info", said, "", "")
        if missing:
            self._tell(
                "warning",
                f"The list of takes in {self.folder} was not there; a new one was made from the sound files.",
                "All takes whose files are there are in it; the music plays on.",
                f"If you have a copy of {DATABASE} with their ratings and words, put it there.",
            )
        return store

    def _close(self) -> None:
        if self._store is not None:
            with suppress(sqlite3.Error):
                self._store.close()
        self._store = None

    def _tell(self, severity: Literal["info", "warning", "error"], what: str, still: str, do: str) -> None:
        self.told.emit(words.Notice(0, severity, what, still, do))


def _which(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _shown(store: TakeStore, take: Take) -> Shown:
    path = store.folder / take.file
    return Shown(take, "gone" if not path.is_file() else "recorded" if is_recorded(path) else "")
