"""Controller profiles on disk: plain TOML files in the user's folder or one that is named, chosen by port
name.

Thread: any but audio.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from contextlib import suppress
from pathlib import Path

import msgspec
import platformdirs

from descant.host.controller import Binding, Profile, checked_profile
from descant.host.errors import DeviceError

MAX_BYTES = 1 << 20
LEARNT = "learnt-"
"""How the names of files begin that were learnt; they come before the others of their folder."""


def user_folder() -> Path:
    """Where profiles of one's own are: `controllers` beside the presets."""
    return Path(platformdirs.user_config_dir("descant")) / "controllers"


def load_profiles(folders: tuple[str, ...], learnt: bool = True) -> tuple[list[Profile], list[DeviceError]]:
    """All profiles, those of named folders first, and what is wrong with the files that are left out.

    learnt: with those that were learnt.
    """
    profiles: list[Profile] = []
    broken: list[DeviceError] = []
    for folder in (*map(Path, folders), user_folder()):
        for path in sorted(folder.glob("*.toml"), key=lambda path: (not path.name.startswith(LEARNT), path)):
            if path.name.startswith(LEARNT) and not learnt:
                continue
            try:
                profiles.append(read_profile(path))
            except DeviceError as error:
                broken.append(error)
    return profiles, broken


def read_profile(path: Path) -> Profile:
    """One file. Raises DeviceError naming the file and what is wrong."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8-sig")
        return checked_profile(tomllib.loads(text), str(path))
    except (OSError, ValueError, RecursionError) as error:
        raise DeviceError(
            f"{path} cannot be read as a controller profile: {error}.",
            "The controller plays what the preset says.",
            "Correct the file (it is TOML), or remove it.",
        ) from error


def profile_for(port: str, profiles: list[Profile]) -> Profile:
    """The first one whose `port` is part of the port's name; one without bindings where there is none."""
    for profile in profiles:
        if profile.port and profile.port.lower() in port.lower():
            return profile
    return Profile(port)


def save_learnt(port: str, profile: Profile, folder: Path | None = None) -> Path:
    """Keep what a controller has learnt for the next time, beside the files that were written by hand.

    folder: the user's by default. Raises DeviceError.
    """
    client = re.sub(r"-\d\d$", "", port.split(":")[0])  # JACK numbers clients of the same name
    name = LEARNT + (re.sub(r"[^a-z0-9]+", "-", client.lower()).strip("-") or "controller")
    path = (folder or user_folder()) / f"{name}.toml"
    text = profile_text(msgspec.structs.replace(profile, port=client, name=profile.name or client))
    draft = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise DeviceError(
            f"{path} could not be written: {(error.strerror or str(error)).lower()}",
            "What was learnt holds until this performance ends",
            "Make room or choose a folder that can be written to, then learn it again",
        ) from error
    return path


def profile_text(profile: Profile) -> str:
    """A profile as the TOML that reads back the same."""
    lines = [f"name = {_toml(profile.name)}", f"port = {_toml(profile.port)}"]
    if profile.lights:
        lines.append(
            f"lights = {{ {', '.join(f'{name} = {value}' for name, value in profile.lights.items())} }}"
        )
    for binding in profile.bindings:
        lines.append("[[bindings]]")
        for field in msgspec.structs.fields(Binding):
            value = getattr(binding, field.name)
            if field.required or value != field.default:
                lines.append(f"{field.name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """A string, a number, a truth or a list of numbers; TOML writes them as JSON does."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
