"""What a preset's own types cannot say: keys bound twice, chords that are none, ranges of controllers.

Knows the preset's text, so that each error has its place in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from descant.host.errors import PresetError
from descant.host.misread import did_you_mean
from descant.host.parameters import PARAMETERS
from descant.host.progression import pitch_classes
from descant.host.toml_places import Path, place_at, place_of

if TYPE_CHECKING:
    from descant.host.preset import ControllerRow, Preset


class Source(NamedTuple):
    """A preset's text and the name of its file, for errors."""

    file: str
    text: str

    def refused(self, problem: str, do: str, path: Path = (), key: bool = False) -> PresetError:
        """What is wrong at a path: at its value, or at its key."""
        place = place_of(self.text, path, key) if path else None
        where = f"{self.file}, line {place.line}, column {place.column}" if place else self.file
        return PresetError(f"{where}: {problem}", "the other presets are loaded as usual", do)

    def not_toml(self, message: str) -> PresetError:
        """What the parser says, its place put where all errors have theirs."""
        said = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
        line, column = place_at(self.text, len(self.text.rstrip()))
        problem = message
        if said is not None:
            problem = said.group(1)
            line, column = (int(said.group(2)), int(said.group(3))) if said.group(2) else (line, column)
        where = f"{self.file}, line {line}, column {column}" if said is not None else self.file
        return PresetError(
            f"{where}: not TOML: {problem}",
            "the other presets are loaded as usual",
            'correct it there; a line is name = value, words stand in "quotes", # begins a comment',
        )


def check_bindings(preset: Preset, source: Source) -> None:
    """Whether all of it fits together. Errors: PresetError for the first thing that does not."""
    for kind in ("key", "program"):
        seen: set[int] = set()
        for index, row in enumerate(preset.prompts):
            number = getattr(row, kind)
            if number in seen:
                raise source.refused(
                    f"{kind} {number} is bound to two prompts",
                    "give each prompt its own",
                    ("prompts", index, kind),
                )
            seen |= set() if number is None else {number}
    for index, row in enumerate(preset.prompts):
        if row.stop == bool(row.text.strip()):
            problem = f"prompts[{index}] has {'both text and stop' if row.stop else 'no text'}"
            raise source.refused(problem, 'write text = "..." or stop = true', ("prompts", index, "text"))
    _check_chords(preset, source)
    if preset.commit_ms >= preset.lead_ms:
        problem = f"commit_ms {preset.commit_ms:g} is not below lead_ms {preset.lead_ms:g}"
        field = "commit_ms" if place_of(source.text, ("commit_ms",)) else "lead_ms"
        raise source.refused(problem, "commit_ms must be smaller than lead_ms", (field,))
    rows: list[tuple[Path, ControllerRow]] = [(("cc", number), row) for number, row in preset.cc.items()]
    if preset.bend is not None:
        rows.append((("bend",), preset.bend))
    for path, controller in rows:
        _check_controller(path, controller, source)


def _check_controller(path: Path, controller: ControllerRow, source: Source) -> None:
    field, name = ".".join(map(str, path)), controller.parameter
    if path[0] == "cc" and int(path[-1]) > 127:
        raise source.refused(f"{field}: no such controller", "controllers are 0..127", path, key=True)
    if name not in PARAMETERS:
        hint = f"{did_you_mean(name, PARAMETERS)}use one of: {', '.join(PARAMETERS)}"
        raise source.refused(f"{field}: no parameter {name[:40]!r}", hint, (*path, "parameter"))
    low, high, _ = PARAMETERS[name]
    for index, end in enumerate(controller.range):
        if not low <= end <= high:
            problem = f"{field}: range {list(controller.range)} leaves {name}"
            hint = f"both ends must lie in {low:g}..{high:g}"
            raise source.refused(problem, hint, (*path, "range", index))


def _check_chords(preset: Preset, source: Source) -> None:
    rows: list[tuple[str, Path, tuple[str, ...]]] = [("chords", ("chords",), preset.chords)]
    rows += [
        (f"prompts[{i}].chords", ("prompts", i, "chords"), row.chords or ())
        for i, row in enumerate(preset.prompts)
    ]
    for field, path, names in rows:
        if len(path) == 3 and names and preset.prompts[int(path[1])].stop:
            raise source.refused(f"{field}: a stop has no chords", "leave them out", path, key=True)
        for index, name in enumerate(names):
            try:
                pitch_classes(name)
            except PresetError as error:
                raise source.refused(f"{field}: {error.what}", error.do, (*path, index)) from None
