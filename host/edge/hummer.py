"""Humming live: arm, count-in, record against the click, or take what was just hummed; mend, listen, hand in.

Thread: the owner's, which calls `turn` every few milliseconds; nothing here waits. Pitch is found by another
process.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import numpy as np

from descant.host.edge import hum_words as words
from descant.host.edge.audio_server import PAST_SECONDS, AudioServer
from descant.host.edge.hum_worker import HumWorker
from descant.host.edge.microphone import Microphone
from descant.host.edge.stage_words import HumView
from descant.host.errors import HumError
from descant.host.events import Wave
from descant.host.hum_aside import HumAside
from descant.host.hum_followed import HumFollowed
from descant.host.hum_reading import HumReading
from descant.host.hum_recording import HumRecording
from descant.host.hum_take import HumTake, last_phrase, line_of, mono, on_bars
from descant.host.transport import Timeline

State = Literal["idle", "counting", "recording", "listening", "ready"]
PIECE_SECONDS = 0.1  # of the input that are sent to be traced at once


class HandsIn(Protocol):
    """The one method of a client that is needed."""

    def capture(
        self, wave: Wave, sample_rate: int | None = None, *, at_sample: int | None = None
    ) -> bool: ...


class Hummer:
    """client: takes the melody. say: takes a line for the performer. bars, count_in: of a recording.
    classes: the pitch classes of the key that is played in now, None where there is none. takes: the folder
    in which hums are kept; None: they are not.

    take: the last hum. reading: its pitch, growing while it is recorded, and its notes. score: how closely
    the music followed it. kept: how many have become takes.
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
        self.reading = HumReading(classes)
        self.state: State = "idle"
        self.score: words.Judged | None = None
        self.kept = 0
        self._client, self._audio, self._say = client, audio, say
        self._bars, self._count_in, self._folder = bars, count_in, takes
        self._number = 0  # of what the worker is asked
        self._traced = 0  # the clip that becomes the trace
        self._tempo = 0.0  # of the take
        self._recording = HumRecording()
        self._microphone = Microphone(audio, say)
        self._aside = HumAside(audio.rate)
        self._followed = HumFollowed()

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
                self.reading.next_snap()
                self._read()
            case "octave":
                self.reading.guard = not self.reading.guard
                self._read()
            case "drop":
                self._drop("")

    def turn(self, now: int, timeline: Timeline) -> None:
        """now: the sample that is asked for now."""
        for answer in self.worker.turn():
            self._take_in(answer)
        memory = self._audio.memory
        if self.state in ("counting", "recording"):
            self._microphone.watch()
            self._count(now, timeline)
            end = self._recording.window(self._latency)[1]
            try:
                self._push(min(memory.heard_until, end))
                if memory.heard_until >= end:
                    self._recorded(timeline)
            except ValueError:  # time leapt: another device, perhaps
                self._drop("The input was lost for a moment: nothing was recorded. Hum again.")
        self._aside.turn(now)

    def aside(self, at: int, n: int, timeline: Timeline) -> Wave | None:
        """[n] to be heard beside the music from a sample on; None: nothing."""
        clicking = self._recording.clicking if self.state in ("counting", "recording") else None
        return self._aside.heard(at, n, timeline, clicking)

    def silence(self) -> None:
        """Panic: nothing is heard of a take, nothing is recorded any more."""
        self._aside.stop()
        if self.state in ("counting", "recording"):
            self._drop("")

    def planned(self, from_sample: int, text: str) -> None:
        """Word from the host: a melody that was handed in is followed from a sample on."""
        if text.startswith("hummed melody") and self.take is not None and self._followed.notes:
            self._followed.begins(from_sample, self.take)

    def made(self, at: int, wave: Wave) -> None:
        """What the host made [C, n], as it is played."""
        if (music := self._followed.made(at, wave)) is not None:
            notes = words.notes_out(self._followed.notes)
            self._ask(words.Judge(0, self._audio.rate, words.wave_out(music), notes))

    def view(self, now: int, timeline: Timeline) -> HumView:
        """How it stands, for a window."""
        reading, key = self.reading, self.reading.moved_to
        keys = np.nan_to_num(reading.trace.keys())[-1024:]
        recording = self._recording
        beats = recording.beats_left(now, timeline) if self.state == "counting" else 0
        bar = recording.bar(now, timeline) if self.state == "recording" else 0
        bars = self.take.bars if self.state == "ready" and self.take else self._bars
        if recording.redone is not None:
            bars = 1
        return HumView(
            self.state, beats, min(bar, bars), bars, reading.snap, reading.guard,
            key.name if key else "", tuple(words.notes_out(reading.notes)),
            tuple(round(float(value), 2) for value in keys),
            tuple(round(float(value), 2) for value in reading.trace.confidence[-1024:]),
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
        self._microphone.need()
        grid = timeline.at(at)
        bar = grid.bar_beats * grid.samples_per_beat
        if bars * bar > (PAST_SECONDS - 1) * self._audio.rate:
            raise HumError(
                f"{bars} bars last longer than the {PAST_SECONDS:.0f} s that are remembered",
                "the music goes on",
                "hum fewer bars, or faster",
            )
        self.worker.start()
        self._recording = HumRecording.armed(at, timeline, bars, self._count_in, self._latency, redone)
        self.state = "counting"
        self._aside.stop()
        self._microphone.begin()
        self._traced = 0
        if redone is None:
            self.reading.restart()

    def _redo(self, rest: str, at: int, timeline: Timeline) -> None:
        if self.take is None:
            raise _no_hum()
        bar = int(rest) if rest.isdecimal() else 1
        if not 1 <= bar <= self.take.bars:
            raise HumError(f"The hum has no bar {bar}", "it is as it was", f"use bars 1 to {self.take.bars}")
        self._arm(at, timeline, 1, bar - 1)

    def _last(self, timeline: Timeline) -> None:
        """What was hummed of late becomes a take."""
        self._microphone.need()
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
        self._recording.redone, self._tempo = None, float(timeline.at(until).tempo)
        self._have(on_bars(wave[first:end], until - n + first - self._latency, timeline, rate))

    def _recorded(self, timeline: Timeline) -> None:
        """All of it has come."""
        recording = self._recording
        first, end = recording.window(self._latency)
        wave = mono(self._audio.memory.heard(first, end - first))
        if recording.redone is not None and self.take is not None:
            self._have(self.take.again(recording.redone, wave))
            return
        grid = timeline.at(recording.start)
        self._tempo = float(grid.tempo)
        bar = grid.bar_beats * grid.samples_per_beat
        self._have(HumTake(wave, recording.start, bar, self._audio.rate), traced=True)

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
        self.reading.restart()
        self._traced = self._ask(words.Push(0, take.rate, words.wave_out(take.wave), last=True))

    def _push(self, until: int) -> None:
        """Send what has come to be traced, so that the trace is seen while one hums."""
        rate = self._audio.rate
        if (piece := self._recording.piece(until, self._latency, PIECE_SECONDS * rate)) is None:
            return
        wave = words.wave_out(mono(self._audio.memory.heard(*piece)))
        if self._traced:
            self.worker.ask(words.Push(self._traced, rate, wave))
        else:
            self._traced = self._ask(words.Push(0, rate, wave))

    def _take_in(self, answer: words.Answer) -> None:
        match answer:
            case words.Traced() if answer.number == self._traced:
                self.reading.trace = self.reading.trace + words.trace_in(answer)
                if answer.last:
                    self._traced, self.state = 0, "ready"
                    self._read()
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

    def _read(self) -> None:
        """The notes of the trace anew; said where there is a take."""
        key, notes = self.reading.read(), self.reading.notes
        if self.take is None or self.state != "ready":
            return
        if not notes:
            self._say("No pitch was found in the hum. It is there. Hum or sing one clear line, nearer.")
            return
        kind = f"in {key.name}" if key else "as sung"
        self._say(f"hum: {len(notes)} notes in {self.take.bars} bars, {kind}")

    def _listen(self, at: int) -> None:
        if self.take is None:
            raise _no_hum()
        if self._aside.playing:
            self._aside.stop()
            return
        take, notes = self.take, self.reading.line
        wave = take.wave if notes is None else line_of(notes, len(take.wave), take.rate)
        first, end = take.span
        self._aside.play(at + self._audio.rate // 10, wave[first:end])

    def _generate(self) -> None:
        if self.take is None:
            raise _no_hum()
        if self.state == "listening":
            raise HumError("The hum is not read yet", "the music goes on", "press again in a moment")
        wave = self.take.handed_in(self.reading.line)
        self._followed.handed_in(self.take.from_its_line(self.reading.notes))
        if not self._client.capture(wave, self.take.rate, at_sample=max(0, self.take.at)):
            raise HumError("No host takes the hum now", "it is kept here", "press again when it is back")
        self._say("hum: the music follows from the next line")

    def _drop(self, said: str) -> None:
        """Give up a recording, or forget the take."""
        if self.state in ("counting", "recording"):
            self.state = "idle" if self.take is None else "ready"
        else:
            self.take, self.state = None, "idle"
            self.reading.forget()
        self._traced = 0
        if said:
            self._say(said)

    def _keep(self) -> None:
        if self._folder is None or self.take is None or not self.reading.notes:
            return
        take, (first, end) = self.take, self.take.span
        self._ask(
            words.Keep(
                0,
                str(self._folder),
                take.rate,
                words.wave_out(take.wave[first:end]),
                round(self._tempo, 3),
                self.reading.key.name if self.reading.key else "",
            )
        )

    def _count(self, now: int, timeline: Timeline) -> None:
        """Say the beats before the recording, and that it has begun."""
        if self.state != "counting":
            return
        if now >= self._recording.start:
            self.state = "recording"
            self._say("hum: now")
        elif left := self._recording.new_beat(now, timeline):
            self._say(f"hum: in {left}")


def _no_hum() -> HumError:
    return HumError("There is no hum yet", "the music goes on", "hum first: arm, or take the last minute")
