"""Keys for a host that other machines reach: whom it trusts, in one file; what a bridge needs, in another.

`keys.toml` is the host's (its secret, and the public keys of bridges by name), readable by its owner alone.
`plugin.toml` is a bridge's: the host's address and public key, and a pair of the bridge's own.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from descant.host.edge.settings import APP
from descant.host.edge.whole import unwritable, whole_file
from descant.host.errors import HostError
from descant.plugin_bridge import CurveKeys, WireError
from descant.plugin_bridge.curve import check_endpoint, is_private

MAX_BYTES = 200_000
MAX_TRUSTED = 1000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")  # Z85 (ZeroMQ RFC 32)


@dataclass(frozen=True)
class HostKeys:
    """public, secret: of the host. trusted: public keys by the names they were given."""

    public: str
    secret: str
    trusted: Mapping[str, str]

    def curve(self) -> CurveKeys:
        """For a server."""
        peers = frozenset(key.encode() for key in self.trusted.values())
        return CurveKeys(self.public.encode(), self.secret.encode(), peers)


def keys_file() -> Path:
    """Where the host's keys are kept."""
    return Path(platformdirs.user_config_dir(APP)) / "keys.toml"


def bridge_file() -> Path:
    """Where bridges of this machine find a host's address and keys."""
    return Path(platformdirs.user_config_dir(APP)) / "plugin.toml"


def read_keys(path: Path | None = None) -> HostKeys | None:
    """The host's keys; None where there is no file. Raises HostError for one that is damaged, or that others
    can read.
    """
    path = path or keys_file()
    data = _read(path)
    if data is None:
        return None
    trusted = data.get("trusted", {})
    whole = _is_key(data.get("public")) and _is_key(data.get("secret")) and isinstance(trusted, dict)
    if not whole or not all(_NAME.fullmatch(name) and _is_key(key) for name, key in trusted.items()):
        raise _bad(path, "holds no keys, or damaged ones")
    if sys.platform != "win32" and path.stat().st_mode & 0o077:
        raise HostError(
            f"{path} can be read by others, and a secret key lies in it.",
            "Nothing was opened.",
            f"Run chmod 600 {path}, and make new keys if others have seen it (remove the file).",
        )
    return HostKeys(data["public"], data["secret"], trusted)


def host_curve(endpoint: str) -> CurveKeys | None:
    """What a host at an address needs: None on this machine alone. Raises HostError where keys are missing.

    What is no address is left to the server to tell.
    """
    if is_private(endpoint) or not endpoint.startswith("tcp://"):
        return None
    keys = read_keys()
    if keys is None or not keys.trusted:
        raise HostError(
            f"{endpoint} can be reached by other machines, and no bridge is trusted yet.",
            "Nothing was opened; without --endpoint only this machine can connect, and needs no keys.",
            f"Run descant keys add NAME --endpoint tcp://THIS-MACHINE:{endpoint.rpartition(':')[2]}",
        )
    return keys.curve()


def bridge_curve(endpoint: str) -> CurveKeys | None:
    """What a bridge needs to reach a host: None on this machine. Raises HostError where keys are missing."""
    if is_private(endpoint) or not endpoint.startswith("tcp://"):
        return None
    path = bridge_file()
    data = _read(path) or {}
    names = ("public_key", "secret_key", "host_key")
    public, secret, host = (data.get(name) for name in names)
    if not (_is_key(public) and _is_key(secret) and _is_key(host)):
        raise HostError(
            f"{endpoint} is on another machine, and {path} holds no keys for it.",
            "Nothing was connected; a host on this machine needs none.",
            "On that machine run descant keys add NAME --endpoint tcp://ITS-ADDRESS:PORT, and put what it "
            "prints into that file.",
        )
    return CurveKeys(str(public).encode(), str(secret).encode(), frozenset([str(host).encode()]))


def add(name: str, endpoint: str, path: Path | None = None) -> str:
    """Trust a new bridge. The lines for its plugin.toml, which are kept nowhere else. Raises HostError.

    The host's own pair is made if there is none. A name that is taken gets new keys: the old ones end.
    """
    path = path or keys_file()
    if not _NAME.fullmatch(name):
        raise HostError(
            f"{name[:60]!r} is no name for a bridge.", "Nothing was changed.", "Use letters, digits, - and _."
        )
    pair = CurveKeys.make()
    try:
        check_endpoint(endpoint, pair)
    except WireError as error:
        raise HostError(str(error.what), "Nothing was changed.", str(error.do)) from error
    if (
        not endpoint.startswith("tcp://")
        or "*" in endpoint
        or "//0.0.0.0" in endpoint
        or "//[::]" in endpoint
    ):
        raise HostError(
            f"{endpoint} is no address that another machine could connect to.",
            "Nothing was changed.",
            "Give this machine's own address as the other one sees it: tcp://studio.local:47474",
        )
    old = read_keys(path)
    made = CurveKeys.make()
    keys = old or HostKeys(made.public.decode(), made.secret.decode(), {})
    if len(keys.trusted) >= MAX_TRUSTED and name not in keys.trusted:
        raise HostError(
            f"{MAX_TRUSTED} bridges are trusted already.",
            "Nothing was changed.",
            "Remove one: descant keys rm NAME",
        )
    _write(path, HostKeys(keys.public, keys.secret, {**keys.trusted, name: pair.public.decode()}))
    lines = {
        "endpoint": endpoint,
        "host_key": keys.public,
        "public_key": pair.public.decode(),
        "secret_key": pair.secret.decode(),
    }
    return "".join(f'{key} = "{value}"\n' for key, value in lines.items())


def remove(name: str, path: Path | None = None) -> None:
    """Trust a bridge no more. Raises HostError where there is none of that name."""
    path = path or keys_file()
    keys = read_keys(path)
    if keys is None or name not in keys.trusted:
        known = ", ".join(keys.trusted) if keys is not None and keys.trusted else "none"
        raise HostError(
            f"No bridge named {name[:60]!r} is trusted; there are: {known}.",
            "Nothing was changed.",
            "See descant keys list.",
        )
    left = {other: key for other, key in keys.trusted.items() if other != name}
    _write(path, HostKeys(keys.public, keys.secret, left))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            return tomllib.loads(file.read(MAX_BYTES).decode())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "is not TOML"
        raise _bad(path, f"cannot be read ({why})") from error


def _write(path: Path, keys: HostKeys) -> None:
    """Whole or not at all, and for the owner alone from its first byte on."""
    text = f'public = "{keys.public}"\nsecret = "{keys.secret}"\n\n[trusted]\n'
    text += "".join(f'{name} = "{key}"\n' for name, key in keys.trusted.items())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    with whole_file(path) as part:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)


def _is_key(value: object) -> bool:
    return isinstance(value, str) and _KEY.fullmatch(value) is not None


def _bad(path: Path, problem: str) -> HostError:
    return HostError(
        f"{path} {problem}.",
        "It is as it was, and nothing was opened; hosts and bridges of this machine alone need no keys.",
        "Correct it, or remove it and make new keys: descant keys add NAME --endpoint ADDRESS.",
    )
