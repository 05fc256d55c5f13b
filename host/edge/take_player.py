"""Plays a take beside the music: a thread of its own reads ahead, so that a slow disk holds nobody up.

What is heard so is recorded by nobody. The owner (the thread that plays) takes blocks and never waits.
"""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

import numpy as np
import soundfile
import soxr

from descant.host.errors import HostError, TakeError
from descant.host.events import Wave

AHEAD_SECONDS = 4.0  # that are read ahead
PIECE_SECONDS = 0.25  # that are read at once
REST_SECONDS = 0.1  # between two looks whether more is wanted


class TakePlayer:
    """Thread: the owner's, all but what is marked. rate, channels: of what is played to.

    path: of what is listened to, "" for nothing. seconds: how far. said: why something could not be read.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.path = ""
        self.said: deque[HostError] = deque(maxlen=8)
        self._rate, self._channels = rate, channels
        self._reading: _Reading | None = None
        self._played = 0
        self._last = False  # one block more, which fades

    @property
    def seconds(self) -> float:
        return self._played / self._rate

    def start(self, path: str) -> None:
        """Listen to a sound file, from its beginning, in place of any other."""
        self.close()
        self.path, self._played, self._last = path, 0, False
        self._reading = _Reading(Path(path), self._rate, self._channels, self.said)

    def stop(self) -> None:
        """Silence, without a click. Harmless when repeated."""
        self._last = self._reading is not None
        self.path = ""

    def close(self) -> None:
        """Let go of the file at once."""
        if self._reading is not None:
            self._reading.ending.set()
        self._reading, self.path = None, ""

    def read(self, n: int) -> Wave | None:
        """The next [C, n]; None: nothing is listened to. Where the disk is late it waits, in silence."""
        reading = self._reading
        if reading is None:
            return None
        done = reading.done  # before what is there is looked at
        out = reading.taken(n)
        self._played += out.shape[1]
        if self._last:
            out = out * np.linspace(1, 0, out.shape[1], dtype=np.float32)
        if self._last or (done and out.shape[1] < n):
            self.close()
        return np.pad(out, ((0, 0), (0, n - out.shape[1])))


class _Reading:
    """One file that is read. ending: set it, and no more is. done: all of it lies ready."""

    def __init__(self, path: Path, rate: int, channels: int, said: deque[HostError]) -> None:
        self.ending = threading.Event()
        self.done = False
        self._path, self._rate, self._channels, self._said = path, rate, channels, said
        self._pieces: deque[Wave] = deque()
        self._put = self._got = 0  # samples; each has one writer
        self.thread = threading.Thread(target=self._run, name="descant take", daemon=True)
        self.thread.start()

    def taken(self, n: int) -> Wave:
        """Thread: the owner's. Up to n samples of what lies ready."""
        parts, left = [np.zeros((self._channels, 0), np.float32)], n
        while left and self._pieces:
            piece = self._pieces.popleft()
            parts.append(piece[:, :left])
            if piece.shape[1] > left:
                self._pieces.appendleft(piece[:, left:])
            left -= parts[-1].shape[1]
        self._got += n - left
        return np.concatenate(parts, axis=1)

    def _run(self) -> None:
        """Thread: the reader's."""
        try:
            self._read()
        except (OSError, RuntimeError) as error:  # libsndfile's are of the second kind
            there = self._path.exists()
            self._said.append(
                TakeError(
                    f"{self._path} cannot be {'read' if there else 'listened to: it is not there'}"
                    f"{f': {error}' if there else ''}.",
                    "The music goes on, and all other takes can be heard.",
                    "Look whether the disk is in its place, or listen to another take.",
                )
            )
        self.done = True

    def _read(self) -> None:
        """Thread: the reader's. Put pieces while fewer are wanted than lie ready."""
        with soundfile.SoundFile(self._path) as file:
            rates = None
            if file.samplerate != self._rate:
                rates = soxr.ResampleStream(file.samplerate, self._rate, self._channels, "float32")
            while not self.ending.is_set():
                if self._put - self._got > AHEAD_SECONDS * self._rate:
                    self.ending.wait(REST_SECONDS)
                    continue
                wave = file.read(round(PIECE_SECONDS * file.samplerate), dtype="float32", always_2d=True)
                last = len(wave) == 0
                places = np.minimum(np.arange(self._channels), file.channels - 1)  # one ear's is both ears'
                out = np.ascontiguousarray(wave[:, places])
                if rates is not None:
                    out = rates.resample_chunk(out, last=last)
                self._pieces.append(np.ascontiguousarray(out.T))
                self._put += len(out)
                if last:
                    return
