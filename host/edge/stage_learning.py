"""A window's steps of learning, done on the live performance: the lessons are those of the terminal."""

from __future__ import annotations

from descant.host.controller import Binding, check_binding
from descant.host.edge import stage_words as words
from descant.host.edge.live import Live
from descant.host.edge.midi_view import bound_as
from descant.host.errors import HostError

LEFT_SECONDS = 3.0  # without a look, and what a window began to learn is given up: it has died


def learn(live: Live, asked: words.Learn) -> None:
    """Thread: the owner's. Raises HostError for what cannot be bound."""
    lessons, learnt = live.lessons, None
    match asked.step:
        case "arm":
            check(asked.do)
            lessons.arm(asked.do, asks=True)
        case "replace":
            learnt = lessons.replace()
        case "cancel":
            lessons.cancel()
        case "remove":
            profile = live.profiles.get(asked.port)
            binding = bound_as(profile, asked.on, asked.do) if profile is not None else None
            if profile is not None and binding is not None:  # else it went meanwhile
                learnt = lessons.remove(asked.port, profile, binding)
        case "undo":
            learnt = lessons.undo()
    if learnt is not None:
        live.keep(learnt)


def let_go(live: Live, unseen: float) -> None:
    """Thread: the owner's. unseen: seconds since a window has looked."""
    if live.lessons.armed and unseen > LEFT_SECONDS:
        live.lessons.cancel()


def check(do: str) -> None:
    """Raise HostError where that cannot be done, or bound."""
    try:
        check_binding(Binding("note 0", do))
    except ValueError as error:
        raise HostError(f"{error}.", "The music goes on as it was.", "Use one of these.") from error
