"""The LSTM between convolutions and quantizer, as a stage: its state holds all it has heard."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from descant.model.codec.stages import Stage, StageState


@dataclass
class LstmState(StageState):
    hidden: list[Tensor]  # of each layer [B, dim]
    cell: list[Tensor]  # of each layer [B, dim]

    def clone(self) -> LstmState:
        return LstmState(list(self.hidden), list(self.cell))


class ResidualLstm(Stage[LstmState]):
    """LSTM(x) + x over [B, dim, n], from a zero state.

    `lstm` holds the weights under their published names and is never called: torch's kernel lays all weights
    out anew on each call, for every frame some ten times the work of the products themselves.
    """

    def __init__(self, dim: int, n_layers: int) -> None:
        super().__init__()
        self.dim, self.n_layers = dim, n_layers
        self.lstm = nn.LSTM(dim, dim, n_layers)

    def start(self, batch: int) -> LstmState:
        zeros = next(self.lstm.parameters()).new_zeros(batch, self.dim)
        return LstmState([zeros] * self.n_layers, [zeros] * self.n_layers)

    def step(self, x: Tensor, state: LstmState, last: bool) -> Tensor:
        if x.shape[-1] == 0:
            return x
        y = x.permute(2, 0, 1)  # [n, B, dim]
        for layer in range(self.n_layers):
            y = self._layer(y, layer, state)
        return y.permute(1, 2, 0) + x

    def _layer(self, x: Tensor, layer: int, state: LstmState) -> Tensor:
        names = (f"{name}_l{layer}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        weight_ih, weight_hh, bias_ih, bias_hh = (self.lstm.get_parameter(name) for name in names)
        # The input's share of all steps at once; the rest can only go step by step.
        from_input = F.linear(x, weight_ih, bias_ih + bias_hh)
        recurrent = weight_hh.t()
        hidden, cell = state.hidden[layer], state.cell[layer]
        outputs = []
        for gates in from_input.unbind(0):
            remember_new, keep, candidate, give = torch.addmm(gates, hidden, recurrent).chunk(4, -1)
            cell = keep.sigmoid() * cell + remember_new.sigmoid() * candidate.tanh()
            hidden = give.sigmoid() * cell.tanh()
            outputs.append(hidden)
        state.hidden[layer], state.cell[layer] = hidden, cell
        return torch.stack(outputs)
