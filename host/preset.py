"""Presets: named sets of prompts, keys, controllers and timing, read from TOML text and checked to the last
field.

Knows nothing about where the text comes from: the edge reads files, `parse_preset` reads text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from descant.host.errors import PresetError
from descant.host.progression import (
    CHORDS_ALLOWED,
    MAX_BARS_PER_CHORD,
    MAX_CHORDS,
    Progression,
    pitch_classes,
)

MAX_PROMPT_CHARS = 2000
MAX_PRESET_CHARS = 1_000_000

# name -> (lowest, highest, what it does): the numbers a controller or a parameter event may move.
PARAMETERS: dict[str, tuple[float, float, str]] = {
    "temperature": (0.0, 2.0, "sharpness of sampling; 0 always takes the likeliest"),
    "guidance": (1.0, 8.0, "how hard the prompt and the melody pull; 1 is off"),
    "guidance_every": (1.0, 16.0, "at every how many-th step guidance runs; what it adds holds between them"),
    "guidance_fall": (0.0, 60.0, "seconds in which guidance falls to 1 after a trigger; 0 lets it stay"),
    "top_k": (1.0, 4096.0, "how many tokens may be chosen"),
    "top_p": (0.0, 1.0, "how much probability may be chosen; 0 is off"),
    "melody": (0.0, 1.0, "strength of the hummed melody; 0 lets it go"),
    "chords": (0.0, 1.0, "strength of the held chord or the progression; 0 lets it go"),
    "beat": (0.0, 1.0, "strength of the beat grid; 0 lets it go"),
    "quantise": (
        0.0,
        6.0,
        "where pads start: 0 as the preset says, 1 off, 2 beat, 3 bar, 4 2, 5 4, 6 8 bars",
    ),
    "transition": (0.0, 3.0, "how pads start: 0 as the preset says, 1 morph, 2 cut, 3 fade"),
    "xy": (0.0, 1.0, "how much of the pads 0..3 is in the words, mixed by x and y; 0 leaves the last pad's"),
    "x": (0.0, 1.0, "from the pads 0 and 2 to the pads 1 and 3"),
    "y": (0.0, 1.0, "from the pads 0 and 1 to the pads 2 and 3"),
}

QUANTISES = ("", "off", "beat", "bar", "2 bars", "4 bars", "8 bars")
"""What the parameter `quantise` means; empty: what the preset says."""

# A key of very many levels, in a line, a table's name or an inline table: the parser's memory for one grows
# with the square of its levels.
_DEEP_KEY = re.compile(
    r"""(?:^|[\[{,])[ \t]*(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){64}""", re.MULTILINE
)

Midi7 = Annotated[int, Meta(ge=0, le=127)]
Text = Annotated[str, Meta(max_length=MAX_PROMPT_CHARS)]
Quantise = Annotated[str, Meta(pattern=r"^(off|beat|bar|[1-9][0-9]? bars)$")]
Transition = Literal["morph", "cut", "fade"]
TRANSITIONS: tuple[Transition | None, ...] = (None, "morph", "cut", "fade")
"""What the parameter `transition` means; None: what the preset says."""

ChordNames = Annotated[tuple[str, ...], Meta(max_length=MAX_CHORDS)]
BarsPerChord = Annotated[int, Meta(ge=1, le=MAX_BARS_PER_CHORD)]


class SamplingRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a session's sampling parameters start. Units and ranges: PARAMETERS."""

    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] = 1.0
    top_k: Annotated[int, Meta(ge=1, le=4096)] = 250
    top_p: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    guidance: Annotated[float, Meta(ge=1.0, le=8.0)] = 3.0
    guidance_every: Annotated[int, Meta(ge=1, le=16)] = 1
    guidance_fall: Annotated[float, Meta(ge=0.0, le=60.0)] = 0.0


class PromptSlot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing a pad can start. Its slot number is its place in the list, from 0.

    text: the prompt; empty only with stop. key, program: the MIDI note or program that also triggers it.
    stop: fade to silence instead of starting music. transition, quantise, chords, bars_per_chord: override
    the preset's; chords = [] is no progression.
    """

    text: Text = ""
    key: Midi7 | None = None
    program: Midi7 | None = None
    stop: bool = False
    transition: Transition | None = None
    quantise: Quantise | None = None
    chords: ChordNames | None = None
    bars_per_chord: BarsPerChord | None = None


class ControllerRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one MIDI controller moves. range: parameter at value 0 and at value 127 (may fall)."""

    parameter: str
    range: tuple[float, float]

    def value(self, midi_value: int) -> float:
        """The parameter for a controller value 0..127, on a straight line."""
        return self.part(midi_value / 127)

    def part(self, part: float) -> float:
        """The parameter at 0..1 of the way."""
        low, high = self.range
        return low + (high - low) * part


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One preset. Times in ms, tempo in quarter notes a minute.

    lead_ms: audio made ahead of the playhead. commit_ms: the part of it that can no longer change.
    fade_ms: length of a "fade". keys: "triggers" (notes only trigger) or "chords" (notes not bound to a
    prompt are a held chord). hum: a captured melody starts at the next "bar" or "now". hum_align: "start"
    puts its first sample there, "grid" keeps its place within the bar it was recorded in. chords: the
    progression the music moves through, chord names such as "C", "F#m7", "Bb" (see CHORDS_ALLOWED), counted
    from bar 0 of the song and round again; held keys of keys = "chords" replace it while they are held.
    bars_per_chord: how long each holds, 1..8. gone: what a bridge plays when its host is gone, a "fade" to
    silence or its last bar again ("hold"). bend: what the pitch bend wheel moves.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    description: Annotated[str, Meta(max_length=500)] = ""
    tempo: Annotated[float, Meta(ge=20.0, le=400.0)] = 120.0
    numerator: Annotated[int, Meta(ge=1, le=32)] = 4
    denominator: Literal[1, 2, 4, 8, 16, 32] = 4
    quantise: Quantise = "bar"
    transition: Transition = "morph"
    lead_ms: Annotated[float, Meta(ge=60.0, le=2000.0)] = 400.0
    commit_ms: Annotated[float, Meta(ge=20.0, le=1000.0)] = 120.0
    fade_ms: Annotated[float, Meta(ge=5.0, le=4000.0)] = 500.0
    keys: Literal["triggers", "chords"] = "triggers"
    hum: Literal["bar", "now"] = "bar"
    hum_align: Literal["start", "grid"] = "start"
    chords: ChordNames = ()
    bars_per_chord: BarsPerChord = 1
    gone: Literal["fade", "hold"] = "fade"
    sampling: SamplingRow = SamplingRow()
    prompts: Annotated[tuple[PromptSlot, ...], Meta(min_length=1, max_length=128)] = (
        PromptSlot(text="music"),
    )
    cc: dict[Annotated[str, Meta(pattern=r"^[0-9]{1,3}$")], ControllerRow] = {}
    bend: ControllerRow | None = None

    def slot_of_key(self, key: int) -> int | None:
        """The slot bound to a MIDI note, or None."""
        return next((index for index, row in enumerate(self.prompts) if row.key == key), None)

    def slot_of_program(self, program: int) -> int | None:
        """The slot bound to a program change, or None."""
        return next((index for index, row in enumerate(self.prompts) if row.program == program), None)

    def progression_of(self, slot: int) -> Progression | None:
        """What a slot's music moves through, None for nothing. Errors: PresetError for a name that is no
        chord.
        """
        row = self.prompts[slot]
        names = self.chords if row.chords is None else row.chords
        return Progression.named(names, row.bars_per_chord or self.bars_per_chord)


def parse_preset(text: str, file: str = "preset") -> Preset:
    """Read one preset from TOML text; `file` is only named in errors, its stem is the default name.

    Errors: PresetError with file, line or field, and what is allowed there.
    """
    if len(text) > MAX_PRESET_CHARS:
        raise _refused(file, f"{len(text)} characters", f"at most {MAX_PRESET_CHARS} are read")
    if _DEEP_KEY.search(text):
        raise _refused(file, "a key has more than 64 levels", "a preset needs three at most")
    try:
        raw = tomllib.loads(text)
    except RecursionError:
        raise _refused(file, "it is nested too deeply", "a preset needs three levels at most") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is a number of thousands of digits
        raise _refused(file, f"not TOML: {error}", "correct that line") from None
    raw.setdefault("name", re.split(r"[/\\]", file)[-1].removesuffix(".toml"))
    try:
        preset = msgspec.convert(raw, Preset, strict=True)
    except msgspec.ValidationError as error:
        raise _explained(file, text, str(error)) from None
    _check_bindings(preset, file, text)
    return preset


def find_preset(presets: Mapping[str, Preset], name: str) -> Preset:
    """The preset of that name ("" is the first one). Errors: PresetError listing the names."""
    if not presets:
        raise PresetError("no preset is loaded", "nothing plays", "give the engine at least one preset")
    if name == "":
        return next(iter(presets.values()))
    if name not in presets:
        names = ", ".join(presets)
        raise PresetError(
            f"no preset is named {name[:80]!r}", "the current preset stays", f"use one of: {names}"
        )
    return presets[name]


def _check_bindings(preset: Preset, file: str, text: str) -> None:
    for kind in ("key", "program"):
        bound = [getattr(row, kind) for row in preset.prompts if getattr(row, kind) is not None]
        twice = next((number for number in bound if bound.count(number) > 1), None)
        if twice is not None:
            raise _refused(
                file, f"{kind} {twice} is bound to two prompts", "give each prompt its own", kind, text
            )
    for index, row in enumerate(preset.prompts):
        if row.stop == bool(row.text.strip()):
            problem = f"prompts[{index}] has {'both text and stop' if row.stop else 'no text'}"
            raise _refused(file, problem, 'write text = "..." or stop = true', "text", text, index)
    _check_chords(preset, file, text)
    if preset.commit_ms >= preset.lead_ms:
        problem = f"commit_ms {preset.commit_ms:g} is not below lead_ms {preset.lead_ms:g}"
        raise _refused(file, problem, "commit_ms must be smaller than lead_ms", "commit_ms", text)
    rows = [(f"cc.{number}", number, row) for number, row in preset.cc.items()]
    if preset.bend is not None:
        rows.append(("bend", "0", preset.bend))
    for field, number, controller in rows:
        if int(number) > 127:
            raise _refused(file, f"{field}: no such controller", "controllers are 0..127", field, text)
        if controller.parameter not in PARAMETERS:
            allowed = ", ".join(PARAMETERS)
            raise _refused(
                file, f"{field}: no parameter {controller.parameter!r}", f"use one of: {allowed}", field, text
            )
        low, high, _ = PARAMETERS[controller.parameter]
        if not all(low <= end <= high for end in controller.range):
            problem = f"{field}: range {list(controller.range)} leaves {controller.parameter}"
            raise _refused(file, problem, f"both ends must lie in {low:g}..{high:g}", field, text)


def _check_chords(preset: Preset, file: str, text: str) -> None:
    rows: list[tuple[str, int | None, tuple[str, ...]]] = [("chords", None, preset.chords)]
    rows += [(f"prompts[{i}].chords", i, row.chords or ()) for i, row in enumerate(preset.prompts)]
    for field, index, names in rows:
        if index is not None and names and preset.prompts[index].stop:
            raise _refused(file, f"{field}: a stop has no chords", "leave them out", "chords", text, index)
        for name in names:
            try:
                pitch_classes(name)
            except PresetError as error:
                raise _refused(file, f"{field}: {error.what}", error.do, "chords", text, index) from None


def _explained(file: str, text: str, message: str) -> PresetError:
    """msgspec's message, with the place as a line and the allowed values spelled out."""
    problem, _, path = message.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    row = re.match(r"prompts\[(\d+|\.\.\.)\]", path)
    index = int(row.group(1)) if row and row.group(1).isdigit() else None
    owner: type[msgspec.Struct] = Preset
    if path.startswith("prompts"):
        owner = PromptSlot
    elif path.startswith("sampling"):
        owner = SamplingRow
    elif path.startswith(("cc", "bend")):
        owner = ControllerRow
    unknown = re.search(r"unknown field `([^`]*)`", problem)
    field = unknown.group(1) if unknown else re.sub(r"\[.*", "", path.split(".")[-1])
    if unknown:
        return _refused(
            file,
            f"unknown field {field!r}",
            f"fields here: {', '.join(owner.__struct_fields__)}",
            field,
            text,
            index,
        )
    return _refused(file, f"{path or 'preset'}: {problem}", _allowed(field), field, text, index)


def _allowed(field: str) -> str:
    hints = {
        "quantise": 'allowed: "off", "beat", "bar", "2 bars" .. "99 bars"',
        "transition": 'allowed: "morph", "cut", "fade"',
        "keys": 'allowed: "triggers", "chords"',
        "hum": 'allowed: "bar", "now"',
        "hum_align": 'allowed: "start", "grid"',
        "chords": f"{CHORDS_ALLOWED}; at most {MAX_CHORDS}",
        "bars_per_chord": f"allowed: 1..{MAX_BARS_PER_CHORD}",
        "gone": 'allowed: "fade", "hold"',
        "denominator": "allowed: 1, 2, 4, 8, 16, 32",
        "name": "allowed: lower-case letters, digits and hyphens, at most 64",
        "parameter": f"allowed: {', '.join(PARAMETERS)}",
    }
    return hints.get(field, "correct the value as the message says")


def _refused(
    file: str, problem: str, do: str, field: str = "", text: str = "", index: int | None = None
) -> PresetError:
    line = _line_of(text, field, index) if field else None
    place = f"{file}, line {line}" if line else file
    return PresetError(f"{place}: {problem}", "the other presets are loaded as usual", do)


def _line_of(text: str, field: str, index: int | None) -> int | None:
    """The line that sets `field`, within the index-th [[prompts]] table if given; None if it cannot be
    told.
    """
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r"\s*\[\[\s*prompts\s*\]\]", line)]
    first, last = 0, len(lines)
    if index is not None and index < len(starts):
        first = starts[index]
        last = starts[index + 1] if index + 1 < len(starts) else len(lines)
    name = re.escape(field.split(".")[-1])
    patterns: Iterable[str] = (rf"^\s*(?:[\w.]*\.)?\"?{name}\"?\s*=", rf"^\s*\[\s*{re.escape(field)}\s*\]")
    for number in range(first, last):
        if any(re.match(pattern, lines[number]) for pattern in patterns):
            return number + 1
    return first + 1 if index is not None and index < len(starts) else None
