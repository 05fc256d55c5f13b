"""What the pads and keys of a session hold: their words, where and how they start, and how they are mixed.

Knows nothing about time or audio.
"""

from __future__ import annotations

from descant.host.errors import EventError
from descant.host.events import KeyPrompt, Mix, Prompt
from descant.host.preset import MAX_PROMPT_CHARS, QUANTISES, TRANSITIONS, Preset, PromptSlot, Transition
from descant.host.progression import Progression
from descant.host.trigger import OF_KEY

CHOICES = ("quantise", "transition", "xy", "x", "y")  # parameters that move what is here
_WHOLE = ("quantise", "transition")
_WEIGHT = "weight of "  # before a pad's number, among what was chosen
_MIXED = 6  # pads that can be weighed
_FINENESS = 64  # steps of a weight: a ride of x or y that moves less changes nothing


class Pads:
    """preset: what holds until the client says otherwise. Slots: 0..127 of the preset, OF_KEY + key of a key
    that has words of its own.
    """

    def __init__(self, preset: Preset) -> None:
        self.preset = preset
        self.texts = [row.text for row in preset.prompts]
        self.keys: dict[int, str] = {}
        self.chosen: dict[str, float] = {}

    def change(self, preset: Preset) -> None:
        """Another preset; what the client gave its keys and chose stays."""
        self.preset = preset
        self.texts = [row.text for row in preset.prompts]

    def row(self, slot: int) -> PromptSlot:
        """The slot as in a preset; its words may have been replaced."""
        return PromptSlot() if slot >= OF_KEY else self.preset.prompts[slot]

    def words(self, slot: int) -> str:
        """The words of a slot that is no stop."""
        return self.keys.get(slot - OF_KEY, "") if slot >= OF_KEY else self.texts[slot]

    def holds(self, slot: int) -> bool:
        """Whether there is such a slot, still."""
        return slot - OF_KEY in self.keys if slot >= OF_KEY else slot < len(self.texts)

    def quantise(self, row: PromptSlot) -> str:
        """Where a slot starts."""
        chosen = QUANTISES[int(self.chosen.get("quantise", 0))]
        return chosen or row.quantise or self.preset.quantise

    def transition(self, row: PromptSlot) -> Transition:
        """How a slot starts."""
        chosen = TRANSITIONS[int(self.chosen.get("transition", 0))]
        return chosen or row.transition or self.preset.transition

    def progression_of(self, slot: int) -> Progression | None:
        """What a slot's music moves through. Errors: PresetError for a name that is no chord."""
        if slot >= OF_KEY:
            return Progression.named(self.preset.chords, self.preset.bars_per_chord)
        return self.preset.progression_of(slot)

    def choose(self, name: str, value: float) -> None:
        """Set one of CHOICES."""
        self.chosen[name] = float(round(value)) if name in _WHOLE else value

    def weigh(self, event: Mix) -> None:
        """Weights for the first pads. Errors: EventError; nothing has changed then."""
        if not all(0.0 <= weight <= 1.0 for weight in event.weights):
            raise EventError(
                f"{event.weights} are no weights of pads"[:200],
                "the mix and the music go on unchanged",
                "send weights in 0..1",
            )
        self.chosen.update({f"{_WEIGHT}{number}": weight for number, weight in enumerate(event.weights)})

    def mix(self) -> tuple[tuple[str, float], ...]:
        """What of the first pads is heard beside the last pad's words: (words, weight), at most 1 in all.

        Pads that were weighed go by their weights, else 0..3 by xy, x and y. One that is missing or a stop
        leaves its share to the others.
        """
        amount, x, y = (self.chosen.get(name, 0.0) for name in ("xy", "x", "y"))
        corners: tuple[float, ...] = ((1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y)
        weighed = tuple(self.chosen.get(f"{_WEIGHT}{number}", 0.0) for number in range(_MIXED))
        if any(weighed):
            amount, corners = 1.0, weighed
        weights: dict[str, float] = {}
        for text, row, corner in zip(self.texts, self.preset.prompts, corners, strict=False):
            if not row.stop and corner:
                weights[text] = weights.get(text, 0.0) + corner
        total = sum(weights.values())
        if not amount or not total:
            return ()
        found = (
            (text, round(amount * weight / total * _FINENESS) / _FINENESS) for text, weight in weights.items()
        )
        return tuple((text, weight) for text, weight in found if weight)

    def reword(self, event: Prompt) -> None:
        """Other words for a slot of the preset. Errors: EventError; nothing has changed then."""
        text = event.text.strip()
        if not 0 < len(text) <= MAX_PROMPT_CHARS:
            raise _unusable(text, "the slot keeps its words and the music goes on", 1)
        if not 0 <= event.slot < len(self.texts):
            raise EventError(
                f"preset {self.preset.name!r} has no slot {event.slot}",
                "the music goes on unchanged",
                f"use slots 0..{len(self.texts) - 1}",
            )
        if self.preset.prompts[event.slot].stop:
            raise EventError(
                f"slot {event.slot} stops the music and takes no words",
                "the music goes on unchanged",
                "use another slot",
            )
        self.texts[event.slot] = text

    def word_key(self, event: KeyPrompt) -> None:
        """Words for a key, or none. Errors: EventError; nothing has changed then."""
        text = event.text.strip()
        if not 0 <= event.key <= 127:
            raise EventError(f"there is no key {event.key}", "the music goes on unchanged", "use keys 0..127")
        if len(text) > MAX_PROMPT_CHARS:
            raise _unusable(text, "the key keeps its words and the music goes on", 0)
        if text:
            self.keys[event.key] = text
        else:
            self.keys.pop(event.key, None)


def _unusable(text: str, still: str, low: int) -> EventError:
    return EventError(
        f"a prompt of {len(text)} characters cannot be used",
        still,
        f"send {low}..{MAX_PROMPT_CHARS} characters",
    )
