"""Presets from disk: the shipped ones, then the user's own, each file read whole and checked by
host/preset.py.

Knows nothing about what a preset means, and nothing of torch: `descant presets` is quick.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path

from descant.host.edge.settings import user_presets
from descant.host.errors import HostError, PresetError
from descant.host.preset import MAX_PRESET_CHARS, Preset, find_preset, parse_preset

FIRST = "first-light"  # the default preset, where it exists
_OTHERS = "The other presets are loaded as usual."
_MAX_BYTES = 4 * MAX_PRESET_CHARS  # UTF-8 takes no more


def warn(broken: PresetError) -> None:
    """One line on standard error for a file that is left out."""
    print(f"{broken.what.rstrip('.')}; it is left out. {broken.do}", file=sys.stderr, flush=True)


def load_presets(
    folders: Iterable[str] = (),
    wanted: str | None = None,
    on_broken: Callable[[PresetError], None] = warn,
) -> dict[str, Preset]:
    """Thread: any but audio. All presets by name, the default one first; a later folder replaces a name of
    an earlier.

    Order: shipped, the user's folder (if there is one), then `folders`. wanted: the preset that is asked for
    ("" the default one), None for none in particular. A file that cannot be used is told to `on_broken` and
    left out. Raises its PresetError if it is the one that is wanted, and HostError for a folder that does
    not exist.
    """
    presets: dict[str, Preset] = {}
    named = [Path(folder) for folder in folders]
    for folder in (shipped_folder(), user_presets(), *named):
        try:
            paths = sorted(folder / name for name in os.listdir(folder) if name.endswith(".toml"))
        except OSError as error:
            if folder in named:
                raise HostError(
                    f"{folder} is not a folder of presets: {(error.strerror or str(error)).lower()}.",
                    "Nothing was started.",
                    "Name a folder of *.toml files that you may read.",
                ) from error
            continue
        for path in paths:
            try:
                preset = read_preset(path)
            except PresetError as error:
                if wanted is not None and path.stem == (wanted or FIRST):
                    raise
                on_broken(error)
            else:
                presets[preset.name] = preset
    return dict(sorted(presets.items(), key=lambda item: item[0] != FIRST))


def choose_preset(folders: Iterable[str], name: str, nothing: str) -> tuple[dict[str, Preset], Preset]:
    """Thread: any but audio. All presets and the one that is asked for ("": the default one).

    nothing: what stays as it was where there is none of that name, as in "Nothing was played.". Raises
    PresetError then, and what load_presets raises.
    """
    presets = load_presets(folders, wanted=name)
    try:
        return presets, find_preset(presets, name)
    except PresetError as error:
        raise PresetError(f"{error.what[:1].upper()}{error.what[1:]}.", nothing, error.do) from error


def read_preset(path: Path) -> Preset:
    """Thread: any but audio. One preset file. Raises PresetError naming the file, the line and what is
    allowed there."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise PresetError(f"{path} is not a regular file.", _OTHERS, "Name a TOML file on disk.")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)  # whatever it grows to meanwhile
        if len(data) > _MAX_BYTES:
            raise PresetError(
                f"{path} has more than {_MAX_BYTES} bytes.",
                _OTHERS,
                f"A preset is a TOML text of at most {MAX_PRESET_CHARS} characters.",
            )
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise PresetError(
            f"{path} could not be read: {(error.strerror or str(error)).lower()}.",
            _OTHERS,
            "Check the name and that you may read the file.",
        ) from error
    except UnicodeDecodeError as error:
        raise PresetError(
            f"{path} is not UTF-8 text (byte {error.start}).",
            _OTHERS,
            "Save it again as UTF-8.",
        ) from error
    return parse_preset(text, str(path))


def shipped_folder() -> Path:
    """Where the presets that come with Descant are."""
    return Path(str(resources.files("descant.presets")))
