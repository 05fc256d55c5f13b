"""What a performance is made of, read from the files and words of a command line: every check before any
work.

Knows nothing about models, but how a melody is heard in a clip.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from descant.host.edge.cues import MAX_HUM_SECONDS, Hum, Performance
from descant.host.edge.midi_file import Song, read_midi_file
from descant.host.edge.store import Wave, read_wav
from descant.host.errors import HostError
from descant.host.events import Capture
from descant.host.preset import MAX_PROMPT_CHARS, PARAMETERS, Preset, SamplingRow

EMBEDDED = "embedded"
DEFAULT_SECONDS = 10.0
_FRAME_RATE = 50.0  # at which a melody is looked for; which one hardly matters
_NOTHING = "Nothing was changed and nothing was written."


def read_performance(
    prompt: str | None,
    midi: Path | None,
    hum: Path | None,
    hum_bar: int,
    seconds: float | None,
    first_pad: bool,
) -> Performance:
    """Thread: main. Read and check everything; warnings go to standard error.

    first_pad: press pad 0 at the start where neither a prompt nor a MIDI file says what to play. seconds:
    None takes the song's length, or 10 s. Raises HostError for whatever cannot be used.
    """
    if prompt is not None:
        check_prompt(prompt)
    song = read_midi_file(midi) if midi is not None else None
    clip = _read_hum(hum, hum_bar, song) if hum is not None else None
    if song is None and seconds is None:
        seconds = DEFAULT_SECONDS
    performance = Performance(
        song, clip, (prompt or "").strip(), first_pad and song is None and prompt is None, seconds
    )
    check_hum_bar(performance)
    return performance


def unbound(performance: Performance, preset: Preset) -> str | None:
    """A warning for a performance whose MIDI file starts nothing under the preset; None where it does, or
    where there is no such file.

    It names what the preset binds, and says what becomes of the music.
    """
    song = performance.song
    if song is None:
        return None
    end = performance.length
    for event in song.events:
        if event.seconds < end and event.kind in ("note_on", "program"):
            note = event.kind == "note_on"
            slot = preset.slot_of_key(event.number) if note else preset.slot_of_program(event.number)
            if slot is not None and not preset.prompts[slot].stop:
                return None
    keys = _spans(row.key for row in preset.prompts if not row.stop)
    programs = _spans(row.program for row in preset.prompts if not row.stop)
    bound = [f"keys {keys}" if keys else "", f"programs {programs}" if programs else ""]
    cut = f" of its first {float(end):g} s" if end < song.end else ""
    sounds = performance.prompt or performance.hum is not None
    return (
        f"The MIDI file starts no music: none of its notes{cut} is bound in preset {preset.name}; it binds "
        f"{' and '.join(filter(None, bound)) or 'none'}. "
        + ("Only what else was given is played." if sounds else "There will be silence.")
    )


def _spans(numbers: Iterable[int | None]) -> str:
    """Numbers in few words: "36–43, 48"."""
    found = sorted({number for number in numbers if number is not None})
    spans: list[list[int]] = []
    for number in found:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{low}" if low == high else f"{low}–{high}" for low, high in spans)


def check_melody(performance: Performance, path: Path | None, model: str = EMBEDDED) -> None:
    """Raise HostError for a hum in which the host would find no melody, before anything is played.

    The host's own ear, so torch is imported: say first how many threads it may have. Whether there is a pitch
    is for the model that ships to say; MusicGen follows the loudest pitch class of any music.
    """
    hum = performance.hum
    if hum is None:
        return
    from descant.host.hum import ClipReader, Listener

    def listener(rate: int) -> Listener[Wave]:
        if model != EMBEDDED:
            return _AnyPitch()
        from descant.host.ear import MelodyEar
        from descant.model.conditions.chroma import LineListener

        return MelodyEar(LineListener(rate, _FRAME_RATE))

    try:
        ClipReader(listener).add(Capture(0, 1, hum.sample_rate, hum.wave, 0, True, "melody"))
    except HostError as error:
        do = f"{error.do[:1].upper()}{error.do[1:]}."
        raise HostError(f"{path}: {error.what}.", _NOTHING, do) from error


class _AnyPitch:
    """Stands for an ear to which every sound has a pitch."""

    def push(self, piece: Wave) -> None:
        """Not listened to."""

    def finish(self) -> Wave:
        """One frame with some pitch."""
        return np.ones((1, 12), np.float32)


def check_hum_bar(performance: Performance) -> None:
    """Raise HostError for a hum that would be handed in when the performance is over."""
    song, hum = performance.song, performance.hum
    if song is None or hum is None:
        return
    at, end = song.seconds_at(song.beat_of_bar(hum.at_bar)), performance.length
    if at >= end:
        raise HostError(
            f"The hum would be handed in at bar {hum.at_bar}, {float(at):.1f} s from the start; the "
            f"performance lasts {float(end):.1f} s.",
            _NOTHING,
            "Name an earlier bar; bar 0 is the first.",
        )


def check_settings(settings: Sequence[tuple[str, float]]) -> None:
    """Raise HostError for a parameter that no session has, or a value that it may not have."""
    for name, value in settings:
        if name not in PARAMETERS:
            raise HostError(
                f"There is no parameter {name!r}.", _NOTHING, f"Use one of: {', '.join(PARAMETERS)}."
            )
        low, high, does = PARAMETERS[name]
        if not low <= value <= high:
            raise HostError(f"{name} is {value:g}; allowed: {low:g}..{high:g}.", _NOTHING, f"It is {does}.")


def check_guidance(performance: Performance, preset: SamplingRow, two_step: bool) -> None:
    """Raise HostError for a guidance by which nothing would be other than without it.

    preset: the sampling before the performance's own settings. two_step: rows of guidance one after another.
    """
    settings = dict(performance.settings)
    guidance, beta = settings.get("guidance", preset.guidance), settings.get("beta", preset.beta)
    if "beta" in settings and beta != 1.0 and performance.hum is None:
        raise HostError(
            f"beta {beta:g} weighs the prompt against a melody, and there is none.",
            _NOTHING,
            "Give one with --melody FILE, or leave out --set beta.",
        )
    if two_step and guidance == 1.0 and beta == 1.0:
        raise HostError(
            "--two-step runs the rows of guidance one after another; guidance 1 is off: there is one row.",
            _NOTHING,
            "Leave out --two-step, or ask for more with --set guidance=3.",
        )


def check_prompt(prompt: str) -> None:
    """Raise HostError for words no slot can hold."""
    if any("\ud800" <= letter <= "\udfff" for letter in prompt):
        raise HostError(
            f"The prompt {prompt[:40]!r} is no text: it holds bytes that are not UTF-8.",
            _NOTHING,
            "Type it again, or set the terminal to UTF-8.",
        )
    if not 1 <= len(prompt.strip()) <= MAX_PROMPT_CHARS or "\0" in prompt:
        raise HostError(
            f"The prompt has {len(prompt.strip())} characters; 1..{MAX_PROMPT_CHARS} are read.",
            _NOTHING,
            'Describe the music in a sentence, as in "slow piano with strings in D minor".',
        )


def _read_hum(path: Path, bar: int, song: Song | None) -> Hum:
    clip = read_wav(path, MAX_HUM_SECONDS)
    for warning in clip.warnings:
        print(warning, file=sys.stderr)
    return Hum(clip.wave, clip.sample_rate, bar if song is not None else 0)
