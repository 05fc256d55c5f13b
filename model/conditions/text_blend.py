"""Several prompts at once, each as strong as its weight: their states in a row, with the logs of the weights.

Added to cross-attention's scores, log w multiplies a token's share of the attention by w: prompts fade into
each other without a model having learnt it, and a prompt blended with itself is itself. A prompt's weight is
divided among its tokens, so that a long one is not louder than a short one. In a melody model's prefix there
are no such scores to add to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from descant.model.conditions.text import TextStates
from descant.model.errors import ModelError


def blend(parts: Sequence[tuple[TextStates, float]]) -> TextStates:
    """(prompt, weight) pairs as one prompt: [sum of L, dim] states and the weights' logs.

    weight: finite, 0 or more; only their ratios count, and a prompt of weight 0 is left out. A prompt may be
    a blend itself. One prompt left: that prompt. Raises ModelError.
    """
    for states, weight in parts:
        if not isinstance(states, TextStates):
            raise _bad(f"One of {len(parts)} prompts to blend is {states!r}; allowed: encoded prompts")
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight < 0:
            raise _bad(f"A prompt's weight is {weight!r}; allowed: 0 and finite numbers above")
    largest = max((weight for _, weight in parts), default=0.0)
    if largest <= 0:
        raise _bad(f"None of {len(parts)} prompts has a weight; allowed: at least one above 0")
    scaled = [(states, weight / largest) for states, weight in parts]
    total = math.fsum(weight for _, weight in scaled)
    shares = [(states, weight / total) for states, weight in scaled if weight / total > 0]
    if len(shares) == 1:
        return shares[0][0]
    widths = sorted({states.states.shape[1] for states, _ in shares})
    if len(widths) > 1:
        raise _bad(f"The prompts' states are {widths} wide; allowed: one width, as one text encoder gives")
    logs = []
    for states, share in shares:
        tokens = states.states.shape[0]
        within = states.weights if states.weights is not None else torch.full((tokens,), -math.log(tokens))
        logs.append(math.log(share) + within)
    return TextStates(None, _joined(*(states.states for states, _ in shares)), torch.cat(logs))


@lru_cache(maxsize=64)
def _joined(*states: Tensor) -> Tensor:
    """In a row; of the same tensors the same one: a point that moves on a plane blends them by the dozen."""
    return torch.cat(states)


def _bad(what: str) -> ModelError:
    return ModelError(
        f"{what}.",
        "The prompt in use is unchanged.",
        "Blend what this model's own text encoder gives, with weights such as 0.7 and 0.3; no blank prompts.",
    )
