"""How an error reaches a person at a terminal: three lines on standard error, never a traceback.

Knows every error family by its three fields, not by its class.
"""

from __future__ import annotations

import os
import sys
import traceback


class Interrupted(Exception):
    """Ctrl-C, once everything has let go of its work."""

    what = "Interrupted."
    still = "Nothing half-written is left behind."
    do = "Run the command again when you like."


def three_lines(error: BaseException) -> tuple[str, str, str] | None:
    """What happened, what still works, what to do: of any error of our own families, None of a foreign
    one."""
    what, still, do = (getattr(error, name, None) for name in ("what", "still", "do"))
    if isinstance(what, str) and isinstance(still, str) and isinstance(do, str):
        return what, still, do
    return None


def explain(error: BaseException) -> tuple[str, str, str]:
    """Three lines for any error at all."""
    ours = three_lines(Interrupted() if isinstance(error, KeyboardInterrupt) else error)
    if ours is not None:
        return ours
    if isinstance(error, MemoryError):
        return (
            "There is not enough memory for this.",
            "Nothing half-written is left behind.",
            "Close other programs, or ask for less (fewer seconds, a smaller model).",
        )
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"Descant met an error of its own ({text}).",
        "Nothing half-written is left behind.",
        "Please report it with what `DESCANT_TRACEBACK=1` before the same command prints.",
    )


def show(error: BaseException) -> None:
    """Thread: main. Print the three lines; the traceback too where DESCANT_TRACEBACK is set."""
    if os.environ.get("DESCANT_TRACEBACK"):
        traceback.print_exception(error)
    for line in explain(error):
        print(line, file=sys.stderr)
