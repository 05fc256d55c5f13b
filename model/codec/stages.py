"""What a layer that can be streamed is, and how such layers are joined.

A stage takes any number of inputs at a time and gives every output that is final; its state is an argument,
owned by the caller. Offline is the same code given everything at once. Knows nothing of particular layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class StageState:
    """What a stage remembers. Its tensors are replaced, never written into, so a copy may share them."""

    def clone(self) -> Self:
        """A copy that later steps of the original do not change."""
        return replace(self)


State = TypeVar("State", bound=StageState)


class Stage(nn.Module, Generic[State]):
    """A layer over time: [B, C, n] -> [B, C', m]."""

    def start(self, batch: int) -> State:
        """The state before the first input."""
        raise NotImplementedError

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        """Take x [B, C, n], n >= 0; give the outputs now final. last: no input will follow, give the rest."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """All inputs at once."""
        return self.step(x, self.start(x.shape[0]), last=True)


class Elu(Stage[StageState]):
    """Exponential linear unit: no memory."""

    def start(self, batch: int) -> StageState:
        return StageState()

    def step(self, x: Tensor, state: StageState, last: bool) -> Tensor:
        return F.elu(x)


@dataclass
class SequenceState(StageState):
    parts: list[StageState]

    def clone(self) -> Self:
        return replace(self, parts=[part.clone() for part in self.parts])


class Sequence(Stage[SequenceState]):
    """Stages one after the other."""

    def __init__(self, *stages: Stage[Any]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def start(self, batch: int) -> SequenceState:
        return SequenceState([stage.start(batch) for stage in self._typed()])

    def step(self, x: Tensor, state: SequenceState, last: bool) -> Tensor:
        for stage, part in zip(self._typed(), state.parts, strict=True):
            x = stage.step(x, part, last)
        return x

    def _typed(self) -> list[Stage[Any]]:
        return list(self.stages)  # type: ignore[arg-type]


@dataclass
class ResidualState(StageState):
    branch: SequenceState
    waiting: Tensor  # [B, C, n] skip values whose branch outputs do not exist yet

    def clone(self) -> Self:
        return replace(self, branch=self.branch.clone())


class Residual(Stage[ResidualState]):
    """branch(x) + skip(x), where skip has no memory and the branch may lag: skip values wait for it."""

    def __init__(self, dim: int, branch: Sequence, skip: nn.Module | None = None) -> None:
        super().__init__()
        self.dim, self.branch, self.skip = dim, branch, skip or nn.Identity()

    def start(self, batch: int) -> ResidualState:
        like = next(self.parameters())
        return ResidualState(self.branch.start(batch), like.new_zeros(batch, self.dim, 0))

    def step(self, x: Tensor, state: ResidualState, last: bool) -> Tensor:
        skipped = join(state.waiting, self.skip(x))
        y = self.branch.step(x, state.branch, last)
        n_out = y.shape[-1]
        state.waiting = skipped[..., n_out:].clone()
        return y + skipped[..., :n_out]


def join(*parts: Tensor) -> Tensor:
    """Parts [B, C, n_i] joined in time, without a copy when only one holds anything."""
    filled = [part for part in parts if part.shape[-1]]
    if len(filled) == 1:
        return filled[0]
    return torch.cat(filled, -1) if filled else parts[0]
