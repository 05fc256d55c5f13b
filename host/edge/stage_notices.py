"""What a stage tells its windows in three lines: the latest notices, numbered, in whole sentences."""

from __future__ import annotations

from collections import deque

from descant.host.edge import stage_words as words
from descant.host.errors import HostError
from descant.plugin_bridge import WireError

KEPT = 12


class StageNotices:
    """rows: oldest first."""

    def __init__(self) -> None:
        self.rows: deque[words.Notice] = deque(maxlen=KEPT)
        self._count = 0

    def tell(self, severity: str, what: str, still: str, do: str) -> None:
        """One more."""
        self._count += 1
        what, still, do = (_sentence(line) for line in (what, still, do))
        kind = severity if severity in ("info", "warning", "error") else "error"
        lines = (line[:400] for line in (what, still, do))
        self.rows.append(words.Notice(self._count, kind, *lines))  # type: ignore[arg-type]

    def error(self, error: HostError | WireError) -> None:
        """What went wrong."""
        self.tell("error", error.what, error.still, error.do)

    def line(self, line: str) -> None:
        """What the live path says in one line; a fault that was told in three already is not told again."""
        if line.endswith("beats a minute") or line.count(". ") < 2:
            self.tell("info", line, "", "")
        elif not any(notice.what and line.startswith(notice.what) for notice in self.rows):
            what, still, do = [*line.split(". ", 2), "", ""][:3]
            self.tell("warning", f"{what}.", f"{still}." if still else "", do)


def _sentence(line: str) -> str:
    """As it is read: the host's own words begin small and have no full stop."""
    line = line.strip()
    return f"{line[:1].upper()}{line[1:]}{'' if line[-1:] in '.!?' else '.'}" if line else ""
