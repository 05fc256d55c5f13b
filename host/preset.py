"""Presets: named sets of prompts, keys, controllers and timing, read from TOML text and checked to the last
field.

Knows nothing about where the text comes from: the edge reads files, `parse_preset` reads text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from descant.host.errors import PresetError
from descant.host.misread import allowed_in, choices_in, did_you_mean, misread
from descant.host.parameters import PARAMETERS as PARAMETERS
from descant.host.preset_checks import Source, check_bindings
from descant.host.progression import CHORDS_ALLOWED, MAX_BARS_PER_CHORD, MAX_CHORDS, Progression
from descant.host.toml_places import Path

MAX_PROMPT_CHARS = 2000
MAX_PRESET_CHARS = 1_000_000

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
    beta: Annotated[float, Meta(ge=0.0, le=20.0)] = 1.0


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

    Errors: PresetError with file, line, column and field, what is allowed there, and what may have been
    meant.
    """
    source = Source(file, text)
    if len(text) > MAX_PRESET_CHARS:
        raise source.refused(f"{len(text)} characters", f"at most {MAX_PRESET_CHARS} are read")
    if _DEEP_KEY.search(text):
        raise source.refused("a key has more than 64 levels", "a preset needs three at most")
    try:
        raw = tomllib.loads(text)
    except RecursionError:
        raise source.refused("it is nested too deeply", "a preset needs three levels at most") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is a number of thousands of digits
        raise source.not_toml(str(error)) from None
    raw.setdefault("name", re.split(r"[/\\]", file)[-1].removesuffix(".toml"))
    try:
        preset = msgspec.convert(raw, Preset, strict=True)
    except msgspec.ValidationError as error:
        raise _explained(source, raw, str(error)) from None
    check_bindings(preset, source)
    return preset


def is_found(search: str, *texts: str) -> bool:
    """Whether all words of a search are somewhere in the texts, in capitals or not."""
    told = " ".join(texts).lower()
    return all(word in told for word in search.lower().split())


def find_preset(presets: Mapping[str, Preset], name: str) -> Preset:
    """The preset of that name ("" is the first one). Errors: PresetError listing the names."""
    if not presets:
        raise PresetError("no preset is loaded", "nothing plays", "give the engine at least one preset")
    if name == "":
        return next(iter(presets.values()))
    if name not in presets:
        names = ", ".join(presets)
        raise PresetError(
            f"no preset is named {name[:80]!r}",
            "the current preset stays",
            f"{did_you_mean(name, presets)}use one of: {names}",
        )
    return presets[name]


def _explained(source: Source, raw: dict[str, Any], message: str) -> PresetError:
    """msgspec's message, with its place, the allowed values spelled out, and what may have been meant."""
    wrong = misread(raw, Preset, message)
    if not wrong.unknown or wrong.owner is None:
        field = wrong.field if wrong.owner is not None else str(wrong.path[0]) if wrong.path else ""
        hint = _allowed(wrong.owner, field, _at(raw, wrong.path))
        return source.refused(f"{wrong.shown or 'preset'}: {wrong.problem}", hint, wrong.path)
    fields = wrong.owner.__struct_fields__
    tables = {
        "[sampling]": SamplingRow,
        "[[prompts]]": PromptSlot,
        "the first lines, above all tables": Preset,
    }
    home = next((name for name, form in tables.items() if wrong.field in form.__struct_fields__), None)
    hint = f"it belongs into {home}; " if home else did_you_mean(wrong.field, fields)
    problem = f"unknown field {wrong.field[:80]!r}"
    return source.refused(problem, f"{hint}fields here: {', '.join(fields)}", wrong.path, key=True)


def _at(raw: Any, path: Path) -> Any:
    """What stands at a path; None for nothing."""
    for step in path:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _allowed(owner: type[msgspec.Struct] | None, field: str, value: Any) -> str:
    """What may stand in a field, and what may have been meant by the value that does."""
    hints = {
        "quantise": 'allowed: "off", "beat", "bar", "2 bars" .. "99 bars"',
        "chords": f"{CHORDS_ALLOWED}; at most {MAX_CHORDS}",
        "name": "allowed: lower-case letters, digits and hyphens, at most 64",
        "parameter": f"allowed: {', '.join(PARAMETERS)}",
        "cc": "a controller is a table of its own, such as [cc.74], with a number 0..127",
    }
    words = QUANTISES[1:] if field == "quantise" else choices_in(owner, field) if owner else ()
    meant = did_you_mean(value, words) if isinstance(value, str) else ""
    rule = allowed_in(owner, field) if owner else ""
    return meant + hints.get(field, f"allowed: {rule}" if rule else "correct the value as the message says")
