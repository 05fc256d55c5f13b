"""Humming live: arm, count-in, record against the click, or take what was just hummed; mend, listen, hand in.

Thread: the owner's, which calls `turn` every few milliseconds; nothing here waits. Pitch is found by another
process. What is heard beside the music (the click, a take that is listened to) is recorded by nobody.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import numpy as np

from descant.host.edge import hum_words as words
from descant.host.edge.audio_server import PAST_SECONDS, AudioServer
from descant.host.edge.hum_worker import HumWorker
from descant.host.edge.recall import Recall
from descant.host.edge.stage_words import HumView
from descant.host.errors import HumError
from descant.host.events import Wave
from descant.host.hum_take import HumTake, last_phrase, line_of, mono, on_bars, window
from descant.host.keys import Key, key_in, key_of
from descant.host.pad_figures import key_named
from descant.host.pitch import Note, Trace, notes_of
from descant.host.transport import Timeline
from descant.host.trigger import OF_KEY

State = Literal["idle", "counting", "recording", "listening", "ready"]
Snap = Literal["key", "heard", "off"]
SNAPS: tuple[Snap, ...] = ("key", "heard", "off")
PIECE_SECONDS = 0.1  # of the input that are sent to be traced at once
NOTHING_SECONDS = 2.5  # without a sound from the microphone, and it is said
CLIPPED = 8  # samples at full scale that are said
CLICK_SECONDS, CLICK_LEVEL = 0.03, 0.35
CLICK_HZ = (1500.0, 2250.0)  # a beat, the first one of a bar
FOLLOWED_BARS = 8  # compared at most


class HandsIn(Protocol):
    """The one method of a client that is needed."""

    def capture(
        self, wave: Wave, sample_rate: int | None = None, *, at_sample: int | None = None
    ) -> bool: ...


def classes_played(recall: Recall | None) -> tuple[int, ...] | None:
    """The pitch classes of the key that is played in: as the words say it ("in A minor"), or the chords."""
    if recall is None:
        return None
    preset, slot = recall.pads.preset, recall.playing
    text = "" if slot is None or not recall.pads.holds(slot) else recall.pads.words(slot)
    found = key_named(text) or next(filter(None, (key_named(row.text) for row in preset.prompts)), None)
    if found is None and (chords := preset.progression_of(0 if slot is None or slot >= OF_KEY else slot)):
        weights = np.bincount([note for chord in chords.chords for note in chord], minlength=12)
        key = key_of(weights.astype(np.float64))
        found = None if key is None else key.classes
    return found


class Hummer:
    """client: takes the melody. say: takes a line for the performer. bars, count_in: of a recording.
    classes: the pitch classes of the key that is played in now, None where there is none. takes: the folder
    in which hums are kept; None: they are not.

    take: the last hum. trace: its pitch, growing while it is recorded. kept: how many have become takes.
    """

    def __init__(
        self,
        client: HandsIn,
        audio: AudioServer,
        say: Callable[[str], object],
        classes: Callable[[], tuple[int, ...] | None] = lambda: None,
        bars: int = 2,
        count_in: int = 1,
        takes: Path | None = None,
    ) -> None:
        self.worker = HumWorker()
        self.take: HumTake | None = None
        self.trace = Trace.empty()
        self.notes: list[Note] = []
        self.key: Key | None = None
        self.snap: Snap = "key"
        self.guard = True
        self.state: State = "idle"
        self.score: words.Judged | None = None
        self.kept = 0
        self._client, self._audio, self._say, self._classes = client, audio, say, classes
        self._bars, self._count_in, self._folder = bars, count_in, takes
        self._start = self._end = self._count_from = self._asked = 0
        self._redone: int | None = None  # the bar that is recorded again
        self._number = 0  # of what the worker is asked
        self._traced = 0  # the clip that becomes the trace
        self._told_beat = 0
        self._warned: set[str] = set()
        self._clips = 0.0
        self._handed: list[tuple[float, float, int, int]] = []  # notes, as they were handed in
        self._tempo = 0.0  # of the take
        self._playing: tuple[int, Wave] | None = None  # where a take is listened to, and what
        self._judged: tuple[int, int] | None = None  # the stretch of music that is compared with the hum
        self._music: list[Wave] = []
        self._clicks = tuple(_click(audio.rate, hz) for hz in CLICK_HZ)

    def do(self, action: str, at: int, timeline: Timeline) -> None:
        """One of HUM (host/controller.py), or "redo" and a bar from 1. Raises HumError where it cannot be."""
        what, _, rest = action.partition(" ")
        match what:
            case "arm" if self.state in ("counting", "recording"):
                self._drop("Not recorded. The take before is as it was.")
            case "arm":
                self._arm(at, timeline, self._bars, None)
            case "redo":
                self._redo(rest, at, timeline)
            case "last":
                self._last(timeline)
            case "listen":
                self._listen(at)
            case "generate":
                self._generate()
            case "snap":
                self.snap = SNAPS[(SNAPS.index(self.snap) + 1) % len(SNAPS)]
                self._read_notes()
            case "octave":
                self.guard = not self.guard
                self._read_notes()
            case "drop":
                self._drop("")

    def turn(self, now: int, timeline: Timeline) -> None:
        """now: the sample that is asked for now."""
        for answer in self.worker.turn():
            self._take_in(answer)
        memory = self._audio.memory
        if self.state in ("counting", "recording"):
            self._watch(now)
            self._count(now, timeline)
            end = window(self._start, self._end, self._latency)[1]
            try:
                self._push(min(memory.heard_until, end))
                if memory.heard_until >= end:
                    self._recorded(timeline)
            except ValueError:  # time leapt: another device, perhaps
                self._drop("The input was lost for a moment: nothing was recorded. Hum again.")
        if self._playing is not None and now > self._playing[0] + len(self._playing[1]):
            self._playing = None

    def aside(self, at: int, n: int, timeline: Timeline) -> Wave | None:
        """[n] to be heard beside the music from a sample on; None: nothing."""
        out: Wave | None = None
        if self.state in ("counting", "recording") and at < self._end:
            out = np.zeros(n, np.float32)
            for place, first in _beats(timeline, max(at - len(self._clicks[0]), self._count_from), at + n):
                if place < self._end:
                    _add(out, at, self._clicks[first], place)
        if self._playing is not None:
            out = np.zeros(n, np.float32) if out is None else out
            _add(out, at, self._playing[1], self._playing[0])
        return out

    def silence(self) -> None:
        """Panic: nothing is heard of a take, nothing is recorded any more."""
        self._playing = None
        if self.state in ("counting", "recording"):
            self._drop("")

    def planned(self, from_sample: int, text: str) -> None:
        """Word from the host: a melody that was handed in is followed from a sample on."""
        if text.startswith("hummed melody") and self.take is not None and self._handed:
            length = min(len(self.take.wave), round(FOLLOWED_BARS * self.take.bar))
            self._judged, self._music = (from_sample, from_sample + length), []

    def made(self, at: int, wave: Wave) -> None:
        """What the host made [C, n], as it is played."""
        if self._judged is None:
            return
        first, end = self._judged
        if at + wave.shape[1] > first and at < end:
            self._music.append(wave[:, max(0, first - at) : end - at].mean(axis=0))
        if at >= end:
            self._judged = None
            music = np.concatenate(self._music) if self._music else np.zeros(0, np.float32)
            self._music = []
            if len(music):
                self._ask(words.Judge(0, self._audio.rate, words.wave_out(music), self._handed))

    def view(self, now: int, timeline: Timeline) -> HumView:
        """How it stands, for a window."""
        keys = np.nan_to_num(self.trace.keys())[-1024:]
        grid = timeline.at(now)
        beats = bar = 0
        if self.state == "counting":
            beats = max(0, math.ceil((self._start - now) / grid.samples_per_beat))
        elif self.state == "recording":
            bar = 1 + int((now - self._start) / (grid.bar_beats * grid.samples_per_beat))
        bars = 1 if self._redone is not None else self._bars if self.state != "ready" or not self.take else (
            self.take.bars
        )  # fmt: skip
        key = self._snapped_to()
        return HumView(
            self.state, beats, min(bar, bars), bars, self.snap, self.guard,
            key.name if key and self.snap != "off" else "", tuple(words.notes_out(self.notes)),
            tuple(round(float(value), 2) for value in keys),
            tuple(round(float(value), 2) for value in self.trace.confidence[-1024:]),
            self.score.score if self.score else -1.0, self.score.chance if self.score else 0.0,
        )  # fmt: skip

    def close(self) -> None:
        """The process that listens ends once it has kept what it was given."""
        self.worker.finish()

    # inside

    @property
    def _latency(self) -> int:
        return self._audio.latency

    def _ask(self, asked: words.Asked) -> int:
        self._number += 1
        self.worker.ask(msgspec.structs.replace(asked, number=self._number))
        return self._number

    def _arm(self, at: int, timeline: Timeline, bars: int, redone: int | None) -> None:
        self._need_input()
        grid = timeline.at(at)
        bar = grid.bar_beats * grid.samples_per_beat
        if bars * bar > (PAST_SECONDS - 1) * self._audio.rate:
            raise HumError(
                f"{bars} bars last longer than the {PAST_SECONDS:.0f} s that are remembered",
                "the music goes on",
                "hum fewer bars, or faster",
            )
        self.worker.start()
        self._start = timeline.line(at + round(self._count_in * bar), "bar")
        self._end = self._start + round(bars * bar)
        self._count_from, self._redone, self._told_beat = at, redone, 0
        self._playing, self._warned, self.state = None, set(), "counting"
        self._clips = self._clipped()
        self._asked = window(self._start, self._end, self._latency)[0]
        self._traced = 0
        if redone is None:
            self.trace = Trace.empty()

    def _redo(self, rest: str, at: int, timeline: Timeline) -> None:
        if self.take is None:
            raise _no_hum()
        bar = int(rest) if rest.isdecimal() else 1
        if not 1 <= bar <= self.take.bars:
            raise HumError(f"The hum has no bar {bar}", "it is as it was", f"use bars 1 to {self.take.bars}")
        self._arm(at, timeline, 1, bar - 1)

    def _last(self, timeline: Timeline) -> None:
        """What was hummed of late becomes a take."""
        self._need_input()
        memory, rate = self._audio.memory, self._audio.rate
        until = memory.heard_until
        n = min(until, round(PAST_SECONDS * rate))
        wave = mono(memory.heard(until - n, n))
        first, end = last_phrase(wave, rate)
        if end - first < rate // 5:
            raise HumError(
                f"Nothing was hummed in the last {n / rate:.0f} s that can be heard",
                "the music goes on, and the hum before is as it was",
                "hum near the microphone, or look at its level",
            )
        self._redone, self._tempo = None, float(timeline.at(until).tempo)
        self._have(on_bars(wave[first:end], until - n + first - self._latency, timeline, rate))

    def _recorded(self, timeline: Timeline) -> None:
        """All of it has come."""
        memory = self._audio.memory
        first, end = window(self._start, self._end, self._latency)
        wave = mono(memory.heard(first, end - first))
        if self._redone is not None and self.take is not None:
            self._have(self.take.again(self._redone, wave))
            return
        grid = timeline.at(self._start)
        self._tempo = float(grid.tempo)
        self._have(
            HumTake(wave, self._start, grid.bar_beats * grid.samples_per_beat, self._audio.rate), traced=True
        )

    def _have(self, take: HumTake, traced: bool = False) -> None:
        """A new take; its notes are asked for. traced: the pieces so far are its trace."""
        if take.span == (0, 0):
            self.state = "idle" if self.take is None else "ready"
            self._say(
                "Nothing was heard of a hum. The take before is as it was. Look at the microphone's level."
            )
            return
        self.take, self.state, self.score = take, "listening", None
        if traced and self._traced:
            self.worker.ask(words.Push(self._traced, take.rate, b"", last=True))
            return
        self.trace = Trace.empty()
        self._traced = self._ask(words.Push(0, take.rate, words.wave_out(take.wave), last=True))

    def _push(self, until: int) -> None:
        """Send what has come to be traced, so that the trace is seen while one hums."""
        n = until - self._asked
        whole = until >= window(self._start, self._end, self._latency)[1]
        if self._redone is not None or n <= 0 or (n < PIECE_SECONDS * self._audio.rate and not whole):
            return
        piece = words.wave_out(mono(self._audio.memory.heard(self._asked, n)))
        self._asked = until
        if self._traced:
            self.worker.ask(words.Push(self._traced, self._audio.rate, piece))
        else:
            self._traced = self._ask(words.Push(0, self._audio.rate, piece))

    def _take_in(self, answer: words.Answer) -> None:
        match answer:
            case words.Traced() if answer.number == self._traced:
                self.trace = self.trace + words.trace_in(answer)
                if answer.last:
                    self._traced, self.state = 0, "ready"
                    self._read_notes()
                    self._keep()
            case words.Judged() if answer.score >= 0:
                self.score = answer
                self._say(
                    f"The music follows the hum by {answer.score:.2f} (chance {answer.chance:.2f}), "
                    f"{1000 * answer.late:.0f} ms late."
                )
            case words.Kept():
                self.kept += 1
                self._say(f"The hum is take {answer.take}.")
            case words.Failed() if answer.number == self._traced:
                self._traced = 0
                self.state = "ready"
                self._say(f"The hum's pitch was not found: {answer.why}. It is there. Use it with snap off.")
            case words.Failed():
                self._say(f"A hum was not kept or compared: {answer.why}. It is there. Nothing.")

    def _read_notes(self) -> None:
        """The notes of the trace, by snap and guard as they are now."""
        free = notes_of(self.trace, None, self.guard)
        weights = np.zeros(12)
        for note in free:
            weights[note.key % 12] += note.seconds
        self.key = key_of(weights)
        key = self._snapped_to(weights)
        self.notes = notes_of(self.trace, key.classes, self.guard) if key and self.snap != "off" else free
        if self.take is None or self.state not in ("ready",):
            return
        if not self.notes:
            self._say("No pitch was found in the hum. It is there. Hum or sing one clear line, nearer.")
            return
        kind = "as sung" if self.snap == "off" or not key else f"in {key.name}"
        self._say(f"hum: {len(self.notes)} notes in {self.take.bars} bars, {kind}")

    def _snapped_to(self, weights: np.ndarray[tuple[int], np.dtype[np.float64]] | None = None) -> Key | None:
        """The key that notes are moved to: the music's, or the one that was heard."""
        if self.snap == "key" and (classes := self._classes()) is not None:
            if weights is None:
                weights = np.zeros(12)
                for note in self.notes:
                    weights[note.key % 12] += note.seconds
            return key_in(classes, weights) or self.key
        return self.key

    def _from_its_line(self, take: HumTake) -> list[Note]:
        """The notes, counted from where what is handed in begins."""
        if take.kept:
            return self.notes
        skipped = math.floor(take.span[0] / take.bar) * float(take.bar) / take.rate
        return [replace(note, start=note.start - skipped) for note in self.notes]

    def _listen(self, at: int) -> None:
        if self.take is None:
            raise _no_hum()
        if self._playing is not None:
            self._playing = None
            return
        take = self.take
        plain = self.snap != "off" and self.notes
        wave = line_of(self.notes, len(take.wave), take.rate) if plain else take.wave
        first, end = take.span
        self._playing = at + self._audio.rate // 10, wave[first:end]

    def _generate(self) -> None:
        if self.take is None:
            raise _no_hum()
        if self.state == "listening":
            raise HumError("The hum is not read yet", "the music goes on", "press again in a moment")
        plain = self.notes if self.snap != "off" and self.notes else None
        wave = self.take.handed_in(plain)
        self._judged, self._handed = None, words.notes_out(self._from_its_line(self.take))
        if not self._client.capture(wave, self.take.rate, at_sample=max(0, self.take.at)):
            raise HumError("No host takes the hum now", "it is kept here", "press again when it is back")
        self._say("hum: the music follows from the next line")

    def _drop(self, said: str) -> None:
        """Give up a recording, or forget the take."""
        if self.state in ("counting", "recording"):
            self.state = "idle" if self.take is None else "ready"
        else:
            self.take, self.notes, self.trace, self.state = None, [], Trace.empty(), "idle"
        self._traced = 0
        if said:
            self._say(said)

    def _keep(self) -> None:
        if self._folder is None or self.take is None or not self.notes:
            return
        take, (first, end) = self.take, self.take.span
        self._ask(
            words.Keep(
                0,
                str(self._folder),
                take.rate,
                words.wave_out(take.wave[first:end]),
                round(self._tempo, 3),
                self.key.name if self.key else "",
            )
        )

    def _count(self, now: int, timeline: Timeline) -> None:
        """Say the beats before the recording, and that it has begun."""
        if self.state == "counting" and now >= self._start:
            self.state = "recording"
            self._say("hum: now")
            return
        if self.state != "counting":
            return
        left = math.ceil((self._start - now) / timeline.at(now).samples_per_beat)
        if left != self._told_beat:
            self._told_beat = left
            self._say(f"hum: in {left}")

    def _watch(self, now: int) -> None:
        """A microphone that is silent or too loud is said, once a recording."""
        quiet = self._audio.memory.quiet / self._audio.rate
        if quiet > NOTHING_SECONDS and "silent" not in self._warned:
            self._warned.add("silent")
            self._say(
                "The microphone is silent. The music goes on. Look at its cable, its switch and the device."
            )
        if self._clipped() - self._clips >= CLIPPED and "clipped" not in self._warned:
            self._warned.add("clipped")
            self._say("The microphone is too loud: it clips. It is recorded all the same. Turn it down.")

    def _clipped(self) -> float:
        return float(self._audio.memory.levels[0, :, 2].max())

    def _need_input(self) -> None:
        if self._audio.device and not self._audio.inputs:
            raise HumError(
                f"{self._audio.device} has no input",
                "the music goes on",
                "choose a device with a microphone (descant devices)",
            )


def _no_hum() -> HumError:
    return HumError("There is no hum yet", "the music goes on", "hum first: arm, or take the last minute")


def _click(rate: int, hz: float) -> Wave:
    """[n] a short tone that dies away."""
    time = np.arange(round(CLICK_SECONDS * rate)) / rate
    wave: Wave = (CLICK_LEVEL * np.exp(-time / 0.006) * np.sin(2 * np.pi * hz * time)).astype(np.float32)
    return wave


def _beats(timeline: Timeline, first: int, end: int) -> list[tuple[int, bool]]:
    """The beats of first..end as (sample, whether a bar begins there)."""
    found: list[tuple[int, bool]] = []
    at = first
    while (line := timeline.line(at, "beat")) < end and len(found) < 64:
        found.append((line, timeline.line(line, "bar") == line))
        at = line + 1
    return found


def _add(out: Wave, at: int, wave: Wave, place: int) -> None:
    """Add what of a wave at `place` lies in out, which begins at `at`."""
    first, end = max(at, place), min(at + len(out), place + len(wave))
    if end > first:
        out[first - at : end - at] += wave[first - place : end - place]
