"""EnCodecs for tests: tiny random ones of every form, alone or with transformers' own, and ways to cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers import EncodecConfig, EncodecModel

from descant.model.codec.chunk_streams import ChunkCodes
from descant.model.codec.chunked import build_encodec
from descant.model.codec.convolutions import Conv
from descant.model.codec.encodec_keys import encodec_spec, encodec_state
from descant.model.codec.encodec_spec import EncodecSpec, encodec_24khz, encodec_32khz, encodec_48khz
from descant.model.codec.quantizer import nearest

MONO_32KHZ: dict[str, Any] = {
    "sampling_rate": 32_000,
    "upsampling_ratios": [8, 5, 4, 4],
    "num_filters": 64,
    "codebook_size": 2048,
    "target_bandwidths": [2.2],
    "use_causal_conv": False,
    "use_conv_shortcut": False,
}
STEREO_48KHZ: dict[str, Any] = {
    "sampling_rate": 48_000,
    "audio_channels": 2,
    "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
    "norm_type": "time_group_norm",
    "normalize": True,
    "chunk_length_s": 1.0,
    "overlap": 0.01,
    "use_causal_conv": False,
}
TINY: dict[str, Any] = {"num_filters": 4, "hidden_size": 8, "codebook_size": 32, "target_bandwidths": [1.5]}
# 100 frames of 8 samples a chunk; as in the real one, a chunk repeats 1.5 frames of the one before.
TINY_CHUNKS: dict[str, Any] = {
    **STEREO_48KHZ,
    **TINY,
    "sampling_rate": 800,
    "upsampling_ratios": [4, 2],
    "overlap": 0.015,
}


def pair(dtype: torch.dtype = torch.float64, seed: int = 0, **config: Any) -> tuple[Any, Any]:
    """transformers' model with random weights and filled codebooks, and ours with the same.

    In float64 equal functions give equal codes; in float32 either of two equally near codes may be taken.
    """
    torch.manual_seed(seed)
    theirs = EncodecModel(EncodecConfig(**config)).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if name.endswith("original0"):
                parameter.mul_(1 + 0.2 * torch.rand_like(parameter))  # gains that differ from the norms
            if ".norm." in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
        fill(theirs)
    theirs.to(dtype)
    return theirs, ours_of(theirs)


def fill(theirs: Any) -> None:
    """Codebooks that its random encoder makes use of; as it comes they are all zero."""
    layers, config = theirs.quantizer.layers, theirs.config
    latent = theirs.encoder(0.3 * torch.randn(4, config.audio_channels, 9600))
    for layer, codebook in zip(layers, fitting(latent, len(layers), config.codebook_size)):
        layer.codebook.embed.copy_(codebook)


def ours_of(theirs: Any, bandwidth: float | None = None) -> Any:
    """Our codec with the weights of transformers' one, at a bandwidth (kbit/s) or with all its codebooks."""
    shape = encodec_spec(theirs.config.to_dict(), bandwidth=bandwidth)
    ours = build_encodec(shape).to(theirs.dtype)
    ours.load_state_dict(encodec_state(theirs.state_dict(), shape.n_codebooks))
    return ours


def fitting(latent: Tensor, n_codebooks: int, cardinality: int) -> list[Tensor]:
    """Random codebooks, spread as what each has to code of latent [B, D, F]: many entries are used."""
    residual, codebooks = latent.transpose(1, 2).flatten(0, 1), []
    for _ in range(n_codebooks):
        shape = (cardinality, residual.shape[1])
        codebooks.append(residual.mean(0) + residual.std(0) * torch.randn(shape, dtype=residual.dtype))
        residual = residual - codebooks[-1][nearest(residual, codebooks[-1])]
    return codebooks


def agree(codes: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    """Whether codes [B, K, F] are the expected ones: all in float64, 99 of 100 in float32 (see `pair`)."""
    assert codes.shape == expected.shape
    return float((codes == expected).double().mean()) >= (1.0 if dtype == torch.float64 else 0.99)


def varied(codes: Tensor) -> bool:
    """Whether codes [B, K, F] of every codebook change, so that being equal says something."""
    return all(row.unique().numel() > 1 for row in codes.transpose(0, 1))


def small(shape: EncodecSpec) -> EncodecSpec:
    return replace(shape, n_filters=2, latent_dim=6, cardinality=16, n_codebooks=3)


CAUSAL = small(encodec_24khz())
NON_CAUSAL = small(encodec_32khz())
LIVE = replace(CAUSAL, pad_mode="constant")  # the low-latency form: no reflected edge to wait for
STEREO = replace(NON_CAUSAL, channels=2, ratios=(3, 2), n_residual_layers=2, conv_shortcut=True)
# the same kernels over few samples: for cuts of single samples
FINE_CAUSAL = replace(CAUSAL, ratios=(3, 2))
FINE = replace(NON_CAUSAL, ratios=(4, 2))
CHUNKS = replace(small(encodec_48khz()), sample_rate=200, ratios=(4, 2), overlap=0.06)  # 25 frames a chunk


@cache
def make(shape: EncodecSpec, dtype: torch.dtype = torch.float64) -> Any:
    """Random weights with an output peak near 1. Shared by all that ask: do not change them."""
    torch.manual_seed(0)
    codec = build_encodec(shape)
    with torch.no_grad():
        latent = codec.encoder(random_wave(shape.channels, 64 * shape.hop_length, 4))
        fitted = fitting(latent, shape.n_codebooks, shape.cardinality)
        codec.quantizer.codebooks.copy_(torch.stack(fitted))
    peak = codec.decode(random_codes(shape, 20)).abs().max()
    last = codec.decoder.stages[-1]
    assert isinstance(last, Conv)
    with torch.no_grad():
        if shape.norm == "weight":  # normalised, it is near 1 already
            last.weight.div_(peak)
            last.bias.div_(peak)
    return codec.to(dtype)


def random_codes(shape: EncodecSpec, n_frames: int, batch: int = 1, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(shape.cardinality, (batch, shape.n_codebooks, n_frames), generator=draw)


def random_wave(
    channels: int, n_samples: int, batch: int = 1, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(batch, channels, n_samples, generator=draw, dtype=dtype)


def cut(x: Tensor, sizes: int | Sequence[int]) -> list[Tensor]:
    """x in pieces along time: all of one size, or of the given sizes and then the rest."""
    if isinstance(sizes, int):
        return list(x.split(sizes, -1)) if x.shape[-1] else []
    pieces, at = [], 0
    for size in sizes:
        pieces.append(x[..., at : at + size])
        at += size
    return [*pieces, x[..., at:]]


def pushed(stream: Any, x: Tensor, sizes: int | Sequence[int]) -> Tensor:
    """All that a stream gives for x in pieces, and then its end."""
    return torch.cat([*(stream.push(piece) for piece in cut(x, sizes)), stream.flush()], -1)


def streamed(codec: Any, codes: Tensor, sizes: int | Sequence[int]) -> Tensor:
    return pushed(codec.decode_stream(codes.shape[0]), codes, sizes)


def stream_encoded(codec: Any, wave: Tensor, sizes: int | Sequence[int]) -> Tensor:
    return pushed(codec.encode_stream(wave.shape[0]), wave, sizes)


def error(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max()) if a.numel() else 0.0


def same_chunks(chunks: Sequence[ChunkCodes], expected: Sequence[tuple[Tensor, Tensor | None]]) -> None:
    """Assert that chunks have the expected codes and scales."""
    assert len(chunks) == len(expected)
    for chunk, (codes, scale) in zip(chunks, expected, strict=True):
        assert torch.equal(chunk.codes, codes)
        assert scale is None if chunk.scale is None else torch.equal(chunk.scale, scale)
