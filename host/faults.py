"""What an engine tells its clients in three lines, and which hellos it can serve.

Knows nothing about sessions under way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from descant.host.errors import HostError, SessionError
from descant.host.events import FaultOut, SessionHello
from descant.host.ladder import NAMES
from descant.model import ModelError


def fault_of(error: HostError | ModelError, at_sample: int) -> FaultOut:
    """An event that could not be followed."""
    code = error.code if isinstance(error, HostError) else "model"
    return FaultOut(at_sample, code, "warning", error.what, error.still, error.do)


def late(at_sample: int) -> FaultOut:
    """A stream was given up for being late."""
    return FaultOut(
        at_sample,
        "late",
        "warning",
        "the engine fell behind the playhead",
        "the same prompt begins anew, in time",
        "if it happens again, close other programs or give the session more lead",
    )


def eased(at_sample: int, rung: int, before: int) -> FaultOut:
    """The overload ladder was taken down, or up, to a rung."""
    if rung > before:
        return FaultOut(
            at_sample,
            "overload",
            "warning",
            f"this machine does not make the music in time: {NAMES[rung]}",
            "the music goes on, on the beat",
            "close other programs, set guidance_every in the preset, or use a smaller model",
        )
    what = f"there is room again: {NAMES[rung]}"
    return FaultOut(at_sample, "overload", "info", what, "the music goes on", "nothing need be done")


def broken(error: Exception, at_sample: int) -> FaultOut:
    """Making music failed; the session is silent."""
    if isinstance(error, HostError | ModelError):
        return replace(fault_of(error, at_sample), severity="error")
    what = f"making music failed: {type(error).__name__}: {error}"[:400].replace("\n", " ")
    return FaultOut(
        at_sample,
        "model",
        "error",
        what,
        "the session is silent, all others go on",
        "press a pad to begin anew",
    )


def checked_hello(hello: SessionHello, model: str) -> SessionHello:
    """The hello, if a session can be opened for it. Errors: SessionError naming what is allowed."""
    bounds: tuple[tuple[Literal["sample_rate", "block_size", "channels", "seed"], int, int], ...] = (
        ("sample_rate", 8000, 384000),
        ("block_size", 1, 65536),
        ("channels", 1, 8),
        ("seed", 0, 2**64 - 1),
    )
    for name, low, high in bounds:
        value = getattr(hello, name)
        if not low <= value <= high:
            raise SessionError(
                f"{name} {value} cannot be served", "other sessions go on", f"ask for {low}..{high}"
            )
    if hello.model not in ("", model):
        raise SessionError(
            f"model {hello.model[:80]!r} is not loaded",
            "other sessions go on",
            f"ask for {model!r} or for none",
        )
    for time in ("lead_ms", "commit_ms"):
        if not 0 <= getattr(hello, time) <= 60_000:
            raise SessionError(
                f"{time} {getattr(hello, time):g} cannot be served",
                "other sessions go on",
                "ask for 0..60000 ms",
            )
    return hello
