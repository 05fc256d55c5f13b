"""Reading a checkpoint's config: values by dotted names, each checked, errors that name what is allowed.

Knows nothing about models. Configs come from strangers: nothing in them is trusted to be of the right kind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from descant.model.errors import ModelError

MISSING = object()
MOST = 1_000_000


class ConfigTree:
    """A nested mapping. A value that is null counts as one that is not there. Every error is a ModelError."""

    def __init__(self, tree: Mapping[str, Any], source: str, advice: str) -> None:
        """source: where it comes from, for messages. advice: what to do about what is wrong with it."""
        self._tree, self.source, self.advice = tree, source, advice

    def get(self, name: str, default: Any = MISSING) -> Any:
        """The value at a dotted name, else the default."""
        value = self.find(name)
        if value is MISSING or value is None:
            if default is MISSING:
                raise self.bad(f"lacks {name}")
            return default
        return value

    def find(self, name: str) -> Any:
        """The value at a dotted name as it stands, or MISSING."""
        at: Any = self._tree
        for part in name.split("."):
            if not isinstance(at, Mapping) or part not in at:
                return MISSING
            at = at[part]
        return at

    def number(self, name: str, default: Any = MISSING, least: int = 1, most: int = MOST) -> int:
        """A whole number from `least` to `most`."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.bad(f"has {name} {value!r}; allowed: whole numbers from {least} to {most}")
        return value

    def numbers(self, name: str, default: Any = MISSING, least: int = 0) -> tuple[int, ...]:
        """A list of whole numbers, each from `least` to 100000."""
        value = self.get(name, default)
        fits = isinstance(value, (list, tuple)) and all(
            isinstance(item, int) and not isinstance(item, bool) and least <= item <= 100_000
            for item in value
        )
        if not fits:
            raise self.bad(f"has {name} {value!r}; allowed: a list of whole numbers from {least}")
        return tuple(value)

    def real(self, name: str, default: Any = MISSING, most: float = MOST) -> float:
        """A number above 0, at most `most`."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
            raise self.bad(f"has {name} {value!r}; allowed: numbers above 0, up to {most:g}")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise self.bad(f"has {name} {value!r}; allowed: true, false")
        return value

    def names(self, name: str) -> list[str]:
        """The keys of a mapping, or the items of a list of words; empty where there is none."""
        value = self.get(name, [])
        if not isinstance(value, (Mapping, list)) or not all(isinstance(item, str) for item in value):
            raise self.bad(f"has {name} {value!r}; allowed: a list or mapping of names")
        return list(value)

    def only(self, name: str, *allowed: Any, default: Any = MISSING) -> Any:
        """A value that must be one of those allowed, for nothing else is implemented.

        default: what is meant where nothing is there; if not given, the first one allowed.
        """
        value = self.get(name, allowed[0] if default is MISSING else default)
        if not any(type(value) is type(choice) and value == choice for choice in allowed):
            raise self.bad(f"has {name} {value!r}; allowed: {', '.join(map(repr, allowed))}")
        return value

    def bad(self, problem: str) -> ModelError:
        """The error for something in it."""
        return ModelError(f"{self.source} {problem}.", "Nothing was loaded.", self.advice)


def read_json(path: Path, advice: str) -> ConfigTree:
    """A JSON object in a file. Raises ModelError."""
    tree: Any = None
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigTree({}, str(path), advice).bad(f"cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigTree({}, str(path), advice).bad("holds no JSON object")
    return ConfigTree(tree, str(path), advice)
