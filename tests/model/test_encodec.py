"""EnCodec streamed is EnCodec at once, however it is cut; what it waits for is what its spec computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from descant.model.codec.codec import Codec, DecodeStream, LiveCodec
from descant.model.codec.encodec import Encodec
from descant.model.codec.encodec_spec import EncodecSpec, encodec_24khz, encodec_32khz
from descant.model.errors import ModelError
from tests.model.encodec_kit import (
    CAUSAL,
    FINE,
    FINE_CAUSAL,
    LIVE,
    NON_CAUSAL,
    STEREO,
    error,
    make,
    random_codes,
    random_wave,
    stream_encoded,
    streamed,
    varied,
)

SHAPES = {"causal": CAUSAL, "non-causal": NON_CAUSAL, "live": LIVE, "stereo": STEREO}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
FINE_SHAPES = {"causal": FINE_CAUSAL, "non-causal": FINE, "stereo": STEREO}
every_fine_shape = pytest.mark.parametrize("shape", FINE_SHAPES.values(), ids=FINE_SHAPES.keys())


@every_shape
@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_streamed_decode_is_the_decode(
    shape: EncodecSpec, size: int, dtype: torch.dtype, allowed: float
) -> None:
    codec = make(shape, dtype)
    for n_frames in (*range(9), 61):
        codes = random_codes(shape, n_frames, batch=2)
        whole = codec.decode(codes)
        assert whole.shape == (2, shape.channels, n_frames * shape.hop_length)
        assert error(streamed(codec, codes, size), whole) <= allowed


@pytest.mark.parametrize(("shape", "size"), [(CAUSAL, 50), (NON_CAUSAL, 7)])
def test_a_long_stream_stays_exact(shape: EncodecSpec, size: int) -> None:
    codec = make(shape, torch.float32)
    codes = random_codes(shape, 1500)
    assert error(streamed(codec, codes, size), codec.decode(codes)) <= 1e-6


@every_shape
@pytest.mark.parametrize("size", [1, 97, 640, 5000])
def test_streamed_encode_is_the_encode(shape: EncodecSpec, size: int) -> None:
    codec = make(shape)
    draw = torch.Generator().manual_seed(3)
    lengths = (1, 2, 5, 700, 3001) if size > 1 else (1, 2, 5, 17)
    for n_samples in lengths:
        wave = torch.randn(2, shape.channels, n_samples, generator=draw, dtype=torch.float64)
        codes = codec.encode(wave)
        assert codes.shape == (2, shape.n_codebooks, shape.codec.frames_of(n_samples))
        assert torch.equal(stream_encoded(codec, wave, size), codes)


@every_fine_shape
@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_encoding_streams_exactly_in_small_pieces(shape: EncodecSpec, size: int) -> None:
    hop, codec, single = shape.hop_length, make(shape), make(shape, torch.float32)
    for n_samples in (*range(1, hop + 2), *(hop * frames - 1 for frames in (2, 3, 5, 8)), 151):
        wave = random_wave(shape.channels, n_samples, 2, n_samples, torch.float64)
        codes = codec.encode(wave)
        assert codes.shape[-1] == shape.codec.frames_of(n_samples)
        assert torch.equal(stream_encoded(codec, wave, size), codes)
    assert varied(codes)
    for one, allowed in ((codec, 1e-12), (single, 1e-6)):
        assert latent_error(one, wave.to(one.quantizer.codebooks.dtype), size) <= allowed


@torch.no_grad()
def latent_error(codec: Encodec, wave: Tensor, size: int) -> float:
    """Of what is quantized."""
    state = codec.encoder.start(wave.shape[0])
    parts = [codec.encoder.step(piece, state, last=False) for piece in wave.split(size, -1)]
    parts.append(codec.encoder.step(wave[..., :0], state, last=True))
    return error(torch.cat(parts, -1), codec.encoder(wave))


@every_fine_shape
def test_encoding_may_end_at_any_sample_and_go_on_from_a_snapshot(shape: EncodecSpec) -> None:
    codec = make(shape)
    wave = random_wave(shape.channels, 61, dtype=torch.float64)
    stream, codes = codec.encode_stream(), []
    for at in range(61):
        before = stream.snapshot()
        ending = torch.cat([*codes, stream.flush()], -1)
        assert torch.equal(ending, codec.encode(wave[..., :at]) if at else ending[..., :0])
        stream.restore(before)
        codes.append(stream.push(wave[..., at : at + 1]))
    assert torch.equal(torch.cat([*codes, stream.flush()], -1), codec.encode(wave))
    assert stream.samples == 61


@every_fine_shape
def test_two_encoding_streams_share_weights_and_nothing_else(shape: EncodecSpec) -> None:
    codec = make(shape)
    waves = [random_wave(shape.channels, 200, seed=seed, dtype=torch.float64) for seed in (1, 2)]
    streams = [codec.encode_stream() for _ in waves]
    made: list[list[Tensor]] = [[], []]
    for at in range(0, 200, 7):
        for wave, stream, codes in zip(waves, streams, made, strict=True):
            codes.append(stream.push(wave[..., at : at + 7]))
    for wave, stream, codes in zip(waves, streams, made, strict=True):
        assert torch.equal(torch.cat([*codes, stream.flush()], -1), codec.encode(wave))


@pytest.mark.parametrize("shape", [FINE, FINE_CAUSAL])
def test_a_long_encoding_stays_exact(shape: EncodecSpec) -> None:
    codec = make(shape)
    wave = random_wave(shape.channels, 1500 * shape.hop_length - 3, dtype=torch.float64)
    codes = codec.encode(wave)
    assert torch.equal(stream_encoded(codec, wave, 50), codes) and varied(codes)


def test_the_published_forms_give_samples_by_their_formulas() -> None:
    """E(N): 32 kHz 640 N - 2402 from frame 4 on; 24 kHz nothing up to frame 6, then 320 N."""
    for shape, final in (
        (NON_CAUSAL, lambda n: 640 * n - 2402 if n >= 4 else 0),
        (CAUSAL, lambda n: 320 * n if n > 6 else 0),
    ):
        stream, n_samples = make(shape, torch.float32).decode_stream(), 0
        for n_frames in range(1, 20):
            n_samples += stream.push(random_codes(shape, 1)).shape[-1]
            assert n_samples == final(n_frames)


@st.composite
def tiny_shapes(draw: st.DrawFn) -> EncodecSpec:
    return EncodecSpec(
        sample_rate=8000,
        channels=draw(st.integers(1, 2)),
        n_codebooks=2,
        cardinality=8,
        causal=draw(st.booleans()),
        ratios=tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))),
        n_filters=2,
        latent_dim=3,
        n_lstm_layers=1,
        kernel_size=draw(st.integers(1, 7)),
        last_kernel_size=draw(st.integers(1, 7)),
        residual_kernel_size=draw(st.integers(1, 4)),
        n_residual_layers=draw(st.integers(0, 2)),
        conv_shortcut=draw(st.booleans()),
        pad_mode=draw(st.sampled_from(["reflect", "constant", "replicate"])),
        trim_right_ratio=draw(st.sampled_from([0.0, 0.5, 1.0])),
    )


sizes = st.lists(st.integers(0, 6), max_size=6)


@given(tiny_shapes(), st.integers(0, 14), sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_any_shape_streams_exactly_at_any_cuts(
    shape: EncodecSpec, n_frames: int, frame_cuts: list[int], sample_cuts: list[int]
) -> None:
    codec = make(shape)
    codes = random_codes(shape, n_frames)
    wave = codec.decode(codes)
    assert error(streamed(codec, codes, frame_cuts), wave) <= 1e-12
    again = codec.encode(wave)
    assert again.shape == codes.shape
    assert torch.equal(stream_encoded(codec, wave, sample_cuts), again)


@every_shape
def test_samples_come_exactly_when_the_spec_says(shape: EncodecSpec) -> None:
    codec = make(shape, torch.float32)
    stream, given_samples = codec.decode_stream(), 0
    for n_frames in range(1, 30):
        given_samples += stream.push(random_codes(shape, 1)).shape[-1]
        final = max(0, n_frames * shape.hop_length - codec.spec.lookahead)
        assert given_samples == (final if n_frames >= shape.start_frames else 0)
    assert stream.frames == 29


@every_shape
def test_codes_come_as_soon_as_the_lookahead_is_there(shape: EncodecSpec) -> None:
    codec = make(shape, torch.float32)
    frame = 40
    needed = (frame + 1) * shape.hop_length + shape.encoder_lookahead
    stream = codec.encode_stream()
    wave = torch.randn(1, shape.channels, needed)
    before = stream.push(wave[..., : needed - 1]).shape[-1]
    assert (before, stream.push(wave[..., needed - 1 :]).shape[-1]) == (frame, 1)


def test_published_lookaheads() -> None:
    assert (encodec_32khz().decoder_lookahead, encodec_32khz().encoder_lookahead) == (2402, 2386)
    assert (encodec_24khz().decoder_lookahead, encodec_24khz().encoder_lookahead) == (0, 0)
    assert (encodec_32khz().start_frames, encodec_24khz().start_frames) == (4, 7)
    assert replace(encodec_24khz(), causal=False).decoder_lookahead == 1203
    assert (encodec_24khz().hop_length, encodec_32khz().hop_length) == (320, 640)


@every_shape
def test_two_streams_share_weights_and_nothing_else(shape: EncodecSpec) -> None:
    codec = make(shape)
    songs = [random_codes(shape, 23, seed=seed) for seed in (1, 2)]
    streams = [codec.decode_stream() for _ in songs]
    heard: list[list[Tensor]] = [[], []]
    for at in range(0, 23, 3):
        for song, stream, waves in zip(songs, streams, heard, strict=True):
            waves.append(stream.push(song[..., at : at + 3]))
    for song, stream, waves in zip(songs, streams, heard, strict=True):
        assert error(torch.cat([*waves, stream.flush()], -1), codec.decode(song)) <= 1e-12


@every_shape
def test_a_stream_may_end_anywhere_and_go_on_from_a_snapshot(shape: EncodecSpec) -> None:
    codec = make(shape)
    codes = random_codes(shape, 17)
    stream = codec.decode_stream()
    waves: list[Tensor] = []
    for frame in range(17):
        before = stream.snapshot()
        ending = torch.cat([*waves, stream.flush()], -1)
        assert error(ending, codec.decode(codes[..., :frame])) <= 1e-12
        stream.restore(before)
        waves.append(stream.push(codes[..., frame : frame + 1]))
    assert error(torch.cat([*waves, stream.flush()], -1), codec.decode(codes)) <= 1e-12


def test_a_snapshot_serves_many_times_and_other_streams() -> None:
    codec = make(NON_CAUSAL, torch.float32)
    codes = random_codes(NON_CAUSAL, 12)
    stream = codec.decode_stream()
    stream.push(codes[..., :6])
    middle = stream.snapshot()
    first = torch.cat([stream.push(codes[..., 6:]), stream.flush()], -1)
    for other in (stream, codec.decode_stream()):
        other.restore(middle)
        assert torch.equal(torch.cat([other.push(codes[..., 6:]), other.flush()], -1), first)


def test_the_caller_may_reuse_its_block() -> None:
    codec = make(CAUSAL)
    wave = torch.randn(1, 1, 900, dtype=torch.float64)
    stream, block, codes = codec.encode_stream(), torch.empty(1, 1, 3, dtype=torch.float64), []
    for at in range(0, 900, 3):
        block.copy_(wave[..., at : at + 3])
        codes.append(stream.push(block))
    assert torch.equal(torch.cat([*codes, stream.flush()], -1), codec.encode(wave))


def reach(codec: Encodec, sample: int, n_frames: int) -> list[bool]:
    """Which latent frames the given output sample depends on, by gradient."""
    latent = torch.randn(1, codec.shape.latent_dim, n_frames, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(codec.decoder(latent)[0, 0, sample], latent)
    return (gradient.abs().sum((0, 1)) > 0).tolist()


@pytest.mark.parametrize("shape", [CAUSAL, LIVE])
def test_a_causal_decoder_has_no_gradient_from_the_future(shape: EncodecSpec) -> None:
    codec, hop = make(shape), shape.hop_length
    first = shape.start_frames - 1  # before it a reflected edge looks ahead
    for frame in range(first, first + 4):
        for sample in (frame * hop, frame * hop + hop - 1):
            depends = reach(codec, sample, 14)
            assert depends[frame] and not any(depends[frame + 1 :])


def test_a_causal_encoder_has_no_gradient_from_the_future() -> None:
    codec, hop = make(CAUSAL), CAUSAL.hop_length
    wave = torch.randn(1, 1, 12 * hop, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(codec.encoder(wave)[0, :, 8].sum(), wave)
    assert bool((gradient[..., 9 * hop :] == 0).all()) and bool(gradient[0, 0, 9 * hop - 1] != 0)


@pytest.mark.parametrize("shape", [NON_CAUSAL, STEREO])
def test_the_lookahead_is_the_gradient_s(shape: EncodecSpec) -> None:
    codec, hop, lookahead = make(shape), shape.hop_length, shape.decoder_lookahead
    last = 12  # the last frame that is reached
    sample = last * hop - lookahead  # the first sample to reach it
    assert reach(codec, sample, 20)[last:] == [True] + [False] * 7
    assert reach(codec, sample - 1, 20)[last:] == [False] * 8


def test_it_is_a_codec() -> None:
    codec = make(CAUSAL, torch.float32)
    typed: Codec = codec
    assert isinstance(codec, LiveCodec) and isinstance(typed.decode_stream(), DecodeStream)
    wave = codec.decode(random_codes(CAUSAL, 5))
    assert wave.dtype == torch.float32 and not wave.requires_grad and codec.encode(wave).dtype == torch.int64


def test_bad_values_are_refused_by_name() -> None:
    codec = make(CAUSAL, torch.float32)
    stream = codec.decode_stream()
    codes = random_codes(CAUSAL, 4)
    with pytest.raises(ModelError, match=r"to 16 were given; 0\.\.15"):
        codec.decode(torch.full_like(codes, 16))
    with pytest.raises(ModelError, match=r"\[1, 2, 4\]"):
        stream.push(codes[:, :2])
    with pytest.raises(ModelError, match="2 rows"):
        stream.push(codes.expand(2, -1, -1))
    assert error(torch.cat([stream.push(codes), stream.flush()], -1), codec.decode(codes)) <= 1e-6
    with pytest.raises(ModelError, match="flushed"):
        stream.push(codes)
    with pytest.raises(ModelError, match="NaN"):
        codec.encode(torch.full((1, 1, 9), float("nan")))
    with pytest.raises(ModelError, match=r"\[1, 2, 9\]"):
        codec.encode(torch.zeros(1, 2, 9))
    with pytest.raises(ModelError, match="0 rows"):
        codec.decode_stream(0)
    with pytest.raises(ModelError, match="'group'"):
        Encodec(replace(CAUSAL, norm="group"))
