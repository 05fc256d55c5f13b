"""Standard MIDI Files read into events whose times are exact fractions of a second.

Knows nothing about sessions or the wire. Ticks become seconds through the tempo map by rational arithmetic,
so the sample position of an event does not depend on how many came before it.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from descant.host.errors import HostError
from descant.host.transport import TEMPO_RANGE

MAX_BYTES = 16 * 2**20
MAX_EVENTS = 200_000
MAX_SECONDS = 3 * 3600
_NOTHING = "Nothing was changed and nothing was written."
_DEFAULT_TEMPO = 500_000  # microseconds per quarter note: 120 bpm, as the standard says

Kind = Literal["note_on", "note_off", "control", "program"]


@dataclass(frozen=True)
class SongEvent:
    """One message of one MIDI channel.

    tick: from the start. seconds: from the start, exact. midi_channel: 0..15.
    number: key, controller or program, 0..127. value: velocity or controller value, 0..127 (0 for a program).
    """

    tick: int
    seconds: Fraction
    kind: Kind
    midi_channel: int
    number: int
    value: int


@dataclass(frozen=True)
class TempoChange:
    """From `tick` (`seconds` from the start) on, a quarter note lasts `microseconds`."""

    tick: int
    seconds: Fraction
    microseconds: int


@dataclass(frozen=True)
class MetreChange:
    """From `tick` (`seconds` from the start) on, the time signature is numerator / denominator."""

    tick: int
    seconds: Fraction
    numerator: int
    denominator: int


@dataclass(frozen=True)
class Song:
    """A MIDI file: what happens when, and the tempo map it happens in.

    ppq: ticks per quarter note. tempos, metres: never empty, the first at tick 0. events: in time order.
    """

    ppq: int
    tempos: tuple[TempoChange, ...]
    metres: tuple[MetreChange, ...]
    events: tuple[SongEvent, ...]
    end: Fraction

    def tempo_at(self, seconds: Fraction) -> float:
        """Quarter notes per minute at that time."""
        return 60e6 / self._tempo(seconds).microseconds

    def metre_at(self, seconds: Fraction) -> MetreChange:
        """The time signature in force at that time."""
        return self.metres[max(0, bisect_right([m.seconds for m in self.metres], seconds) - 1)]

    def beat_at(self, seconds: Fraction) -> Fraction:
        """Quarter notes from the start of the song, exact."""
        tempo = self._tempo(seconds)
        return Fraction(tempo.tick, self.ppq) + (seconds - tempo.seconds) * 1_000_000 / tempo.microseconds

    def seconds_at(self, beat: Fraction) -> Fraction:
        """The time of a beat, counted in quarter notes from the start of the song, exact: inverse of
        `beat_at`."""
        tempo = self.tempos[max(0, bisect_right([t.tick for t in self.tempos], beat * self.ppq) - 1)]
        return tempo.seconds + (beat - Fraction(tempo.tick, self.ppq)) * tempo.microseconds / 1_000_000

    def beat_of_bar(self, bar: int) -> Fraction:
        """The beat on which a bar begins; bar 0 is the first. A metre change begins a bar, wherever it
        stands."""
        bars_left = bar
        for metre, following in zip(self.metres, self.metres[1:]):
            length = Fraction(4 * metre.numerator, metre.denominator)
            bars = -(-Fraction(following.tick - metre.tick, self.ppq) // length)
            if bars_left < bars:
                return Fraction(metre.tick, self.ppq) + bars_left * length
            bars_left -= int(bars)
        last = self.metres[-1]
        return Fraction(last.tick, self.ppq) + bars_left * Fraction(4 * last.numerator, last.denominator)

    def transport_changes(self) -> tuple[Fraction, ...]:
        """The times, from the start, at which tempo or metre change; the first is 0."""
        return tuple(sorted({t.seconds for t in self.tempos} | {m.seconds for m in self.metres}))

    def _tempo(self, seconds: Fraction) -> TempoChange:
        return self.tempos[max(0, bisect_right([t.seconds for t in self.tempos], seconds) - 1)]


def sample_of(seconds: Fraction, sample_rate: int) -> int:
    """The sample nearest to a time, at a rate in Hz."""
    return round(seconds * sample_rate)


def read_midi_file(path: Path) -> Song:
    """Thread: any but audio. Read a Standard MIDI File of type 0 or 1.

    Raises HostError when it is missing, unreadable, corrupt, too large, of type 2 or SMPTE-timed, holds no
    note, or a tempo that no transport takes.
    """
    import mido

    size = _size(path)
    if size > MAX_BYTES:
        raise HostError(
            f"{path} has {size / 2**20:.0f} MiB; a MIDI file of at most {MAX_BYTES // 2**20} MiB is read.",
            _NOTHING,
            "Check that it is a MIDI file.",
        )
    try:
        with path.open("rb") as stream:
            if stream.read(4) != b"MThd":
                raise _corrupt(path, "it does not begin with MThd")
            stream.seek(0)
            file = mido.MidiFile(file=stream, clip=True)
        if file.type == 2:
            raise _corrupt(path, "type 2 (independent sequences) has no common timeline")
        if file.ticks_per_beat <= 0:
            raise _corrupt(path, "its times are SMPTE frames, not ticks per quarter note")
        song = _song(path, file.ticks_per_beat, _merged(file))
    except HostError:
        raise
    except Exception as error:  # damaged bytes make the parser raise nearly anything
        raise _corrupt(path, _in_words(error)) from error
    if not any(event.kind == "note_on" for event in song.events):
        raise HostError(
            f"{path} holds no notes ({len(song.events)} other events).",
            _NOTHING,
            "Export the track with its notes; pads and keys are what triggers music.",
        )
    return song


def _merged(file: Any) -> Iterator[tuple[int, Any]]:
    """(tick, message) of all tracks in time order, stable by track; the parser's own merge is quadratic."""
    timed: list[tuple[int, Any]] = []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            timed.append((tick, message))
        if len(timed) > MAX_EVENTS:
            raise ValueError(f"it holds more than {MAX_EVENTS} events")
    return iter(sorted(timed, key=lambda pair: pair[0]))


def _song(path: Path, ppq: int, messages: Iterator[tuple[int, Any]]) -> Song:
    tempos = [TempoChange(0, Fraction(0), _DEFAULT_TEMPO)]
    metres = [MetreChange(0, Fraction(0), 4, 4)]
    events: list[SongEvent] = []
    end = Fraction(0)
    for tick, message in messages:
        last = tempos[-1]
        seconds = last.seconds + Fraction((tick - last.tick) * last.microseconds, ppq * 1_000_000)
        if seconds > MAX_SECONDS:
            raise HostError(
                f"{path} lasts longer than {MAX_SECONDS // 3600} hours.",
                _NOTHING,
                "Cut it to the part you mean.",
            )
        end = max(end, seconds)
        if message.type == "set_tempo":
            _check_tempo(path, message.tempo, seconds)
            if tick == last.tick:
                tempos.pop()
            tempos.append(TempoChange(tick, seconds, message.tempo))
        elif message.type == "time_signature" and message.numerator > 0:
            if tick == metres[-1].tick:
                metres.pop()
            metres.append(MetreChange(tick, seconds, message.numerator, message.denominator))
        elif (event := _event(tick, seconds, message)) is not None:
            events.append(event)
    return Song(ppq, tuple(tempos), tuple(metres), tuple(events), end)


def _check_tempo(path: Path, microseconds: int, seconds: Fraction) -> None:
    """Raise HostError for a tempo that no transport can follow. microseconds: of a quarter note."""
    low, high = TEMPO_RANGE
    if microseconds and low <= 60e6 / microseconds <= high:
        return
    bpm = f"{60e6 / microseconds:.10g} bpm" if microseconds else "quarter notes of no length"
    raise HostError(
        f"{path} asks for a tempo of {bpm}, {float(seconds):.1f} s from its start; "
        f"allowed: {low:g}..{high:g} bpm.",
        _NOTHING,
        "Correct its tempo track and export it again.",
    )


def _event(tick: int, seconds: Fraction, message: Any) -> SongEvent | None:
    if message.type == "note_on" and message.velocity > 0:
        return SongEvent(tick, seconds, "note_on", message.channel, message.note, message.velocity)
    if message.type in ("note_on", "note_off"):  # note on with velocity 0 is note off
        return SongEvent(tick, seconds, "note_off", message.channel, message.note, message.velocity)
    if message.type == "control_change":
        return SongEvent(tick, seconds, "control", message.channel, message.control, message.value)
    if message.type == "program_change":
        return SongEvent(tick, seconds, "program", message.channel, message.program, 0)
    return None


def _size(path: Path) -> int:
    try:
        if not path.is_file():
            raise FileNotFoundError(2, "it is a folder" if path.is_dir() else "no such file")
        with path.open("rb") as file:  # the system's own word on who may read it
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise HostError(
            f"{path} could not be opened: {(error.strerror or 'it cannot be read').lower()}.",
            _NOTHING,
            "Check the name and that you may read the file.",
        ) from error


def _in_words(error: Exception) -> str:
    """The parser's own words where it has any; what it mostly means where it has none."""
    if isinstance(error, EOFError):
        return "it is cut off in the middle"
    if isinstance(error, OSError | ValueError) and str(error):
        return str(error)
    return f"its bytes make no sense ({type(error).__name__} {error})".replace(" )", ")")


def _corrupt(path: Path, reason: str) -> HostError:
    return HostError(
        f"{path} is not a MIDI file that can be read: {reason.rstrip('.')}.",
        _NOTHING,
        "Export it again as a Standard MIDI File of type 0 or 1.",
    )
