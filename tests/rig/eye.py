"""Somebody who looks at a stage, and tells it things, as a window does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import zmq

from descant.host.edge import stage_words as words
from tools import stage_rig


class Eye:
    """Another one who looks at the stage, as the window does."""

    def __init__(self, endpoint: str) -> None:
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 500
        self.socket.connect(endpoint)

    def tell(self, *asked: words.Asked) -> None:
        """Something for the stage to do."""
        for each in asked:
            self.socket.send(words.pack(each))

    def look(self) -> words.View | None:
        """How things stand; None where nobody answers within a second."""
        self.tell(words.Look())
        view = None
        while self.socket.poll(0 if view is not None else 1000):
            view = words.read_view(self.socket.recv())
        return view

    def until(self, true: Callable[[words.View], object], what: str) -> words.View:
        """The first view of which something is true; the test fails with the last one where none is."""
        last: list[words.View | None] = [None]

        def seen() -> bool:
            last[0] = self.look()
            return last[0] is not None and bool(true(last[0]))

        try:
            stage_rig.wait_for(seen, what, 90)
        except TimeoutError as error:
            pytest.fail(f"{error}; last seen: {last[0]}")
        assert last[0] is not None
        return last[0]

    def close(self) -> None:
        self.socket.close()
