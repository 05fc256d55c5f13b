"""Where in a TOML text something is written: line and column of a key and of its value.

Knows nothing about what the text means. The text is one that tomllib has read: here it is only walked
through, along one path, and everything beside it is skipped without being remembered.
"""

from __future__ import annotations

import re
from typing import NamedTuple

Path = tuple[str | int, ...]
"""From the root down: keys, and numbers (from 0) in arrays."""

_GAP = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BLANKS = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]*")
_PLAIN = re.compile(r"""[^,\[\]{}\n#"']*""")
_STRINGS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r'"""(?:[^\\]|\\.)*?"{3,5}',
        r"'''.*?'{3,5}",
        r'"(?:[^"\\]|\\.)*"',
        r"'[^']*'",
    )
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


class Place(NamedTuple):
    """Counted from 1, in lines and characters, as editors do."""

    line: int
    column: int


def place_of(text: str, path: Path, key: bool = False) -> Place | None:
    """Where `path` is written: its value, or its key; of what is not there, the innermost table or array that
    would hold it; None for a text without any of it."""
    walk = _Walk(text, path)
    walk.document()
    first, second = (walk.key, walk.value) if key and walk.whole else (walk.value, walk.key)
    offset = second if first is None else first
    return None if offset is None else place_at(text, offset)


def place_at(text: str, offset: int) -> Place:
    """The line and column of a character, 0 .. len(text)."""
    start = text.rfind("\n", 0, offset) + 1
    return Place(text.count("\n", 0, start) + 1, offset - start + 1)


class _Walk:
    """One pass. key, value: offsets of the deepest part of the path that was met."""

    def __init__(self, text: str, path: Path) -> None:
        self._text, self._path = text, path
        self._at = 0
        self._depth = 0  # how much of the path that is
        self._rows: dict[tuple[str, ...], int] = {}  # [[tables]]: the number of the last one
        self.key: int | None = None
        self.value: int | None = None

    def document(self) -> None:
        """Through the whole text, table by table."""
        text, here = self._text, 0  # here: how much of the path the table is, -1 beside it
        self._skip(_GAP)
        while self._at < len(text):
            if text[self._at] == "[":
                here = self._header()
            else:
                self._pair(here)
            self._skip(_GAP)

    def _header(self) -> int:
        start, many = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        names = tuple(name for name, _ in self._keys())
        self._at += 2 if many else 1
        if many:
            self._rows[names] = self._rows.get(names, -1) + 1
            for inner in [known for known in self._rows if len(known) > len(names)]:
                if inner[: len(names)] == names:
                    del self._rows[inner]  # a new row begins its own
        depth = 0
        for n in range(1, len(names) + 1):
            depth = self._deeper(depth, names[n - 1])
            self._met(depth, start, start)
            if (row := self._rows.get(names[:n])) is not None:
                depth = self._deeper(depth, row)
                self._met(depth, start, start)
        return depth

    def _pair(self, here: int) -> None:
        """key = value, in a table or an inline one."""
        for name, start in self._keys():
            here = self._deeper(here, name)
            self._met(here, key=start)
        self._skip(_BLANKS)
        self._at += 1  # the sign
        self._skip(_BLANKS)
        self._value(here)

    def _keys(self) -> list[tuple[str, int]]:
        """A dotted key as its parts, each with its offset."""
        parts = []
        while True:
            self._skip(_BLANKS)
            start = self._at
            if self._text[start] in "\"'":
                self._string()
                name = _unescaped(self._text[start : self._at])
            else:
                self._skip(_BARE)
                name = self._text[start : self._at]
            parts.append((name, start))
            self._skip(_BLANKS)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _value(self, here: int) -> None:
        start = self._at
        self._met(here, value=start)
        opens = self._text[start : start + 1]
        if here < 0 or opens not in ("[", "{"):
            self._past()
            return
        self._at += 1
        index = 0
        while True:  # its items; on the path, so never deeper than it is long
            self._skip(_GAP)
            if self._text[self._at] in "]}":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                index += 1
            elif opens == "[":
                item = self._deeper(here, index)
                self._met(item, key=self._at)
                self._value(item)
            else:
                self._pair(here)

    def _past(self) -> None:
        """Past a value that does not matter, however deep it is."""
        depth = 0
        while True:
            sign = self._text[self._at : self._at + 1]
            if sign and sign in "\"'":
                self._string()
            elif sign and sign in "[{":
                depth += 1
                self._at += 1
            elif sign and sign in "]}" and depth:
                depth -= 1
                self._at += 1
            elif depth and sign in (",", "\n", "#", "\r", " ", "\t"):
                self._at += sign == ","
                self._skip(_GAP)
            else:
                self._skip(_PLAIN)
            if depth == 0 or not sign:
                return

    def _string(self) -> None:
        for form in _STRINGS:
            if (found := form.match(self._text, self._at)) is not None:
                self._at = found.end()
                return

    def _skip(self, what: re.Pattern[str]) -> None:
        found = what.match(self._text, self._at)
        assert found is not None  # each of them matches nothing, too
        self._at = found.end()

    def _deeper(self, here: int, name: str | int) -> int:
        """How much of the path is reached one level down, -1 beside it."""
        on_path = 0 <= here < len(self._path) and self._path[here] == name
        return here + 1 if on_path else -1

    def _met(self, depth: int, key: int | None = None, value: int | None = None) -> None:
        """So much of the path is written here; of the deepest part, the first key and value count."""
        if depth > max(0, self._depth):
            self._depth, self.key, self.value = depth, key, value
        elif depth == self._depth:
            self.key = key if self.key is None else self.key
            self.value = value if self.value is None else self.value

    @property
    def whole(self) -> bool:
        """Whether all of the path was met."""
        return self._depth == len(self._path)


def _unescaped(quoted: str) -> str:
    """The text of a quoted key."""
    inner = quoted[1:-1]
    if quoted[0] == "'":
        return inner

    def letter(found: re.Match[str]) -> str:
        short, long, one = found.groups()
        return chr(int(short or long, 16)) if one is None else _ESCAPED.get(one, one)

    return _ESCAPE.sub(letter, inner)
