"""Several text encoders for one language model: their states side by side, so that one projection serves all.

As audiocraft fuses several conditioners into cross-attention: one after the other over tokens, each with its
own projection. A state of encoder i stands in i's columns, with a 1 in i's indicator column and zeros
elsewhere; a projection made by `joined_projection` then does to it what i's own does. L tokens, d width of
the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from descant.model.conditions.text import PromptEncoder, TextStates
from descant.model.errors import ModelError


class JoinedTextEncoder:
    """str -> TextStates of all encoders, in their order: [sum of L_i, sum of dims + number of encoders]."""

    def __init__(self, encoders: Sequence[PromptEncoder]) -> None:
        if not encoders:
            raise ModelError(
                "No text encoders were given to join; allowed: one or more.",
                "Nothing was built.",
                "Give the text encoders in the order in which the model reads them.",
            )
        self._encoders = tuple(encoders)

    @property
    def dim(self) -> int:
        """Width of a state."""
        return sum(encoder.dim for encoder in self._encoders) + len(self._encoders)

    def encode(self, text: str) -> TextStates | None:
        """The prompt as every encoder reads it; None for a blank one. Raises ModelError."""
        joined = self.encode_each([text] * len(self._encoders))
        return None if joined is None else TextStates(text.strip(), joined.states)

    def encode_each(self, texts: Sequence[str | None]) -> TextStates | None:
        """A prompt for each encoder, None or blank: none for this one; None if all are. Raises ModelError."""
        if len(texts) != len(self._encoders):
            raise ModelError(
                f"{len(texts)} prompts were given; allowed: {len(self._encoders)}, one a text encoder.",
                "The prompt in use is unchanged.",
                "Give None for a text encoder that is to read nothing.",
            )
        blocks, first = [], 0
        for index, (encoder, text) in enumerate(zip(self._encoders, texts)):
            known = encoder.encode(text) if text is not None else None
            if known is not None:
                block = torch.zeros(known.states.shape[0], self.dim)
                block[:, first : first + encoder.dim] = known.states
                block[:, index - len(self._encoders)] = 1.0
                blocks.append(block)
            first += encoder.dim
        return TextStates(None, torch.cat(blocks)) if blocks else None


def joined_projection(projections: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The projections (weight [d, n_i], bias [d]) of the encoders, in their order, as one for joined states.

    Result: weight [d, sum of n_i + len], the biases in its last columns, and a bias of zeros [d]. Raises
    ModelError if the widths differ.
    """
    width = projections[0][0].shape[0] if projections else 0
    for weight, bias in projections:
        if weight.dim() != 2 or weight.shape[0] != width or tuple(bias.shape) != (width,):
            raise _bad(
                f"of shapes {tuple(weight.shape)} and {tuple(bias.shape)}", f"[{width}, n] and [{width}]"
            )
    if not projections:
        raise _bad("none", "one or more")
    weights = [weight for weight, _ in projections]
    biases = torch.stack([bias for _, bias in projections], dim=1)
    return torch.cat([*weights, biases], dim=1), torch.zeros_like(biases[:, 0])


def _bad(given: str, allowed: str) -> ModelError:
    return ModelError(
        f"The text projections to join are {given}; allowed: {allowed}.",
        "Nothing was built.",
        "Use the projections of one language model, one a text encoder.",
    )
