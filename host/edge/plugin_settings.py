"""Where the plugin looks for a host, found as the plugin finds it, and what is wrong with what it is told.

The plugin itself says nothing of a line it cannot use: a DAW has no place for that.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from descant.host.edge.keys import bridge_file
from descant.host.edge.settings import default_endpoint
from descant.plugin_bridge.curve import is_private

VARIABLE = "DESCANT_ENDPOINT"
MOST_LINES = 400
KEYS = ("host_key", "public_key", "secret_key")
_ROW = re.compile(r"""\s*([^=#]+?)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s#"'][^\s#]+))\s*(?:#.*)?$""")
_WORDS = re.compile(r"key\.(\d{1,3})$")


@dataclass(frozen=True)
class Found:
    """endpoint: where a new project's plugin looks, "" where it will not. source: what says so. problems: a
    line each.
    """

    endpoint: str
    source: str
    problems: tuple[str, ...]


def found() -> Found:
    """By the environment, the user's file and the default, in this order."""
    path = bridge_file()
    problems: list[str] = []
    rows = _rows(path, problems)
    endpoint, source = default_endpoint(), "the default"
    if "endpoint" in rows:
        if _is_endpoint(rows["endpoint"]):
            endpoint, source = rows["endpoint"], str(path)
        else:
            problems.append(f"{path}: endpoint {rows['endpoint'][:80]!r} is no address; it is not used")
    named = os.environ.get(VARIABLE, "")
    if named and not _is_endpoint(named):
        problems.append(f"{VARIABLE} {named[:80]!r} is no address; it is not used")
    elif named:
        endpoint, source = named, VARIABLE
    if not is_private(endpoint) and not all(len(rows.get(name, "")) == 40 for name in KEYS):
        problems.append(
            f"{endpoint} is another machine, and {path} has no keys for it: the plugin will not connect "
            "(there: descant keys add NAME --endpoint ITS-ADDRESS)"
        )
        endpoint = ""
    return Found(endpoint, source, tuple(problems))


def _rows(path: Path, problems: list[str]) -> dict[str, str]:
    """What the plugin reads of its file: name -> value."""
    try:
        lines = path.read_bytes()[:1_000_000].decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        problems.append(f"{path} cannot be read ({(error.strerror or str(error)).lower()})")
        return {}
    rows: dict[str, str] = {}
    bad = [number for number, line in enumerate(lines, 1) if _wrong(line, number, rows)]
    if bad:
        shown = ", ".join(map(str, bad[:5])) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        problems.append(f'{path}: nothing is made of line {shown}; lines are NAME = "VALUE"')
    for name, value in rows.items():
        words = _WORDS.match(name)
        if words and int(words[1]) > 127:
            problems.append(f"{path}: there is no {name}; keys are 0 to 127")
        elif not words and name not in ("endpoint", "start_host", *KEYS):
            problems.append(f"{path}: {name[:40]!r} means nothing to the plugin")
        elif name in KEYS and len(value) != 40:
            problems.append(f"{path}: {name} has {len(value)} characters; keys have 40")
    program = rows.get("start_host", "")
    if program and not (program.startswith("/") and os.access(program, os.X_OK)):
        problems.append(
            f"{path}: start_host {program[:80]!r} is no program by its whole path; none is started"
        )
    return rows


def _wrong(line: str, number: int, rows: dict[str, str]) -> bool:
    """Whether nothing can be made of a line; what can is added."""
    if not line.strip() or line.lstrip().startswith("#"):
        return False
    row = _ROW.match(line)
    if row is None or number > MOST_LINES:
        return True
    rows[row[1]] = next(value for value in row.groups()[1:] if value is not None)
    return False


def _is_endpoint(text: str) -> bool:
    plain = len(text) <= 200 and all(0x20 < ord(letter) != 0x7F for letter in text)
    return plain and (
        len(text) > 6 if text.startswith("ipc://") else re.match(r"tcp://.+:", text) is not None
    )
