"""EnCodec's encoder and decoder as sequences of stages; slot numbers are those of the published weights.

Knows nothing about streams, quantizers or files.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from descant.model.codec.convolutions import Conv, ConvTranspose
from descant.model.codec.encodec_spec import EncodecSpec
from descant.model.codec.lstm import ResidualLstm
from descant.model.codec.stages import Elu, Residual, Sequence, Stage
from descant.model.codec.whole_norm import NormedConv, NormedConvTranspose


def build_encoder(spec: EncodecSpec) -> Sequence:
    """wave [B, channels, T] -> latent [B, latent_dim, ceil(T / hop)]."""
    conv = _conv(spec)
    width = spec.n_filters
    stages: list[Stage[Any]] = [conv(spec.channels, width, spec.kernel_size)]
    for ratio in reversed(spec.ratios):
        stages += _residuals(spec, width)
        stages += [Elu(), conv(width, 2 * width, 2 * ratio, stride=ratio)]
        width *= 2
    stages += [
        ResidualLstm(width, spec.n_lstm_layers),
        Elu(),
        conv(width, spec.latent_dim, spec.last_kernel_size),
    ]
    return Sequence(*stages)


def build_decoder(spec: EncodecSpec) -> Sequence:
    """latent [B, latent_dim, F] -> wave [B, channels, F * hop]."""
    conv, up = _conv(spec), _conv_transpose(spec)
    width = spec.lstm_dim
    stages: list[Stage[Any]] = [
        conv(spec.latent_dim, width, spec.kernel_size),
        ResidualLstm(width, spec.n_lstm_layers),
    ]
    for ratio in spec.ratios:
        stages += [Elu(), up(width, width // 2, 2 * ratio, stride=ratio)]
        width //= 2
        stages += _residuals(spec, width)
    stages += [Elu(), conv(width, spec.channels, spec.last_kernel_size)]
    return Sequence(*stages)


def _residuals(spec: EncodecSpec, width: int) -> list[Stage[Any]]:
    conv = _conv(spec)
    narrow = width // spec.compress
    return [
        Residual(
            width,
            Sequence(
                Elu(),
                conv(width, narrow, spec.residual_kernel_size, dilation=spec.dilation_growth**layer),
                Elu(),
                conv(narrow, width, 1),
            ),
            conv(width, width, 1) if spec.conv_shortcut else None,
        )
        for layer in range(spec.n_residual_layers)
    ]


def _conv(spec: EncodecSpec) -> Callable[..., Conv]:
    kind = NormedConv if spec.norm == "group" else Conv
    return partial(kind, causal=spec.causal, pad_mode=spec.pad_mode)


def _conv_transpose(spec: EncodecSpec) -> Callable[..., ConvTranspose]:
    kind = NormedConvTranspose if spec.norm == "group" else ConvTranspose
    return partial(kind, causal=spec.causal, trim_right_ratio=spec.trim_right_ratio)
