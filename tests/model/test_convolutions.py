"""Streamable convolutions are torch's own, padded by the published rule, whatever is cut where."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from descant.model.codec.convolutions import FEW_INPUTS, Conv, ConvTranspose
from descant.model.codec.encodec_spec import PadMode, split_padding
from descant.model.codec.stages import Stage
from descant.model.errors import ModelError

cuts = st.lists(st.integers(0, 9), max_size=6)


def stepped(stage: Stage[Any], x: Tensor, sizes: list[int]) -> Tensor:
    """x through the stage in pieces of these sizes, in one block that is used again, then the rest."""
    block = torch.empty(*x.shape[:2], 9, dtype=x.dtype)
    state, at = stage.start(x.shape[0]), 0
    outputs: list[Tensor] = []
    for size in sizes:
        piece = block[..., : x[..., at : at + size].shape[-1]]
        piece.copy_(x[..., at : at + size])
        outputs.append(stage.step(piece, state, last=False).clone())
        at += size
    outputs.append(stage.step(x[..., at:], state, last=False))
    return torch.cat([*outputs, stage.step(x[..., :0], state, last=True)], -1)


def padded_by_torch(x: Tensor, left: int, right: int, mode: PadMode) -> Tensor:
    if mode != "reflect":
        return F.pad(x, (left, right), mode)
    n_zeros = max(0, max(left, right) + 1 - x.shape[-1])
    longer = F.pad(F.pad(x, (0, n_zeros)), (left, right), "reflect")
    return longer[..., : longer.shape[-1] - n_zeros]


@given(
    kernel=st.integers(1, 8),
    stride=st.integers(1, 8),
    dilation=st.integers(1, 3),
    causal=st.booleans(),
    mode=st.sampled_from(["reflect", "constant", "replicate"]),
    n_inputs=st.integers(1, 40),
    sizes=cuts,
)
@example(kernel=8, stride=4, dilation=1, causal=False, mode="reflect", n_inputs=21, sizes=[9, 9])
@example(kernel=7, stride=1, dilation=1, causal=True, mode="reflect", n_inputs=12, sizes=[3, 3, 3])
@settings(max_examples=80, deadline=None)
def test_convolution(
    kernel: int, stride: int, dilation: int, causal: bool, mode: PadMode, n_inputs: int, sizes: list[int]
) -> None:
    stride = min(stride, (kernel - 1) * dilation + 1)
    torch.manual_seed(n_inputs)
    conv = Conv(2, 3, kernel, stride=stride, dilation=dilation, causal=causal, pad_mode=mode).double()
    x = torch.randn(2, 2, n_inputs, dtype=torch.float64)
    with torch.no_grad():
        padded = padded_by_torch(x, conv.left, conv.right + -n_inputs % stride, mode)
        expected = F.conv1d(padded, conv.weight, conv.bias, stride, 0, dilation)
        assert expected.shape[-1] == -(-n_inputs // stride)
        assert torch.allclose(conv(x), expected, rtol=0, atol=1e-12)
        assert torch.allclose(stepped(conv, x, sizes), expected, rtol=0, atol=1e-12)


@given(
    surplus=st.integers(0, 9),
    stride=st.integers(1, 6),
    causal=st.booleans(),
    ratio=st.sampled_from([0.0, 0.3, 1.0]),
    n_inputs=st.one_of(st.integers(0, 12), st.integers(FEW_INPUTS, FEW_INPUTS + 2)),
    sizes=cuts,
)
@settings(max_examples=80, deadline=None)
def test_transposed_convolution(
    surplus: int, stride: int, causal: bool, ratio: float, n_inputs: int, sizes: list[int]
) -> None:
    torch.manual_seed(n_inputs)
    up = ConvTranspose(3, 2, stride + surplus, stride=stride, causal=causal, trim_right_ratio=ratio).double()
    x = torch.randn(2, 3, n_inputs, dtype=torch.float64)
    left, right = split_padding(stride + surplus, stride, causal, ratio)
    with torch.no_grad():
        expected = x.new_zeros(2, 2, 0)
        if n_inputs:
            full = F.conv_transpose1d(x, up.weight, up.bias, stride)
            expected = full[..., left : full.shape[-1] - right]
        assert expected.shape[-1] == n_inputs * stride
        assert torch.allclose(up(x), expected, rtol=0, atol=1e-12)
        assert torch.allclose(stepped(up, x, sizes), expected, rtol=0, atol=1e-12)


def test_a_kernel_shorter_than_its_stride_is_refused() -> None:
    with pytest.raises(ModelError, match="stride of 3"):
        Conv(1, 1, 2, stride=3, causal=True, pad_mode="constant")
    with pytest.raises(ModelError, match="stride of 3"):
        ConvTranspose(1, 1, 2, stride=3, causal=True)
