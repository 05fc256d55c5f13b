"""Records everything the generator makes while somebody plays live: takes, cut where it was silent for long.

Two activities. The owner (the thread that plays) puts blocks into a queue and returns. A thread of the
recorder's own writes them ten times a second and keeps the database; a disk that hangs holds up nobody but
itself, and what cannot be recorded is said while the music goes on.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from descant.host.edge.take_store import TakeStore
from descant.host.edge.take_writer import TakeWriter
from descant.host.errors import HostError
from descant.host.heard import chroma, spectrogram
from descant.host.keys import key_of
from descant.host.takes import Take

Wave = npt.NDArray[np.float32]
TURN_SECONDS = 0.1
ROW_SECONDS = 2.0  # between two writes of a take's row
LOOK_SECONDS = 10.0  # between two looks at the disk
AGAIN_SECONDS = 30.0  # after a disk was full
QUIET_SECONDS = 20.0  # of silence end a take
QUEUED_SECONDS = 60.0  # of sound may wait for a slow disk
GAP_SECONDS = 10.0  # a longer hole in time begins another take
SILENT = 1e-5  # of full scale
MAX_PROMPT = 500
LOOKED_AT = 4096  # samples, for the key ..
LOOKED_EVERY = 0.37  # .. in so many seconds: with no beat
KEY_FROM, KEY_CLEAR = 12.0, 0.4  # rows with pitches, and how unlike each other they are, for a key to be told
Lines = tuple[str, str, str]


@dataclass(frozen=True)
class About:
    """What is known of all takes of one session. session: a name nobody else has. seed, tempo: see Take.

    opened: how the session was opened, for playing it again; see `host/edge/take_log.py`.
    """

    session: str
    model: str = ""
    weights_hash: str = ""
    seed: int = 0
    opened: Callable[[int], bytes] = lambda at_sample: b""


class TakeRecorder:
    """Thread: the owner's, all but what is marked. about: of the session. tempo: see `follows`.

    said: three lines each, oldest first. takes: numbers of those begun so far.
    """

    def __init__(
        self, folder: Path, rate: int, channels: int, tempo: float, about: About | None = None
    ) -> None:
        self.said: deque[Lines] = deque(maxlen=64)
        self.takes: list[int] = []
        self._folder, self._rate, self._channels = folder, rate, channels
        self._about, self._tempo = about or About(""), tempo
        self._blocks: deque[tuple[int, Wave, About]] = deque()
        self._mine: deque[tuple[int, Wave, About]] = deque()  # the thread's own
        self._notes: deque[tuple[str, bytes]] = deque()
        self._plans: deque[tuple[int, str]] = deque(maxlen=1024)
        self._waiting = 0  # samples put into the queue
        self._written = 0  # samples taken out of it
        self._dropped = False
        self._ending = threading.Event()
        self._store: TakeStore | None = None
        self._writer: TakeWriter | None = None
        self._take: Take | None = None
        self._pitches = np.zeros(12)  # how much of each pitch class the take holds
        self._unheard = 0  # samples until it is listened to for that again
        self._begun = ""  # when, as its name says
        self._next = 0  # the sample that follows what was written
        self._quiet = 0
        self._row_at = self._look_at = self._again_at = 0.0
        self._low = False
        self._failed = ""
        self._thread = threading.Thread(target=self._run, name="descant takes", daemon=True)
        self._thread.start()

    def heard(self, at_sample: int, wave: Wave) -> None:
        """What was made [C, n] from a position on; the array is the recorder's from now on."""
        if self._waiting - self._written > QUEUED_SECONDS * self._rate:
            if not self._dropped:
                self._say("The disk takes no sound any more.", "Take what is missing from another take.")
            self._dropped = True
            return
        self._dropped = False
        self._waiting += wave.shape[1]
        self._blocks.append((at_sample, wave, self._about))

    def planned(self, from_sample: int, text: str) -> None:
        """From a position on these words play; "" is silence."""
        self._plans.append((from_sample, text))

    def follows(self, tempo: float) -> None:
        """The tempo of takes that begin from now on."""
        self._tempo = tempo

    def noted(self, data: bytes) -> None:
        """A piece of what the session took in."""
        self._notes.append((self._about.session, data))

    def goes_on_as(self, about: About) -> None:
        """Another session makes what comes from now on: another take."""
        self._about = about

    def close(self, patience: float = 10.0) -> None:
        """Write what waits and end; after so many seconds without waiting for the disk."""
        self._ending.set()
        self._thread.join(patience)

    def _run(self) -> None:
        """Thread: recorder."""
        while True:
            ending = self._ending.wait(TURN_SECONDS)
            try:
                self._turn(time.monotonic())
                if ending and not self._blocks and not self._mine:
                    self._end()
                    if self._store is not None:
                        if not self.takes:
                            self._store.tidy(self._about.session)
                        self._store.close()
                    return
                self._failed = ""
            except (HostError, OSError, sqlite3.Error) as error:
                self._again_at = time.monotonic() + AGAIN_SECONDS
                if str(error) != self._failed:
                    self._failed = str(error)
                    what = error.what if isinstance(error, HostError) else f"Takes cannot be kept: {error}."
                    self._say(what, "Make room on the disk, or name another folder with --takes.")
                if ending:
                    return

    def _turn(self, now: float) -> None:
        """Thread: recorder. Write what has come."""
        if now < self._again_at and not self._ending.is_set():
            return
        if self._store is None:
            self._store = TakeStore(self._folder)
            self.said.extend((said, "Everything plays.", "Nothing.") for said in self._store.said)
        while self._notes:
            self._store.note(*self._notes[0])
            self._notes.popleft()
        while self._blocks:
            self._mine.append(self._blocks.popleft())
        while self._mine and self._take_in(self._store):
            pass
        if self._take is not None and (now - self._row_at >= ROW_SECONDS or self._named_late()):
            self._keep_row()
        if now - self._look_at >= LOOK_SECONDS:
            self._look_at = now
            low = self._store.low(self._rate, self._channels)
            if low and not self._low:
                self._say(low, "Make room on the disk, or remove takes with descant takes rm.")
            self._low = bool(low)

    def _take_in(self, store: TakeStore) -> bool:
        """Thread: recorder. A second or so without a hole, in one write; False where it waits for room."""
        at, first, about = self._mine[0]
        stretch, n = [first], first.shape[1]
        for other, wave, whose in list(self._mine)[1:]:
            if other != at + n or whose is not about or n >= self._rate:
                break
            stretch.append(wave)
            n += wave.shape[1]
        why = self._put(store, at, np.concatenate(stretch, axis=1), about)
        if why and self._ending.is_set():  # there is no later
            self._mine.clear()
        if why:
            self._say(
                f"Recording stopped: {why}.",
                "Make room on the disk; recording goes on by itself, in a new take.",
            )
            self._again_at = time.monotonic() + AGAIN_SECONDS
            return False
        for _ in stretch:
            self._mine.popleft()
        self._written += n
        return True

    def _put(self, store: TakeStore, at: int, wave: Wave, about: About) -> str:
        """Thread: recorder. Put a stretch where it belongs: into the take, into a new one, or nowhere. Why
        not, where it does not fit.
        """
        hole = at - self._next
        if self._take is not None and (
            not 0 <= hole <= GAP_SECONDS * self._rate or about.session != self._take.session
        ):
            self._end()
        loud = np.flatnonzero(np.abs(wave).max(axis=0) > SILENT)
        if self._take is None:
            if not loud.size:
                return ""
            at, wave = at + int(loud[0]), wave[:, loud[0] :]
            loud = loud - loud[0]
            self._begin(store, at, about)
            hole = 0
        assert self._writer is not None
        if hole:
            wave = np.concatenate((np.zeros((len(wave), hole), np.float32), wave), axis=1)
        if not self._writer.write(wave):
            full, begun = self._writer.full, self._writer.n_samples > 0
            self._end()
            return self._put(store, at, wave[:, hole:], about) if begun else full
        self._listen(wave)
        self._next = at + wave.shape[1] - hole
        self._quiet = wave.shape[1] - hole - int(loud[-1]) if loud.size else self._quiet + wave.shape[1]
        if self._quiet > QUIET_SECONDS * self._rate:
            self._end()
        return ""

    def _begin(self, store: TakeStore, at: int, about: About) -> None:
        """Thread: recorder. A new take from a position on."""
        while len(self._plans) > 1 and self._plans[1][0] <= at:
            self._plans.popleft()
        prompt = " | ".join(self._words(at))[:MAX_PROMPT]
        now = datetime.now(UTC)
        self._begun = f"{datetime.now():%Y-%m-%d %H-%M}"
        name = f"{self._begun} {prompt[:40]}".strip()
        self._writer = store.begin(name, self._rate, self._channels)
        self._take = store.keep(
            Take(
                self._writer.path.stem,
                now.isoformat(timespec="seconds"),
                self._writer.path.name,
                0.0,
                prompt,
                about.model,
                about.weights_hash,
                about.seed,
                self._tempo,
                events=about.opened(at),
                session=about.session,
            )
        )
        self.takes.append(self._take.number)
        self._pitches[:] = 0
        self._unheard = 0
        self._next, self._quiet, self._row_at = at, 0, time.monotonic()

    def _listen(self, wave: Wave) -> None:
        """Thread: recorder. A little of it now and then, for the take's key."""
        step, at = round(LOOKED_EVERY * self._rate), self._unheard
        while at + LOOKED_AT <= wave.shape[1]:
            found = chroma(*spectrogram(wave[:, at : at + LOOKED_AT].mean(axis=0), self._rate))
            self._pitches += found.sum(axis=0)
            at += step
        self._unheard = max(0, at - wave.shape[1])

    def _key(self) -> str:
        """Thread: recorder. The take's key so far, "" while it is not known."""
        pitches = self._pitches
        clear = pitches.sum() > KEY_FROM and pitches.std() > KEY_CLEAR * pitches.mean()  # noise has none
        key = key_of(pitches) if clear else None
        return "" if key is None else key.name

    def _words(self, until: int) -> list[str]:
        """Thread: recorder. The words that were planned for positions up to this one, each once."""
        plans = list(self._plans)
        return list(dict.fromkeys(" ".join(text.split()) for at, text in plans if text and at <= until))

    def _named_late(self) -> bool:
        """Thread: recorder. Whether words have come for a take that began without."""
        return self._take is not None and not self._take.prompt and bool(self._words(self._next))

    def _keep_row(self) -> None:
        """Thread: recorder. Bring the take's row up to date."""
        assert self._take is not None and self._writer is not None and self._store is not None
        self._row_at = time.monotonic()
        words = dict.fromkeys([*self._take.prompt.split(" | "), *self._words(self._next)])
        prompt = " | ".join(text for text in words if text)[:MAX_PROMPT]
        unnamed = not self._take.prompt and bool(prompt)
        if unnamed:
            self._take = self._store.rename(self._take.number, f"{self._begun} {prompt[:40]}")
        self._take = replace(self._take, seconds=self._writer.seconds, prompt=prompt, key=self._key())
        self._store.change(self._take)

    def _end(self) -> None:
        """Thread: recorder. The take is over, its file whole and its row true."""
        if self._take is None:
            return
        assert self._writer is not None and self._store is not None
        self._writer.close()
        try:
            if self._writer.n_samples:
                self._keep_row()
            else:  # there was no room for any of it
                self.takes.remove(self._take.number)
                self._store.remove(self._take.number)
        finally:
            self._take = self._writer = None

    def _say(self, what: str, do: str) -> None:
        self.said.append((what, "Everything plays, and takes that are there are as they were.", do))
