"""Words to token states: what a prompt may be, and the frozen encoder with a memory of recent prompts.

Knows nothing about files or which network it is (MiniLM, T5, CLAP). A prompt that is None, empty or only
blanks is the null text; one of more than MAX_CHARACTERS is refused; one of more word pieces than the encoder
takes is cut there (the end mark stays). B rows, L tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from descant.model.errors import ModelError

MAX_CHARACTERS = 2000
MAX_TOKENS = 128  # word pieces, where an encoder does not say otherwise
REMEMBERED = 64  # prompts


@dataclass(frozen=True, eq=False)
class TextStates:
    """An encoded prompt. text: the words, or None if only the states are known. states: [L, text_dim]
    float32.

    weights: [L] float32, finite, of a blend of several prompts (see text_blend): the log of each token's
        prompt's weight, to be added to cross-attention's scores. None: a single prompt.
    """

    text: str | None
    states: Tensor
    weights: Tensor | None = None


class Encoding(Protocol):
    """What a tokenizer gives."""

    @property
    def ids(self) -> Sequence[int]: ...


class Tokenizer(Protocol):
    """The part of `tokenizers.Tokenizer` that is used: special tokens added, nothing padded or cut."""

    def encode(self, sequence: str) -> Encoding: ...


class Width(Protocol):
    """What a network's spec tells."""

    @property
    def dim(self) -> int: ...


class TextNetwork(Protocol):
    """A frozen network behind a tokenizer: MiniLm, T5, ClapText."""

    @property
    def spec(self) -> Width: ...

    def states(self, tokens: Tensor) -> Tensor:
        """tokens: [L] int64, L >= 1 -> [L or fewer, spec.dim] float32."""
        ...


class PromptEncoder(Protocol):
    """What a model asks of its text encoder, whether one network or several side by side are behind it."""

    @property
    def dim(self) -> int:
        """Width of a state."""
        ...

    def encode(self, text: str) -> TextStates | None:
        """The prompt's states; None for a blank one. Raises ModelError."""
        ...


class TextEncoder:
    """str -> TextStates by a tokenizer and a network that belong together.

    The last prompts are remembered, so asking again costs nothing. max_tokens: word pieces a prompt may have,
    marks included, at most what the network takes.
    """

    def __init__(self, tokenizer: Tokenizer, network: TextNetwork, max_tokens: int = MAX_TOKENS) -> None:
        self._tokenizer = tokenizer
        self._network = network
        self.max_tokens = max_tokens
        self._recent: OrderedDict[str, TextStates] = OrderedDict()

    @property
    def dim(self) -> int:
        """Width of a state."""
        return self._network.spec.dim

    def encode(self, text: str) -> TextStates | None:
        """States of all word pieces with the tokenizer's marks (T5: an end mark; MiniLM, CLAP: a begin mark,
        too), or CLAP's one state; None for a blank prompt. Raises ModelError.
        """
        text = check_prompt(text)
        if not text:
            return None
        known = self._recent.pop(text, None)
        if known is None:
            ids = list(self._tokenizer.encode(text).ids)
            if len(ids) > self.max_tokens:
                ids = ids[: self.max_tokens - 1] + ids[-1:]
            known = TextStates(text, self._network.states(torch.tensor(ids)))
        self._recent[text] = known
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        return known


def check_prompt(text: object) -> str:
    """The prompt without blanks around it. Raises ModelError if it is no text, no Unicode or too long."""
    if not isinstance(text, str):
        raise ModelError(
            f"A prompt must be text, not {type(text).__name__}.",
            "The prompt in use is unchanged.",
            "Give the words that describe the music, or None.",
        )
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # half characters: bytes that were no UTF-8
        raise ModelError(
            f"The prompt {text[:40]!r} is not valid Unicode; allowed: whole characters, no lone surrogates.",
            "The prompt in use is unchanged.",
            "Decode the words as what they are encoded in, usually UTF-8.",
        )
    if len(text) > MAX_CHARACTERS:
        raise ModelError(
            f"The prompt has {len(text)} characters; allowed: up to {MAX_CHARACTERS}.",
            "The prompt in use is unchanged.",
            "Shorten it: genre, instruments, mood and tempo in a sentence work best.",
        )
    return text.strip()


def pad_states(rows: Sequence[TextStates | None], dim: int) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Rows of different length as one tensor: [B, L, dim] float32, zero-padded, and its mask [B, L] bool.

    None stands for the null text: its mask is all False. All null: (None, None).
    """
    longest = max((row.states.shape[0] for row in rows if row is not None), default=0)
    if longest == 0:
        return None, None
    states = torch.zeros(len(rows), longest, dim)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for index, row in enumerate(rows):
        if row is not None:
            states[index, : row.states.shape[0]] = row.states
            mask[index, : row.states.shape[0]] = True
    return states, mask


def pad_weights(rows: Sequence[TextStates | None]) -> Tensor | None:
    """The weights of rows as pad_states pads them: [B, L] float32, zeros for single prompts and padding.

    None if no row is a blend, so that nothing has to be added to scores.
    """
    if all(row is None or row.weights is None for row in rows):
        return None
    longest = max(row.states.shape[0] for row in rows if row is not None)
    weights = torch.zeros(len(rows), longest)
    for index, row in enumerate(rows):
        if row is not None and row.weights is not None:
            weights[index, : row.weights.shape[0]] = row.weights
    return weights
