"""EnCodec's 48 kHz form is transformers' EncodecModel: codes, scales, waves, at any length and bandwidth."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from descant.model.codec.chunk_streams import ChunkCodes
from descant.model.codec.chunked import ChunkedEncodec
from descant.model.codec.encodec_keys import bandwidth_codebooks
from descant.model.codec.encodec_spec import encodec_48khz
from tests.model.encodec_kit import (
    STEREO_48KHZ,
    TINY_CHUNKS,
    agree,
    error,
    ours_of,
    pair,
    random_wave,
    same_chunks,
    varied,
)

LENGTH, STRIDE, HOP = 800, 788, 8  # of TINY_CHUNKS
# transformers cannot stack, or not join, the chunks of these: the last one is too short
FAILING = [STRIDE + 5, STRIDE + 8, 2 * STRIDE + 1, 2 * STRIDE + 4, 2 * STRIDE + 5, 2 * STRIDE + 8]


@pytest.fixture(scope="module")
def tiny() -> tuple[Any, ChunkedEncodec]:
    return pair(**TINY_CHUNKS)


def theirs_by_chunk(theirs: Any, wave: Tensor) -> tuple[list[tuple[Tensor, Tensor | None]], Tensor]:
    """Each chunk through transformers, joined by its formula up to the end of the last, of any length."""
    length, stride = theirs.config.chunk_length, theirs.config.chunk_stride
    bandwidth = theirs.config.target_bandwidths[-1]
    starts = range(0, wave.shape[-1], stride)
    with torch.no_grad():
        codes = [theirs._encode_frame(wave[..., at : at + length], bandwidth) for at in starts]
        parts = [theirs._decode_frame(*each) for each in codes]
    end = starts[-1] + parts[-1].shape[-1]
    window = 0.5 - (torch.linspace(0, 1, parts[0].shape[-1] + 2, dtype=wave.dtype)[1:-1] - 0.5).abs()
    total, weights = parts[0].new_zeros(*parts[0].shape[:-1], end + length), wave.new_zeros(end + length)
    for at, part in zip(starts, parts, strict=True):
        n = part.shape[-1]
        total[..., at : at + n] += window[:n] * part
        weights[at : at + n] += window[:n]
    return codes, total[..., :end] / weights[:end]


@pytest.mark.parametrize(
    "n_samples", [1, 2, 7, 8, 9, 50, 640, 787, 788, 789, 792, 797, 800, 801, 1576, 1585, 1588, 1589, 2001]
)
def test_codes_scales_and_waves_are_transformers(tiny: tuple[Any, ChunkedEncodec], n_samples: int) -> None:
    theirs, ours = tiny
    wave = random_wave(2, n_samples, 2, dtype=torch.float64) * torch.tensor([1.0, 0.01])[:, None, None]
    with torch.no_grad():
        expected = theirs.encode(wave, bandwidth=1.5)
        audio = theirs.decode(
            expected.audio_codes,
            expected.audio_scales,
            last_frame_pad_length=expected.last_frame_pad_length,
        ).audio_values
    chunks = ours.encode_scaled(wave)
    n_last = expected.audio_codes.shape[-1] - expected.last_frame_pad_length
    codes = [*expected.audio_codes[:-1], expected.audio_codes[-1][..., :n_last]]
    same_chunks(chunks, list(zip(codes, expected.audio_scales, strict=True)))
    assert n_samples < 100 or varied(chunks[0].codes)
    decoded = ours.decode_scaled(chunks)
    assert decoded.shape[-1] >= n_samples
    assert error(decoded, audio) <= 1e-10 * max(1.0, float(audio.abs().max()))


@pytest.mark.parametrize("n_samples", FAILING)
def test_lengths_at_which_transformers_fails(tiny: tuple[Any, ChunkedEncodec], n_samples: int) -> None:
    theirs, ours = tiny
    wave = random_wave(2, n_samples, dtype=torch.float64)
    with pytest.raises(RuntimeError), torch.no_grad():
        made = theirs.encode(wave, bandwidth=1.5)
        theirs.decode(made.audio_codes, made.audio_scales, last_frame_pad_length=made.last_frame_pad_length)
    codes, audio = theirs_by_chunk(theirs, wave)
    chunks = ours.encode_scaled(wave)
    same_chunks(chunks, codes)
    assert audio.shape[-1] >= n_samples and varied(chunks[0].codes)
    assert error(ours.decode_scaled(chunks), audio) <= 1e-10 * max(1.0, float(audio.abs().max()))


OTHER_FORMS: dict[str, dict[str, Any]] = {
    "mono": {"audio_channels": 1},
    "no overlap": {"overlap": 0.0},
    "chunks of no whole number of frames": {"chunk_length_s": 0.33, "overlap": 0.1},
    "three chunks at a time": {"overlap": 0.6, "chunk_length_s": 0.2},
    "weight norm, causal": {"norm_type": "weight_norm", "use_causal_conv": True},
    "as loud as it is": {"normalize": False},
}


@pytest.mark.parametrize("form", OTHER_FORMS.values(), ids=OTHER_FORMS.keys())
def test_other_forms_in_chunks(form: dict[str, Any]) -> None:
    theirs, ours = pair(**(TINY_CHUNKS | form))
    for n_samples in (3, 265, 1000):
        wave = random_wave(ours.spec.channels, n_samples, dtype=torch.float64)
        codes, audio = theirs_by_chunk(theirs, wave)
        chunks = ours.encode_scaled(wave)
        same_chunks(chunks, codes)
        assert n_samples < 100 or varied(chunks[0].codes)
        assert error(ours.decode_scaled(chunks), audio) <= 1e-10 * max(1.0, float(audio.abs().max()))


def test_48khz_geometry_at_every_bandwidth() -> None:
    theirs, ours = pair(torch.float32, **STEREO_48KHZ)
    shape = ours.shape
    assert shape == encodec_48khz()
    assert sum(value.numel() for value in ours.parameters()) == 14_856_294
    assert (shape.chunk_length, shape.chunk_stride, shape.chunk_frames) == (48_000, 47_520, 150)
    table = bandwidth_codebooks(theirs.config.to_dict())
    assert table == {3.0: 2, 6.0: 4, 12.0: 8, 24.0: 16}
    compare(theirs, 24.0, 50_001)
    theirs.double()
    for bandwidth, n_codebooks in table.items():
        assert ours_of(theirs, bandwidth).shape == encodec_48khz(n_codebooks)
        compare(theirs, bandwidth, 1601)


def compare(theirs: Any, bandwidth: float, n_samples: int) -> None:
    ours, dtype = ours_of(theirs, bandwidth), theirs.dtype
    wave = random_wave(2, n_samples, dtype=dtype)
    with torch.no_grad():
        made = theirs.encode(wave, bandwidth=bandwidth)
        n_short = made.last_frame_pad_length
        audio = theirs.decode(made.audio_codes, made.audio_scales, last_frame_pad_length=n_short).audio_values
    codes = [*made.audio_codes[:-1], made.audio_codes[-1][..., : made.audio_codes.shape[-1] - n_short]]
    chunks = ours.encode_scaled(wave)
    assert varied(chunks[0].codes) and len(chunks) == len(codes)
    for chunk, expected, scale in zip(chunks, codes, made.audio_scales, strict=True):
        assert agree(chunk.codes, expected, dtype) and torch.equal(chunk.scale, scale)
    again = [ChunkCodes(one, scale) for one, scale in zip(codes, made.audio_scales, strict=True)]
    allowed = 1e-10 if dtype == torch.float64 else 1e-5
    assert error(ours.decode_scaled(again), audio) <= allowed * max(1.0, float(audio.abs().max()))


def test_silence_has_a_scale_and_stays_silence(tiny: tuple[Any, ChunkedEncodec]) -> None:
    _, ours = tiny
    (chunk,) = ours.encode_scaled(torch.zeros(1, 2, 100, dtype=torch.float64))
    assert float(chunk.scale) == pytest.approx(1e-8)
    assert ours.decode_scaled([chunk]).abs().max() < 1e-6


def test_codes_in_a_row_are_the_chunks_without_their_scales(tiny: tuple[Any, ChunkedEncodec]) -> None:
    _, ours = tiny
    for n_samples, repeats in ((700, False), (2000, False), (STRIDE + 3, True), (2 * STRIDE + 12, True)):
        wave = random_wave(2, n_samples, dtype=torch.float64)
        chunks = ours.encode_scaled(wave)
        heard = chunks[:-1] if repeats else chunks  # the last one lies within the one before
        codes = ours.encode(wave)
        assert torch.equal(codes, torch.cat([chunk.codes for chunk in heard], -1))
        plain = ours.decode_scaled([ChunkCodes(chunk.codes, None) for chunk in heard])
        assert torch.equal(ours.decode(codes), plain) and plain.shape[-1] >= n_samples
