"""Takes on disk: float WAV files whose headers are always true, and a database of what is known of each.

Thread: the store's owner, never audio. A file that was being written when the power went is repaired at the
next start; a take whose row was not written is found by its file; a database that cannot be read is set
aside, and built anew from files. What another process records just now is left alone. Beside the takes lies
what their sessions took in (`note`, `noted`), in pieces as it came.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile

from descant.host.edge.take_writer import TakeWriter, is_recorded
from descant.host.edge.whole import whole_file
from descant.host.errors import HostError, TakeError
from descant.host.takes import (
    HEADER_BYTES,
    LOW_SECONDS,
    Take,
    file_name,
    free_name,
    room_seconds,
    true_header,
)

DATABASE = "takes.sqlite"
_COLUMNS = [field.name for field in fields(Take) if field.name != "number"]


class TakeStore:
    """A folder of takes. said: what had to be put right when it was opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TakeError(
                f"Takes cannot be kept in {folder}: {(error.strerror or str(error)).lower()}.",
                "Everything plays; nothing is recorded.",
                "Name a folder that you may write to.",
            ) from error
        self._repair_files()
        self._database = self._opened()
        self._adopt()

    def __enter__(self) -> TakeStore:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def begin(self, name: str, rate: int, channels: int) -> TakeWriter:
        """A file for a new take; it has its own name even where others have the same. Raises TakeError."""
        taken = {take.name for take in self.find()} | {path.stem for path in self.folder.glob("*.wav")}
        path = self.folder / file_name(free_name(file_name(name)[: -len(".wav")], taken))
        try:
            return TakeWriter(path, rate, channels)
        except OSError as error:
            raise TakeError(
                f"{path} cannot be recorded: {(error.strerror or str(error)).lower()}.",
                "Takes that are there are as they were; everything plays.",
                "Make room on the disk, or name another folder.",
            ) from error

    def keep(self, take: Take) -> Take:
        """Write a take's row; the row as it is kept. Its name is made free first."""
        values = [getattr(take, column) for column in _COLUMNS]
        values[0] = free_name(take.name, {other.name for other in self.find() if other.file != take.file})
        marks = ", ".join("?" * len(values))
        with self._database:
            cursor = self._database.execute(
                f"INSERT INTO takes ({', '.join(_COLUMNS)}) VALUES ({marks})", values
            )
        return self.get(int(cursor.lastrowid or 0))

    def change(self, take: Take) -> None:
        """Write a take's row again. Its rating aside: that is for `rate`, which others may call meanwhile;
        and its events, which stay as they were."""
        columns = [column for column in _COLUMNS if column not in ("name", "rating", "events")]
        values = [getattr(take, column) for column in columns]
        names = ", ".join(f"{column} = ?" for column in columns)
        with self._database:
            self._database.execute(f"UPDATE takes SET {names} WHERE number = ?", (*values, take.number))

    def rename(self, number: int, name: str) -> Take:
        """Another name, made free first; the file keeps its own. Raises TakeError."""
        take = self.get(number)
        free = free_name(name, {other.name for other in self.find() if other.number != number})
        with self._database:
            self._database.execute("UPDATE takes SET name = ? WHERE number = ?", (free, take.number))
        return self.get(number)

    def remove(self, number: int) -> Take:
        """Forget a take, its file and what only it needs. Raises TakeError; then all of it is there."""
        take = self.get(number)
        path = self.folder / take.file
        if is_recorded(path):
            raise TakeError(
                f"Take {number} is being recorded just now.", "It goes on.", "End the performance first."
            )
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise TakeError(
                f"{path} cannot be removed: {_reason(error)}.",
                "The take is as it was.",
                "Look who owns that file and its folder.",
            ) from error
        with self._database:
            self._database.execute("DELETE FROM takes WHERE number = ?", (number,))
        self.tidy(take.session)
        return take

    def tidy(self, session: str) -> None:
        """Forget what a session took in, where no take needs it."""
        with self._database:
            self._database.execute(
                "DELETE FROM noted WHERE session = ? AND session NOT IN (SELECT session FROM takes)",
                (session,),
            )

    def note(self, session: str, data: bytes) -> None:
        """Keep another piece of what a session took in."""
        with self._database:
            self._database.execute("INSERT INTO noted (session, data) VALUES (?, ?)", (session, data))

    def noted(self, session: str) -> list[bytes]:
        """All pieces of what a session took in, in the order in which they were kept."""
        rows = self._database.execute("SELECT data FROM noted WHERE session = ? ORDER BY number", (session,))
        return [bytes(row[0]) for row in rows]

    def get(self, number: int) -> Take:
        """Raises TakeError where there is none of that number."""
        rows = self._rows("WHERE number = ?", (number,), events="events")
        if not rows:
            raise TakeError(
                f"There is no take {number}.", "All takes are there.", "Look for it by a word of its name."
            )
        return rows[0]

    def find(self, words: str = "", at_least: int = 0) -> list[Take]:
        """Takes whose name, prompt, key or model hold every word, of a rating or better; the newest first.

        Without their events: for those `get` one.
        """
        where, values = ["rating >= ?"], [at_least]
        for word in words.split():
            escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            where.append("(name || ' ' || prompt || ' ' || key || ' ' || model) LIKE ? ESCAPE '\\'")
            values.append(f"%{escaped}%")  # type: ignore[arg-type]
        return self._rows(f"WHERE {' AND '.join(where)}", tuple(values))

    def rate(self, number: int, rating: int) -> Take:
        """0..5. Raises TakeError."""
        if not 0 <= rating <= 5:
            raise TakeError(f"A rating of {rating} is out of range.", "The take is as it was.", "Rate 0..5.")
        self.get(number)
        with self._database:
            self._database.execute("UPDATE takes SET rating = ? WHERE number = ?", (rating, number))
        return self.get(number)

    def sound(self, number: int) -> Path:
        """A take's sound file. Raises TakeError where it has gone."""
        path = self.folder / self.get(number).file
        if not path.is_file():
            raise TakeError(
                f"The sound of take {number} has gone: {path} is not there.",
                "What is known of the take is kept; all others are as they were.",
                f"Put the file back, or make it again: descant takes render {number}.",
            )
        return path

    def export(self, number: int, target: Path, replace: bool = False) -> None:
        """A copy as .wav (the same samples) or .flac (24 bits). Raises TakeError; a half-written file is
        removed, and a file that is there already is left as it is, unless it is to be replaced.
        """
        if os.path.lexists(target) and not replace:
            raise TakeError(
                f"{target} is there already.",
                "Nothing was written; that file is as it was.",
                "Give another name.",
            )
        ending = target.suffix.lower()
        if ending not in (".wav", ".flac"):
            raise TakeError(
                f"{target.name} is no sound file.", "Nothing was written.", "End it in .wav or .flac."
            )
        source = self.sound(number)
        if replace and os.path.realpath(target.parent) == os.path.realpath(self.folder):
            raise TakeError(f"{target} lies among the takes.", "It is as it was.", "Write to another folder.")
        try:
            with whole_file(target) as part:
                if ending == ".wav":
                    shutil.copyfile(source, part)
                else:
                    wave, rate = soundfile.read(source, dtype="float32")
                    soundfile.write(part, np.clip(wave, -1, 1), rate, format="FLAC", subtype="PCM_24")
        except RuntimeError as error:  # libsndfile's
            raise TakeError(
                f"{target} cannot be written: {_reason(error)}.",
                "The take is as it was.",
                "Name a file in a folder that exists and has room.",
            ) from error
        except HostError as error:
            raise TakeError(error.what, error.still, error.do) from error

    def low(self, rate: int, channels: int) -> str:
        """What to say when the disk is nearly full; "" while it is not."""
        seconds = room_seconds(shutil.disk_usage(self.folder).free, rate, channels)
        return (
            ""
            if seconds > LOW_SECONDS
            else f"The disk has room for {seconds / 60:.0f} more minutes of recording."
        )

    def _rows(self, where: str, values: tuple[object, ...], events: str = "x'' AS events") -> list[Take]:
        columns = [events if column == "events" else column for column in [*_COLUMNS, "number"]]
        found = self._database.execute(
            f"SELECT {', '.join(columns)} FROM takes {where} ORDER BY number DESC", values
        )
        return [Take(**dict(zip([*_COLUMNS, "number"], row))) for row in found]

    def _opened(self) -> sqlite3.Connection:
        path = self.folder / DATABASE
        try:
            return _connected(path)
        except sqlite3.OperationalError as error:  # it may be whole: a full disk, a lock, no leave to write
            raise TakeError(
                f"The list of takes, {path}, cannot be opened: {_reason(error)}.",
                "The list and all sound files are as they were.",
                "Make room on the disk; look whether you may write to that folder.",
            ) from error
        except sqlite3.DatabaseError:
            aside = path.with_name(f"{DATABASE}.broken-{datetime.now(UTC):%Y%m%dT%H%M%S}")
            for end in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.replace(f"{path}{end}", f"{aside}{end}")
            self.said.append(
                f"The list of takes could not be read; it lies in {aside.name}, and a new one was made."
            )
            return _connected(path)

    def _repair_files(self) -> None:
        for path in sorted(self.folder.glob("*.wav")):
            if is_recorded(path):
                continue
            with suppress(OSError), path.open("r+b") as file:
                true = true_header(file.read(HEADER_BYTES), path.stat().st_size)
                if true is not None:
                    file.seek(0)
                    file.write(true)
                    self.said.append(f"{path.name} was not closed; all that was recorded is there.")

    def _adopt(self) -> None:
        """Rows for files that have none, and the true length where the end of a recording was not noted."""
        known = {take.file: take for take in self.find()}
        for path in sorted(self.folder.glob("*.wav")):
            if is_recorded(path):
                continue
            try:
                seconds = float(soundfile.info(path).duration)
            except RuntimeError:
                continue
            take = known.get(path.name)
            if take is None:
                when = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
                self.keep(Take(path.stem, when, path.name, seconds))
            elif abs(take.seconds - seconds) > 1e-6:
                with self._database:
                    self._database.execute(
                        "UPDATE takes SET seconds = ? WHERE number = ?", (seconds, take.number)
                    )


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        kinds = {"seconds": "REAL", "tempo": "REAL", "seed": "INTEGER", "rating": "INTEGER", "events": "BLOB"}
        columns = ", ".join(f"{name} {kinds.get(name, 'TEXT')} NOT NULL" for name in _COLUMNS)
        database.execute(f"CREATE TABLE IF NOT EXISTS takes (number INTEGER PRIMARY KEY, {columns})")
        if "session" not in {row[1] for row in database.execute("PRAGMA table_info(takes)")}:
            database.execute("ALTER TABLE takes ADD COLUMN session TEXT NOT NULL DEFAULT ''")
        database.execute(
            "CREATE TABLE IF NOT EXISTS noted "
            "(number INTEGER PRIMARY KEY, session TEXT NOT NULL, data BLOB NOT NULL)"
        )
        if database.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check")
        database.commit()
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database


def _reason(error: BaseException) -> str:
    """libsndfile says nothing at all when a disk is full."""
    return (getattr(error, "strerror", None) or str(error) or "the disk may be full").rstrip(".")
