"""What is wrong in data from outside, read into structs: where it is, and which names would be right there.

Knows nothing about files or what the data means; it goes by the structs' own types.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from descant.host.toml_places import Path

_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


class Misread(NamedTuple):
    """The first thing wrong. path: where it is. owner: the struct that has, or lacks, its last name; None
    where that is not a struct's. unknown: no struct there has a field of that name."""

    path: Path
    problem: str
    owner: type[msgspec.Struct] | None
    unknown: bool = False

    @property
    def field(self) -> str:
        """The last name of the path, numbers left out; "" for none."""
        return next((name for name in reversed(self.path) if isinstance(name, str)), "")

    @property
    def shown(self) -> str:
        """The path as people write it, such as prompts[0].key."""
        return "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in self.path)[1:]


def misread(raw: dict[str, Any], form: type[msgspec.Struct], message: str) -> Misread:
    """What msgspec means by the message with which it could not make `form` of `raw`."""
    problem, _, where = message.partition(" - at `")
    of_key = where.startswith("key` in `")
    path = _whole_path(raw, form, message, where.rpartition("$")[2].rstrip("`"), of_key)
    name = re.search(r"unknown field `([^`]*)`", problem)
    if name is not None:
        path = (*path, name.group(1))
    return Misread(path, problem, _owner(form, path), name is not None)


def allowed_in(form: type[msgspec.Struct], field: str) -> str:
    """What a field of a struct takes, in words, as far as its type says; "" for no such field."""
    found = next((one.type for one in _fields(form) if one.encode_name == field), None)
    return "" if found is None else _words_for(_bare(found))


def choices_in(form: type[msgspec.Struct], field: str) -> tuple[str, ...]:
    """The words a field may be, where it may be only some."""
    found = next((_bare(one.type) for one in _fields(form) if one.encode_name == field), None)
    return tuple(map(str, found.values)) if isinstance(found, inspect.LiteralType) else ()


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """A question for the word that may have been meant, and a space after it; "" where none is near."""
    by_form = {_plain(known): known for known in words}
    near = difflib.get_close_matches(_plain(word[:100]), by_form, 1, 0.6)
    return f'did you mean "{by_form[near[0]]}"? ' if near else ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")


def _whole_path(
    raw: dict[str, Any], form: type[msgspec.Struct], message: str, where: str, of_key: bool
) -> Path:
    """msgspec's path with the names of table rows, which it leaves out, found by trying one at a time."""
    path: list[str | int] = []
    here: Any = raw
    for name, index in _STEP.findall(where + ("[...]" if of_key else "")):
        step: str | int = name or (index if index == "..." else int(index))
        if step == "..." and isinstance(here, dict):
            step = next((key for key in here if _fails_so(raw, form, message, path, key)), "")
        path.append(step)
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            break
    return tuple(path)


def _fails_so(
    raw: dict[str, Any], form: type[msgspec.Struct], message: str, path: list[str | int], key: str
) -> bool:
    """Whether the same is wrong where a table has this row alone."""

    def kept(value: Any, rest: list[str | int]) -> Any:
        if not rest:
            return {key: value[key]}
        if isinstance(value, dict):
            return {**value, rest[0]: kept(value[rest[0]], rest[1:])}
        return [kept(item, rest[1:]) if n == rest[0] else item for n, item in enumerate(value)]

    try:
        msgspec.convert(kept(raw, path), form, strict=True)
    except msgspec.ValidationError as error:
        return str(error) == message
    return False


def _owner(form: type[msgspec.Struct], path: Path) -> type[msgspec.Struct] | None:
    """The struct in which a path's last name stands."""
    here: Any = inspect.type_info(form)
    for step in path[:-1]:
        here = _inner(here, step)
    found = _bare(here)
    return found.cls if isinstance(found, inspect.StructType) else None


def _inner(of: Any, step: str | int) -> Any:
    here = _bare(of)
    if isinstance(here, inspect.StructType):
        return next((field.type for field in here.fields if field.encode_name == step), None)
    if isinstance(here, inspect.DictType):
        return here.value_type
    return getattr(here, "item_type", None)


def _bare(of: Any) -> Any:
    """A type without "or nothing"."""
    if isinstance(of, inspect.UnionType):
        return next((one for one in of.types if not isinstance(one, inspect.NoneType)), None)
    return of


def _fields(form: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    found = inspect.type_info(form)
    return found.fields if isinstance(found, inspect.StructType) else ()


def _words_for(kind: Any) -> str:
    """A type in words, with its bounds."""
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in kind.values)
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        name = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
        return name if kind.ge is None else f"{name} {kind.ge:g}..{kind.le:g}"
    if isinstance(kind, inspect.StrType):
        return "text" if kind.max_length is None else f"text of at most {kind.max_length} characters"
    if isinstance(kind, inspect.BoolType):
        return "true or false"
    if isinstance(kind, inspect.TupleType):
        return f"a list of {len(kind.item_types)}, each {_words_for(kind.item_types[0])}"
    if isinstance(kind, inspect.VarTupleType):
        least = f"{kind.min_length}..{kind.max_length}" if kind.min_length else f"at most {kind.max_length}"
        return f"a list of {least}, each {_words_for(_bare(kind.item_type))}"
    return "a table"
