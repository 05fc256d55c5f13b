"""What a performance asks of a model that has no such control: it is ignored, and said once.

Knows nothing about sessions or streams.
"""

from __future__ import annotations

from collections.abc import Iterable

from descant.host.events import FaultOut
from descant.host.preset import Preset
from descant.model import ModelSpec

CONTROLS = ("text", "melody", "chords", "beat")  # what a scene can give a model


def controls_named(preset: Preset) -> set[str]:
    """The controls that a preset means to use: by its prompts, its chords, its keys and its controllers."""
    named = {"text"} if any(row.text for row in preset.prompts) else set()
    if preset.chords or preset.keys == "chords" or any(row.chords for row in preset.prompts):
        named.add("chords")
    return named | {row.parameter for row in preset.cc.values() if row.parameter in CONTROLS}


class Lacking:
    """The controls that a model lacks, and which of them the client has been told of."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._told = {name for name in CONTROLS if name in spec.controls}

    def note(self, named: Iterable[str], at_sample: int) -> list[FaultOut]:
        """One note for all that are named, lacking and not told yet; else none."""
        news = [name for name in CONTROLS if name in set(named) - self._told]
        if not news:
            return []
        self._told.update(news)
        what = f"model {self._spec.name} has no control for {', '.join(news)}: ignored"
        accepted = ", ".join(self._spec.controls) or "nothing"
        do = f"nothing need be done; it listens to: {accepted}"
        return [FaultOut(at_sample, "model", "info", what, "the music is made without", do)]
