"""Where pulled models lie and what is written down about each; nothing here downloads.

One folder a model, made whole by whoever pulls: the model's files and `manifest.json`. A folder without a
manifest is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import platformdirs

from descant.model.checkpoints.tensors import file_hash
from descant.model.errors import ModelError

MODELS_VARIABLE = "DESCANT_MODELS"
MANIFEST = "manifest.json"
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_ID = re.compile(f"{_PART}(?:/{_PART})?")


@dataclass(frozen=True)
class StoredFile:
    """A file of a model: its name in the folder, size in bytes and sha256 (hex)."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What is written down about a model on this machine.

    id: as on the hub, "owner/name". revision: the hub's commit, or where the model came from if not from
        there. licence: what the hub says of it. pulled: when, ISO 8601, UTC.
    """

    id: str
    revision: str
    licence: str
    pulled: str
    files: tuple[StoredFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def models_folder() -> Path:
    """Where models are kept: the environment variable DESCANT_MODELS, else the user's data folder."""
    told = os.environ.get(MODELS_VARIABLE)
    return Path(told) if told else Path(platformdirs.user_data_dir("descant")) / "models"


def is_id(name: str) -> bool:
    """Whether a name could be a model's on the hub: "owner/name" or "name", letters, digits, - _ and dots."""
    return bool(_ID.fullmatch(name)) and ".." not in name and "--" not in name


def folder_of(name: str) -> Path:
    """The folder of a model by its id, whether it is there or not. Raises ModelError if it is no id."""
    if not is_id(name):
        raise ModelError(
            f"{name!r} is no model id; allowed: owner/name of letters, digits, dots, - and _.",
            "The models on this machine are unchanged.",
            "See `descant models list` for the known ones.",
        )
    return models_folder() / name.replace("/", "--")


def find(name: str) -> Path | None:
    """The folder of a pulled model, or None if that is no id or not (wholly) pulled."""
    if not is_id(name):
        return None
    folder = folder_of(name)
    return folder if (folder / MANIFEST).is_file() else None


def read_manifest(folder: Path) -> Manifest | None:
    """What is written down in a folder; None if it has no manifest. Raises ModelError if that is damaged."""
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    try:
        values = json.loads(text)
        files = tuple(
            StoredFile(str(row["name"]), int(row["size"]), str(row["sha256"])) for row in values["files"]
        )
        known = [field.name for field in fields(Manifest) if field.name != "files"]
        return Manifest(**{name: str(values[name]) for name in known}, files=files)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"{type(error).__name__} {error}") from error


def weights_hash(paths: Sequence[Path], hash_of: Callable[[Path], str] | None = None) -> str:
    """sha256 (hex) over the sha256 of each file that is used, in this order.

    hash_of: checked_hash, or one that remembers what it has hashed. Raises ModelError as it does.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update((hash_of or checked_hash)(path).encode())
    return digest.hexdigest()


def checked_hash(path: Path) -> str:
    """sha256 (hex) of a file. Where its folder has a manifest, it must be as written there, or ModelError."""
    manifest = read_manifest(path.parent)
    known = {file.name: file.sha256 for file in manifest.files} if manifest else {}
    found = file_hash([path])
    wanted = known.get(path.name, found)
    if found != wanted:
        raise ModelError(
            f"{path} is not what was pulled: its sha256 is {found[:12]}…, not {wanted[:12]}….",
            "Nothing was loaded.",
            "Remove it and pull it again: descant models rm ID, descant models pull ID.",
        )
    return found


def _damaged(path: Path, problem: str) -> ModelError:
    return ModelError(
        f"{path} cannot be read: {problem}.",
        "Other models can be used.",
        "Remove that model's folder and pull it again: descant models pull ID.",
    )
