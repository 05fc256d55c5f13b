"""The models on this machine: fetched from the Hugging Face hub, checked, kept, removed.

The only part of Descant that uses the internet, and only when asked to. A model appears in the store whole or
not at all: its files are gathered in a folder of their own, go on from where they stopped, and move into
place when each is what the hub promised. Where models lie is known to model.checkpoints.pulled.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from descant.host.edge.known_models import known_model
from descant.host.errors import HostError
from descant.model.checkpoints.pulled import (
    MANIFEST,
    Manifest,
    StoredFile,
    folder_of,
    models_folder,
    read_manifest,
)

SPARE = 64 * 2**20  # bytes that stay free on the disk
_GATHERING = ".pulling"
_CHUNK = 2**20
_SMALL_FILES = {
    *("config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json"),
    *("tokenizer_config.json", "special_tokens_map.json", "spiece.model", "vocab.json", "merges.txt"),
}
Progress = Callable[[str, int, int], None]  # file, bytes of it that are here, bytes of it in all


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub promises it. sha256 (hex) of large ones, blob (hex, git's sha1) of all others."""

    name: str
    size: int
    sha256: str | None
    blob: str | None


@dataclass(frozen=True)
class Offer:
    """What a pull would fetch. revision: the commit. licence: as the model's makers or the hub state it."""

    id: str
    revision: str
    licence: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Hub:
    """The Hugging Face hub, or another one at HF_ENDPOINT. Thread: main."""

    def __init__(self, retries: int = 5, wait: float = 1.0) -> None:
        """retries: how often a file is asked for again after nothing came. wait: seconds before that."""
        self._retries, self._wait = retries, wait
        self._endpoint = os.environ.get("HF_ENDPOINT") or None

    def offer(self, name: str, revision: str | None = None, pickles: bool = False) -> Offer:
        """What the hub has under an id. Raises HostError; ModelError if it is no id.

        revision: branch, tag or commit; None: what the table of known models says. pickles: whether weights
        may come as pickles where there are none as safetensors.
        """
        folder_of(name)
        from huggingface_hub import HfApi

        known = known_model(name)
        with _told(name):
            info = HfApi(endpoint=self._endpoint).model_info(
                name, revision=revision or known.revision, files_metadata=True, timeout=30
            )
        card: Any = info.card_data
        licence = known.licence or str((card.get("license") if card is not None else None) or "not stated")
        files = [_remote(row) for row in info.siblings or []]
        chosen = wanted_files([file.name for file in files], pickles, name)
        promised = tuple(sorted((f for f in files if f.name in chosen), key=lambda f: (f.size, f.name)))
        if not info.sha or any(file.size < 0 or not (file.sha256 or file.blob) for file in promised):
            raise HostError(
                f"The hub does not say the commit, sizes and digests of {name}.",
                "Nothing was pulled.",
                "Check HF_ENDPOINT: it must be a hub that gives files' metadata.",
            )
        return Offer(name, info.sha, licence, promised)

    def fetch(self, offer: Offer, file: RemoteFile, to: Path, progress: Progress) -> None:
        """Fetch what is missing of a file: `to` is appended to. Raises HostError; what came is kept."""
        from huggingface_hub import get_session, hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

        url = hf_hub_url(offer.id, file.name, revision=offer.revision, endpoint=self._endpoint)
        failures = 0
        while True:
            here = to.stat().st_size if to.exists() else 0
            progress(file.name, here, file.size)
            if here >= file.size and to.exists():
                return
            headers = build_hf_headers() | {"Accept-Encoding": "identity"}
            if here:
                headers["Range"] = f"bytes={here}-"
            try:
                with (
                    _told(offer.id),
                    get_session().stream("GET", url, headers=headers, timeout=30) as response,
                ):
                    hf_raise_for_status(response)
                    with to.open("ab" if here and response.status_code == 206 else "wb") as out:
                        for chunk in response.iter_bytes():
                            out.write(chunk)
                            progress(file.name, out.tell(), file.size)
                if to.stat().st_size <= here:
                    return  # nothing more comes: the digest will tell
            except Unreachable:
                came = to.stat().st_size if to.exists() else 0
                failures = 0 if came > here else failures + 1
                if failures > self._retries:
                    raise
                time.sleep(self._wait)


class Unreachable(HostError):
    """The hub did not answer, or stopped in the middle."""

    code = "offline"


def pull(offer: Offer, hub: Hub, progress: Progress = lambda *_: None) -> Manifest:
    """Thread: main. Fetch an offer and put it into the store.

    Raises HostError; then the store is as it was, and what came of the files is kept for the next try.
    """
    place = folder_of(offer.id)
    gathering = place.parent / _GATHERING / f"{place.name}@{offer.revision[:12]}"
    with _writing(gathering), _locked(gathering.parent, place.name):
        gathering.mkdir(parents=True, exist_ok=True)
        _check_space(offer, gathering)
        stored = [_fetched(offer, file, hub, gathering, progress) for file in offer.files]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(offer.id, offer.revision, offer.licence, now, tuple(stored))
        (gathering / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        _discard(place)
        os.replace(gathering, place)
        _forget_partial(place)
    return manifest


def pulled() -> list[Manifest]:
    """Thread: main. All models in the store, by their ids."""
    folder = models_folder()
    found = [read_manifest(path) for path in sorted(folder.iterdir())] if folder.is_dir() else []
    return sorted((manifest for manifest in found if manifest is not None), key=lambda manifest: manifest.id)


def partial(name: str) -> int:
    """Bytes of a model that an unfinished pull has brought."""
    return sum(file.stat().st_size for folder in _partial(folder_of(name)) for file in folder.iterdir())


def remove(name: str) -> int:
    """Thread: main. Remove a model and what unfinished pulls left of it; bytes freed. Raises HostError."""
    place = folder_of(name)
    size = partial(name)
    if place.is_dir():
        size += sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    elif not _partial(place):
        raise not_here(name)
    with _writing(place):
        _discard(place)
        _forget_partial(place)
    return size


def not_here(name: str) -> HostError:
    """The three lines for a model that is not in the store."""
    return HostError(
        f"The model {name} is not on this machine ({models_folder()}).",
        "Nothing was changed.",
        "See `descant models list` for those that are; get it with `descant models pull`.",
    )


def wanted_files(names: list[str], pickles: bool, model: str) -> set[str]:
    """Of a repository's files those that a model needs: safetensors if there are any. Raises HostError."""
    small = {name for name in names if name in _SMALL_FILES}
    if {"lm.safetensors", "codec.safetensors"} <= set(names):
        return small | {"lm.safetensors", "codec.safetensors"}
    for stem, ending in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        shards = {name for name in names if name.startswith(f"{stem}-") and name.endswith(ending)}
        weights = (
            {f"{stem}{ending}"}
            if f"{stem}{ending}" in names
            else shards | {f"{stem}{ending}.index.json"}
            if shards
            else set()
        )
        if weights and ending == ".safetensors":
            return small | weights
        if pickles:
            theirs = {"state_dict.bin", "compression_state_dict.bin"} & set(names)
            weights = theirs or weights
            if weights:
                return small | weights
    raise HostError(
        f"{model} has no weights as safetensors.",
        "Nothing was pulled.",
        "Choose another model, or take its pickles with --pickles and convert them: descant models convert.",
    )


def _fetched(offer: Offer, file: RemoteFile, hub: Hub, folder: Path, progress: Progress) -> StoredFile:
    """One file of an offer, in the folder under its name, as promised. Raises HostError."""
    whole, part = folder / file.name, folder / f"{file.name}.part"
    if not whole.is_file():
        hub.fetch(offer, file, part, progress)
        found, size = _digests(part), part.stat().st_size
        promised = {"sha256": file.sha256} if file.sha256 else {"blob": file.blob}
        if size != file.size or not promised.items() <= found.items():
            part.unlink()
            raise HostError(
                f"{file.name} of {offer.id} is not what the hub promised ({size} bytes, sha256 "
                f"{found['sha256'][:12]}…); it was thrown away.",
                "The other files are kept; models on this machine are unchanged.",
                "Pull again; if it happens again, look for a proxy that changes what you download.",
            )
        os.replace(part, whole)
    progress(file.name, file.size, file.size)
    return StoredFile(file.name, file.size, file.sha256 or _digests(whole)["sha256"])


def _digests(path: Path) -> dict[str, str]:
    """sha256 of a file, and git's name of it."""
    sha256 = hashlib.sha256()
    blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            blob.update(chunk)
    return {"sha256": sha256.hexdigest(), "blob": blob.hexdigest()}


def _check_space(offer: Offer, folder: Path) -> None:
    here = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    needed, free = offer.size - here, shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise HostError(
            f"{offer.id} needs {needed / 1e9:.2f} GB; {folder.parent.parent} has {free / 1e9:.2f} GB left.",
            "Nothing was pulled.",
            "Make room, remove models (descant models rm), or set DESCANT_MODELS to a folder elsewhere.",
        )


def _discard(place: Path) -> None:
    """Remove a folder so that no half of it is ever seen."""
    if place.is_dir():
        away = place.parent / _GATHERING / f"{place.name}.removed"
        away.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(away, ignore_errors=True)
        os.replace(place, away)
        shutil.rmtree(away)


def _partial(place: Path) -> list[Path]:
    """The folders of unfinished pulls of a model."""
    return [path for path in (place.parent / _GATHERING).glob(f"{place.name}@*") if path.is_dir()]


def _forget_partial(place: Path) -> None:
    for folder in _partial(place):
        shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    """One pull of a model at a time, where the system has file locks."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except BlockingIOError as error:
            raise HostError(
                f"{name.replace('--', '/')} is being pulled by another process.",
                "That one goes on.",
                "Wait until it is done.",
            ) from error
        yield
    with suppress(OSError):
        (folder / f"{name}.lock").unlink()


@contextmanager
def _writing(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError(
            f"The models folder {where} cannot be written: {error.strerror or error}.",
            "Models that are there can be used.",
            "Check its rights and room, or set DESCANT_MODELS to a folder you may write to.",
        ) from error


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Whatever goes wrong on the way to the hub, as a HostError."""
    import httpx2
    from huggingface_hub import errors

    still = "Models that were pulled work without the internet."
    try:
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise errors.OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
        yield
    except errors.OfflineModeIsEnabled as error:
        raise HostError(
            f"{name} was not looked for: HF_HUB_OFFLINE is set.",
            still,
            "Unset HF_HUB_OFFLINE to pull models.",
        ) from error
    except errors.GatedRepoError as error:
        what = f"{name} is behind a gate: its makers want your consent."
        raise HostError(what, still, "Agree on its page, then log in: hf auth login") from error
    except errors.RevisionNotFoundError as error:
        raise HostError(
            f"{name} has no such revision.", still, "Give a branch, tag or commit of that repository."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HostError(
            f"The hub has no model {name}, or does not show it to you.", still, "Check the id: owner/name."
        ) from error
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        raise HostError(f"The hub answered {code} for {name}.", still, "Try again in a while.") from error
    except (httpx2.TransportError, ConnectionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Unreachable(
            f"The hub could not be reached for {name}: {reason}.",
            still,
            "Check the connection, then pull again: it goes on from where it stopped.",
        ) from error


def _remote(row: Any) -> RemoteFile:
    lfs = row.lfs
    size = row.size if row.size is not None else lfs.size if lfs is not None else -1
    return RemoteFile(row.rfilename, size, lfs.sha256 if lfs is not None else None, row.blob_id)
