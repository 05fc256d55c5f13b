"""What a stage plays and what waits: the host's plan, as pads of the preset, at a sample."""

from __future__ import annotations

from collections.abc import Sequence

from descant.host.edge import stage_words as words
from descant.plugin_bridge import wire

PAST, AHEAD = 3, 16  # stretches that are shown


def coming(plan: Sequence[wire.Plan], texts: Sequence[str], now: int) -> tuple[words.Coming, ...]:
    """The last stretches up to a sample and the next ones. texts: of the pads."""
    rows = [words.Coming(row.from_sample, row.bar, row.text, _slot_of(row.text, texts)) for row in plan]
    past = [row for row in rows if row.at_sample <= now]
    return (*past[-PAST:], *[row for row in rows if row.at_sample > now][:AHEAD])


def playing(rows: Sequence[words.Coming], now: int, silenced: int) -> words.Coming | None:
    """What is heard. silenced: the sample at which everything was stopped."""
    past = [row for row in rows if row.at_sample <= now]
    if not past or (silenced > past[-1].at_sample and now >= silenced):
        return None
    return past[-1]


def waiting(rows: Sequence[words.Coming], now: int) -> words.Coming | None:
    """What is next."""
    return next((row for row in rows if row.at_sample > now), None)


def _slot_of(text: str, texts: Sequence[str]) -> int:
    if not text:
        return -1
    return next((i for i, known in enumerate(texts) if known == text), -1)
