"""A performance as wire messages: a MIDI file and a hummed clip become what a DAW would send, each at its
sample.

Pure: files are read elsewhere, nothing is sent here. Positions are samples at the client's rate from the
start of the song.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from descant.host.edge.midi_file import Song, SongEvent, sample_of
from descant.plugin_bridge import wire

MAX_HUM_SECONDS = 60.0
_TRANSPORT_EVERY = Fraction(1, 10)  # seconds; a DAW says where it is in every block, this is enough to follow


@dataclass(frozen=True)
class Hum:
    """A melody to hand in. wave: [C, T] float32 at sample_rate Hz. at_bar: the bar of the song it is handed
    in at."""

    wave: npt.NDArray[np.float32]
    sample_rate: int
    at_bar: int = 0


@dataclass(frozen=True)
class Performance:
    """What is played.

    song: None for the prompt and the hum alone, at the preset's tempo. prompt: words put on pad 0 and played
    from the start. first_pad: press pad 0 at the start as it is. seconds: how long to listen (None: the song
    and two bars more; needed without a song). settings: parameters from the start, see preset.PARAMETERS.
    """

    song: Song | None = None
    hum: Hum | None = None
    prompt: str = ""
    first_pad: bool = False
    seconds: float | None = None
    settings: tuple[tuple[str, float], ...] = ()

    @property
    def length(self) -> Fraction:
        """Seconds from the first sample to the last."""
        if self.seconds is not None:
            return Fraction(self.seconds)
        if self.song is None:
            raise ValueError("a performance without a song needs a length")
        metre = self.song.metres[-1]
        two_bars = Fraction(8 * metre.numerator, metre.denominator)
        return self.song.seconds_at(self.song.beat_at(self.song.end) + two_bars)


def cues(performance: Performance, sample_rate: int) -> list[wire.Message]:
    """Everything to send, in order of at_sample; at the same sample the transport comes first."""
    song, end = performance.song, performance.length
    messages: list[wire.Message] = []
    if song is not None:
        times = sorted(time for time in _transport_times(song, end) if time < end)
        messages += [_transport(song, time, sample_rate) for time in times]
    messages += [wire.Parameter(name=name, value=value, at_sample=0) for name, value in performance.settings]
    if performance.prompt:
        messages.append(wire.Prompt(slot=0, text=performance.prompt, at_sample=0))
    elif performance.first_pad:
        messages.append(wire.Trigger(slot=0, at_sample=0))
    if performance.hum is not None:
        start = Fraction(0) if song is None else song.seconds_at(song.beat_of_bar(performance.hum.at_bar))
        messages += capture_parts(performance.hum, sample_of(start, sample_rate))
    if song is not None:
        played = (event for event in song.events if event.seconds < end)
        messages += [_message(event, sample_of(event.seconds, sample_rate)) for event in played]
    return sorted(messages, key=lambda message: message.at_sample)


def capture_parts(hum: Hum, at_sample: int, clip: int = 1) -> list[wire.Message]:
    """The messages that hand in one clip, whole."""
    length = hum.wave.shape[1]
    starts = range(0, length, wire.MAX_BLOCK_SAMPLES)
    return [
        wire.Capture(
            clip=clip,
            sample_rate=hum.sample_rate,
            index=index,
            last=start + wire.MAX_BLOCK_SAMPLES >= length,
            role="melody",
            wave=np.ascontiguousarray(hum.wave[: wire.MAX_CHANNELS, start : start + wire.MAX_BLOCK_SAMPLES]),
            at_sample=at_sample,
        )
        for index, start in enumerate(starts)
    ]


def describe(message: wire.Message) -> str:
    """A few words for a log or a picture; empty for what is sent all the time."""
    match message:
        case wire.NoteOn():
            return f"note {message.key} on (velocity {message.velocity})"
        case wire.Control():
            return f"controller {message.controller} = {message.value}"
        case wire.Program():
            return f"program {message.program}"
        case wire.Prompt():
            return f"prompt: {message.text[:60]}"
        case wire.Trigger():
            return f"pad {message.slot} {message.action}"
        case wire.Capture() if message.last:
            return f"hum {message.clip} handed in"
        case wire.Preset():
            return f"preset {message.name}"
        case wire.Parameter():
            return f"{message.name} = {message.value:g}"
    return ""


def _transport_times(song: Song, end: Fraction) -> set[Fraction]:
    regular = {index * _TRANSPORT_EVERY for index in range(int(end / _TRANSPORT_EVERY) + 1)}
    return regular | set(song.transport_changes())


def _transport(song: Song, seconds: Fraction, sample_rate: int) -> wire.Message:
    at_sample = sample_of(seconds, sample_rate)
    exact = max(seconds, Fraction(at_sample, sample_rate))  # what holds at the sample itself, after a change
    metre = song.metre_at(exact)
    return wire.Transport(
        tempo=song.tempo_at(exact),
        beat=float(song.beat_at(Fraction(at_sample, sample_rate))),
        numerator=metre.numerator,
        denominator=metre.denominator,
        at_sample=at_sample,
    )


def _message(event: SongEvent, at_sample: int) -> wire.Message:
    if event.kind == "note_on":
        return wire.NoteOn(event.midi_channel, event.number, event.value, at_sample=at_sample)
    if event.kind == "note_off":
        return wire.NoteOff(event.midi_channel, event.number, event.value, at_sample=at_sample)
    if event.kind == "control":
        return wire.Control(event.midi_channel, event.number, event.value, at_sample=at_sample)
    return wire.Program(event.midi_channel, event.number, at_sample=at_sample)
