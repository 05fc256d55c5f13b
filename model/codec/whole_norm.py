"""Convolutions normalised over all time, as EnCodec's 48 kHz form has them: whole inputs only.

GroupNorm with one group after each convolution (transformers: norm_type "time_group_norm"): mean and variance
are those of all channels and all time, so no output is final before the last input.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from descant.model.codec.convolutions import Conv, ConvState, ConvTranspose, ConvTransposeState
from descant.model.errors import ModelError


class NormedConv(Conv):
    """`Conv`, then GroupNorm(1, C') over [C', time]. `step` takes the whole input at once or refuses."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, **shape: Any) -> None:
        super().__init__(in_channels, out_channels, kernel_size, **shape)
        self.norm = nn.GroupNorm(1, out_channels)

    def step(self, x: Tensor, state: ConvState, last: bool) -> Tensor:
        _check_whole(state.n_in, last)
        y = super().step(x, state, last)
        return self.norm(y) if y.shape[-1] else y


class NormedConvTranspose(ConvTranspose):
    """`ConvTranspose`, normalised before its surplus is trimmed. `step` takes the whole input or refuses."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, **shape: Any) -> None:
        super().__init__(in_channels, out_channels, kernel_size, **shape)
        self.norm = nn.GroupNorm(1, out_channels)

    def step(self, x: Tensor, state: ConvTransposeState, last: bool) -> Tensor:
        _check_whole(state.n_in, last)
        state.n_in = x.shape[-1]
        if not state.n_in:
            return self.bias.new_zeros(x.shape[0], self.bias.shape[0], 0)
        y: Tensor = self.norm(self._spread(x) + self.bias[:, None])
        return y[..., self.left : y.shape[-1] - self.right]


def _check_whole(n_before: int, last: bool) -> None:
    if n_before or not last:
        raise ModelError(
            "A part of an input was given to a layer that is normalised over all time; allowed: all of it.",
            "The layer is unchanged; whole inputs work.",
            "Stream this codec by chunks, with ChunkedEncodec's streams.",
        )
