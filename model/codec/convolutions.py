"""Convolutions over time as stages: padded, strided, transposed; the same result however the input is cut.

Positions are counted on the padded time line: input i stands at left + i. Weight norms are folded before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from descant.model.codec.encodec_spec import PadMode, split_padding
from descant.model.codec.stages import Stage, StageState, join
from descant.model.errors import ModelError

# Up to so many inputs a transposed convolution runs as a plain matrix product: torch's kernel lays the
# weights out anew on each call, up to ten times the work of the product itself.
FEW_INPUTS = 32


@dataclass
class ConvState(StageState):
    buffer: Tensor  # [B, C, n] the last inputs, with the left pad before them while it is in reach
    n_in: int = 0  # inputs so far
    n_out: int = 0  # outputs so far
    started: bool = False  # the left pad is known and stands in the buffer


class Conv(Stage[ConvState]):
    """Convolution that gives ceil(n_in / stride) outputs: padded left, right, and to a full last window."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        causal: bool,
        pad_mode: PadMode,
    ) -> None:
        super().__init__()
        self.stride, self.dilation, self.pad_mode = stride, dilation, pad_mode
        self.span = (kernel_size - 1) * dilation + 1  # inputs a window covers
        _check_kernel(self.span, stride)
        self.left, self.right = split_padding(self.span, stride, causal)
        # The right pad is built from the last inputs; the last window may need up to stride - 1 more of it.
        self.reach = 0 if pad_mode == "constant" else self.right + stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels))
        _initialise(self.weight, self.bias, in_channels * kernel_size)

    def start(self, batch: int) -> ConvState:
        return ConvState(self.weight.new_zeros(batch, self.weight.shape[1], 0))

    def step(self, x: Tensor, state: ConvState, last: bool) -> Tensor:
        state.n_in += x.shape[-1]
        buffer = join(state.buffer, x)
        if not state.started:
            # A reflected edge of `left` values mirrors inputs 1..left, so it is known with input left + 1.
            if state.n_in > (self.left if self.pad_mode == "reflect" else 0):
                buffer = join(self._edge(buffer, self.left, 0), buffer)
                state.started = True
            elif not last:
                state.buffer = buffer.clone()  # it may be the caller's own
                return self._nothing(x)
        end = self.left + state.n_in  # position just past the buffer
        if last:
            if state.n_in == 0:
                return self._nothing(x)
            missing = -state.n_in % self.stride  # so that the last window is full
            buffer, end = self._close(buffer, state, self.right + missing), end + self.right + missing
        ready = end - state.n_out * self.stride  # values from the next window's first on
        n_new = max(0, (ready - self.span) // self.stride + 1)
        y = self._convolve(buffer[..., buffer.shape[-1] - ready :], n_new) if n_new else self._nothing(x)
        state.n_out += n_new
        keep = max(ready - n_new * self.stride, self.reach)
        state.buffer = buffer[..., max(0, buffer.shape[-1] - keep) :].clone()
        return y

    def _convolve(self, window: Tensor, n_new: int) -> Tensor:
        window = window[..., : (n_new - 1) * self.stride + self.span]
        return F.conv1d(window, self.weight, self.bias, self.stride, 0, self.dilation)

    def _close(self, buffer: Tensor, state: ConvState, right: int) -> Tensor:
        """The buffer with the right pad after it."""
        if self.pad_mode != "reflect" or state.n_in > max(self.left, right):
            return join(buffer, self._edge(buffer, 0, right))
        # Shorter than its own reflection: zeros make it long enough first, as many are dropped at the end.
        # All inputs are still in the buffer; the pads are built anew around them.
        inputs = buffer[..., buffer.shape[-1] - state.n_in :]
        n_zeros = max(self.left, right) + 1 - state.n_in
        longer = F.pad(inputs, (0, n_zeros))
        padded = join(self._edge(longer, self.left, 0), longer, self._edge(longer, 0, right))
        return padded[..., : padded.shape[-1] - n_zeros]

    def _edge(self, x: Tensor, left: int, right: int) -> Tensor:
        """The left or the right pad of x (one of the two lengths is 0)."""
        n, length = left + right, x.shape[-1]
        if self.pad_mode == "reflect":
            return x[..., 1 : n + 1].flip(-1) if left else x[..., length - 1 - n : length - 1].flip(-1)
        if self.pad_mode == "replicate":
            return (x[..., :1] if left else x[..., -1:]).expand(-1, -1, n)
        return x.new_zeros(*x.shape[:2], n)

    def _nothing(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], self.weight.shape[0], 0)


@dataclass
class ConvTransposeState(StageState):
    tail: Tensor  # [B, C', kernel_size - stride] what inputs so far add to outputs to come, without the bias
    last: Tensor  # [B, C, 1] the last input; native kernels go on from it
    n_in: int = 0


class ConvTranspose(Stage[ConvTransposeState]):
    """Transposed convolution that gives n_in * stride outputs: the surplus is trimmed left and right."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int,
        causal: bool,
        trim_right_ratio: float = 1.0,
    ) -> None:
        super().__init__()
        _check_kernel(kernel_size, stride)
        self.stride, self.overlap = stride, kernel_size - stride
        self.left, self.right = split_padding(kernel_size, stride, causal, trim_right_ratio)
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels))
        _initialise(self.weight, self.bias, in_channels * kernel_size // stride)

    def start(self, batch: int) -> ConvTransposeState:
        tail = self.weight.new_zeros(batch, self.weight.shape[1], self.overlap)
        return ConvTransposeState(tail, self.weight.new_zeros(batch, self.weight.shape[0], 1))

    def tail_of(self, x: Tensor) -> Tensor:
        """What inputs x [B, C, n] add to outputs to come, if those before them add nothing any more."""
        return self._spread(x)[..., x.shape[-1] * self.stride :].contiguous()

    def step(self, x: Tensor, state: ConvTransposeState, last: bool) -> Tensor:
        n = x.shape[-1]
        y = state.tail  # from output position n_in * stride on
        if n:
            y = self._spread(x)
            y[..., : self.overlap] += state.tail
            state.last = x[..., -1:].clone()
        from_output, ready = state.n_in * self.stride, n * self.stride
        state.n_in += n
        state.tail = y[..., ready:].clone()
        if last and state.n_in:
            ready += self.overlap - self.right
        skip = min(max(self.left - from_output, 0), ready)  # the stream's first `left` outputs are trimmed
        # The bias belongs to each output once, so it is added here and never kept in the tail.
        return y[..., skip:ready] + self.bias[:, None]

    def _spread(self, x: Tensor) -> Tensor:
        """[B, C, n] -> [B, C', (n - 1) * stride + kernel_size]: all that x adds, without the bias."""
        if x.shape[-1] > FEW_INPUTS:
            return F.conv_transpose1d(x, self.weight, None, self.stride)
        parts = x.transpose(1, 2) @ self.weight.flatten(1)  # [B, n, C' * kernel_size]
        kernel_size = self.stride + self.overlap
        length = (x.shape[-1] - 1) * self.stride + kernel_size
        columns = parts.transpose(1, 2)
        return F.fold(columns, (1, length), (1, kernel_size), stride=(1, self.stride)).squeeze(2)


def _check_kernel(span: int, stride: int) -> None:
    if span < stride:
        raise ModelError(
            f"A kernel over {span} values was given a stride of {stride}; 1..{span} are allowed.",
            "No layer was made.",
            "Use a kernel at least as long as its stride.",
        )


def _initialise(weight: Tensor, bias: Tensor, fan_in: int) -> None:
    bound = 1.0 / math.sqrt(fan_in)
    nn.init.uniform_(weight, -bound, bound)
    nn.init.uniform_(bias, -bound, bound)
