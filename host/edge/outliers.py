"""What makes quantising hard, put into weights on purpose: a few inputs far larger than the others.

Trained decoders of MusicGen's size have such channels and small ones have not, so a small model proves little
without them. Knows nothing about kernels.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from descant.model.lm.music_lm import MusicLm
from descant.model.lm.transformer import Layer

FACTOR = 20.0
LOUD = 6  # channels of each norm, and inputs of each matrix, unless another number is asked for


def same_function(lm: MusicLm, activations: bool = True, n: int = LOUD, seed: int = 1) -> MusicLm:
    """A copy that computes the same (to float32), some of its channels 20 times as large as before.

    activations: what attention, cross-attention, feed-forward and heads are given has loud channels, and the
    columns that read them are as much smaller; else those columns are loud and the channels are quiet.
    n: channels of each norm.
    """
    lm = copy.deepcopy(lm).requires_grad_(False)
    draw = torch.Generator().manual_seed(seed)
    factor = FACTOR if activations else 1.0 / FACTOR

    def move(norm: nn.LayerNorm, reader: nn.Linear) -> None:
        loud = _some(n, norm.weight.shape[0], draw)
        norm.weight[loud] *= factor
        norm.bias[loud] *= factor
        reader.weight[:, loud] /= factor

    for layer in lm.layers:
        assert isinstance(layer, Layer)
        move(layer.norm_self, layer.attention.qkv)
        move(layer.norm_ffn, layer.ffn_in)
        if layer.cross is not None and layer.norm_cross is not None:
            move(layer.norm_cross, layer.cross.q)
    move(lm.norm, lm.heads)
    return lm.eval()  # forgets weights that were packed before


def another_function(lm: MusicLm, n: int = LOUD, seed: int = 1) -> MusicLm:
    """lm itself with loud channels, and loud weights that read others, neither undone: for random weights."""
    lm.requires_grad_(False)
    draw = torch.Generator().manual_seed(seed)
    for layer in lm.layers:
        assert isinstance(layer, Layer)
        linears = [layer.attention.qkv, layer.attention.out, layer.ffn_in, layer.ffn_out]
        norms = [layer.norm_self, layer.norm_ffn]
        if layer.cross is not None and layer.norm_cross is not None:
            linears += [layer.cross.q, layer.cross.out]
            norms.append(layer.norm_cross)
        for norm in norms:
            norm.weight[_some(n, norm.weight.shape[0], draw)] *= FACTOR
        for linear in linears:
            linear.weight[:, _some(n, linear.in_features, draw)] *= FACTOR
            linear.weight[_some(n // 2, linear.out_features, draw)] *= FACTOR / 4.0
    lm.norm.weight[_some(n, lm.spec.dim, draw)] *= FACTOR
    return lm.eval()


def _some(n: int, size: int, draw: torch.Generator) -> Tensor:
    return torch.randperm(size, generator=draw)[:n]
