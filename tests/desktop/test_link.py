"""The window's end of the socket to the stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from descant.host.edge import stage_words as words


def test_another_stage_in_the_place_of_one_that_died_is_said_with_what_is_lost(
    bare: Callable[..., Any],
) -> None:
    one = bare()
    for version in (3, 4, 4):
        one.show(words.View(phase="ready", loops_version=version))
    said = one.window.notices.accessibleDescription
    assert "another one was started" not in said()
    one.show(words.View(phase="ready", loops_version=0))
    assert "another one was started" in said() and "Loops" in said() and "Takes are kept" in said()
