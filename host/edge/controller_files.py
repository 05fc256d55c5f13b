"""Controller profiles on disk: plain TOML files in the user's folder or one that is named, chosen by port
name.

Thread: any but audio.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import platformdirs

from descant.host.controller import Profile, checked_profile
from descant.host.errors import DeviceError

MAX_BYTES = 1 << 20


def user_folder() -> Path:
    """Where profiles of one's own are: `controllers` beside the presets."""
    return Path(platformdirs.user_config_dir("descant")) / "controllers"


def load_profiles(folders: tuple[str, ...]) -> tuple[list[Profile], list[DeviceError]]:
    """All profiles, those of named folders first, and what is wrong with the files that are left out."""
    profiles: list[Profile] = []
    broken: list[DeviceError] = []
    for folder in (*map(Path, folders), user_folder()):
        for path in sorted(folder.glob("*.toml")):
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
