"""Two channels of a mono codec, codes interleaved: transformers' stereo MusicGen, and exact streams."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
)

from descant.model import state_tree
from descant.model.codec.codec import DecodeStream, EncodeStream, LiveCodec
from descant.model.codec.stereo import StereoCodec, interleave_channels, split_channels
from descant.model.errors import ModelError
from descant.model.tiny import tiny_model
from tests.model.encodec_kit import (
    CAUSAL,
    CHUNKS,
    FINE,
    MONO_32KHZ,
    NON_CAUSAL,
    TINY,
    cut,
    error,
    fill,
    make,
    ours_of,
    random_codes,
    random_wave,
    stream_encoded,
    streamed,
    varied,
)

SHAPES = {"24 kHz": CAUSAL, "32 kHz": NON_CAUSAL}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


def stereo(shape: Any, dtype: torch.dtype = torch.float64) -> StereoCodec:
    return StereoCodec(make(shape, dtype))


def stereo_codes(codec: StereoCodec, n_frames: int, batch: int = 1, seed: int = 0) -> Tensor:
    draw, spec = torch.Generator().manual_seed(seed), codec.spec
    return torch.randint(spec.cardinality, (batch, spec.n_codebooks, n_frames), generator=draw)


@pytest.fixture(scope="module")
def musicgen() -> tuple[Any, StereoCodec]:
    """A whole stereo MusicGen with tiny random weights, and our codec with its codec's."""
    torch.manual_seed(0)
    config = MusicgenConfig(
        text_encoder=T5Config(
            vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2
        ).to_dict(),
        audio_encoder=EncodecConfig(**(MONO_32KHZ | TINY | {"target_bandwidths": [1.0]})).to_dict(),
        decoder=MusicgenDecoderConfig(
            vocab_size=32,
            hidden_size=16,
            ffn_dim=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_codebooks=8,
            audio_channels=2,
            pad_token_id=32,
            bos_token_id=32,
        ).to_dict(),
    )
    theirs = MusicgenForConditionalGeneration(config).eval()
    with torch.no_grad():
        fill(theirs.audio_encoder)
    theirs.double()
    mono = ours_of(theirs.audio_encoder)
    assert mono.spec.n_codebooks == 4
    return theirs, StereoCodec(mono)


def test_a_prompt_is_continued_as_in_transformers(musicgen: tuple[Any, StereoCodec]) -> None:
    theirs, ours = musicgen
    wave = random_wave(2, 5 * 640, batch=2, dtype=torch.float64)
    decode, sides = theirs.audio_encoder.decode, []

    def listening(codes: Tensor, **others: Any) -> Any:
        sides.append(codes[0])
        return decode(codes, **others)

    theirs.audio_encoder.decode = listening
    try:
        audio = theirs.generate(
            input_ids=torch.randint(1, 40, (2, 3)),
            attention_mask=torch.ones(2, 3, dtype=torch.long),
            input_values=wave,
            padding_mask=torch.ones(2, 1, wave.shape[-1], dtype=torch.bool),
            max_new_tokens=12,
            do_sample=False,
            guidance_scale=1.0,
            pad_token_id=32,
            decoder_start_token_id=32,
        )
    finally:
        theirs.audio_encoder.decode = decode
    left, right = sides
    codes = interleave_channels(torch.stack([left, right], 1).flatten(0, 1))
    assert codes.shape[1] == 8 and torch.equal(codes[:, 0::2], left) and torch.equal(codes[:, 1::2], right)
    prompt = ours.encode(wave)
    assert prompt.shape == (2, 8, 5) and varied(prompt)
    assert torch.equal(codes[..., :5], prompt)
    assert audio.shape == (2, 2, codes.shape[-1] * 640) and codes.shape[-1] > 5
    assert error(ours.decode(codes), audio) <= 1e-10 * max(1.0, float(audio.abs().max()))
    assert error(streamed(ours, codes, 3), audio) <= 1e-10 * max(1.0, float(audio.abs().max()))


def test_a_mono_prompt_is_heard_on_both_sides(musicgen: tuple[Any, StereoCodec]) -> None:
    theirs, ours = musicgen
    wave = random_wave(1, 2000, batch=2, dtype=torch.float64)
    with torch.no_grad():
        one = theirs.audio_encoder.encode(wave).audio_codes[0]
    assert torch.equal(ours.encode(wave), one.repeat_interleave(2, dim=1))
    assert torch.equal(ours.encode(wave.expand(-1, 2, -1)), ours.encode(wave))


@every_shape
def test_each_channel_is_the_mono_codec(shape: Any) -> None:
    codec = stereo(shape)
    spec, one = codec.spec, codec.mono.spec
    assert (spec.channels, spec.n_codebooks) == (2, 2 * one.n_codebooks)
    assert (spec.hop_length, spec.sample_rate, spec.cardinality) == (one.hop_length, one.sample_rate, 16)
    assert (spec.lookahead, spec.frame_rate) == (one.lookahead, one.frame_rate)
    wave = random_wave(2, 3000, batch=3, dtype=torch.float64)
    codes = codec.encode(wave)
    sides = [codec.mono.encode(wave[:, side : side + 1]) for side in (0, 1)]
    assert torch.equal(codes[:, 0::2], sides[0]) and torch.equal(codes[:, 1::2], sides[1])
    assert not torch.equal(*sides) and varied(codes)
    expected = torch.cat([codec.mono.decode(codes[:, side::2]) for side in (0, 1)], 1)
    assert error(codec.decode(codes), expected) <= 1e-12
    rows = split_channels(codes)
    assert torch.equal(rows[2], sides[0][1]) and torch.equal(rows[3], sides[1][1])
    assert torch.equal(interleave_channels(rows), codes)


@every_shape
@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_streamed_decode_is_the_decode(shape: Any, size: int, dtype: torch.dtype, allowed: float) -> None:
    codec = stereo(shape, dtype)
    for n_frames in (*range(9), 29):
        codes = stereo_codes(codec, n_frames, batch=2)
        assert error(streamed(codec, codes, size), codec.decode(codes)) <= allowed


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_streamed_encode_is_the_encode(size: int) -> None:
    codec = stereo(FINE)
    for n_samples in (1, 5, 8, 9, 63, 200):
        wave = random_wave(2, n_samples, 2, n_samples, torch.float64)
        codes = codec.encode(wave)
        assert codes.shape == (2, 6, codec.spec.frames_of(n_samples))
        assert torch.equal(stream_encoded(codec, wave, size), codes)


def test_streams_may_end_anywhere_and_go_on_from_a_snapshot() -> None:
    codec = stereo(FINE)
    codes = stereo_codes(codec, 17, batch=2)
    wave = codec.decode(codes)
    for stream, whole, x in (
        (codec.decode_stream(2), codec.decode, codes),
        (codec.encode_stream(2), codec.encode, wave),
    ):
        given_out: list[Tensor] = []
        at = 0
        for piece in cut(x, [1, 3, 2, 5]):
            before = stream.snapshot()
            ending = torch.cat([*given_out, stream.flush()], -1)
            if at:
                assert error(ending, whole(x[..., :at])) <= 1e-12
            stream.restore(before)
            given_out.append(stream.push(piece))
            at += piece.shape[-1]
        assert error(torch.cat([*given_out, stream.flush()], -1), whole(x)) <= 1e-12


def test_two_streams_share_weights_and_nothing_else() -> None:
    codec = stereo(NON_CAUSAL)
    songs = [stereo_codes(codec, 23, seed=seed) for seed in (1, 2)]
    streams = [codec.decode_stream() for _ in songs]
    heard: list[list[Tensor]] = [[], []]
    for at in range(0, 23, 3):
        for song, stream, waves in zip(songs, streams, heard, strict=True):
            waves.append(stream.push(song[..., at : at + 3]))
    for song, stream, waves in zip(songs, streams, heard, strict=True):
        assert error(torch.cat([*waves, stream.flush()], -1), codec.decode(song)) <= 1e-12


def test_a_state_leaves_the_process_as_plain_data() -> None:
    codec = stereo(NON_CAUSAL)
    codes = stereo_codes(codec, 20)
    first, other = codec.decode_stream(), codec.decode_stream()
    first.push(codes[..., :9])
    tensors: dict[str, Tensor] = {}
    plain = state_tree.flatten(first.snapshot(), tensors, "codec.")
    other.restore(state_tree.unflatten(plain, tensors, other.snapshot()))
    assert torch.equal(first.push(codes[..., 9:]), other.push(codes[..., 9:]))
    assert torch.equal(first.flush(), other.flush())


def test_any_mono_codec_will_do() -> None:
    codec = StereoCodec(tiny_model().codec)
    codes = stereo_codes(codec, 12, batch=2)
    assert error(streamed(codec, codes, 5), codec.decode(codes)) <= 1e-6
    assert codec.encode(random_wave(2, 6400)).shape == (1, 8, 10)
    with pytest.raises(ModelError, match="TonebankCodec's encoder"):
        codec.encode_stream()


def test_it_is_a_codec() -> None:
    codec = stereo(FINE, torch.float32)
    assert isinstance(codec, LiveCodec)
    assert isinstance(codec.decode_stream(), DecodeStream) and isinstance(codec.encode_stream(), EncodeStream)
    assert {name.split(".")[0] for name in codec.state_dict()} == {"mono"}


def test_bad_values_are_refused_by_name() -> None:
    codec = stereo(FINE, torch.float32)
    stream, codes = codec.decode_stream(), stereo_codes(codec, 9)
    with pytest.raises(ModelError, match="2 channels was given to StereoCodec"):
        StereoCodec(make(CHUNKS))
    with pytest.raises(ModelError, match=r"\[1, 3, 9\].*\[batch, 6, frames\]"):
        codec.decode(random_codes(FINE, 9))
    with pytest.raises(ModelError, match="2 rows were pushed into a stream of 1"):
        stream.push(codes.expand(2, -1, -1))
    with pytest.raises(ModelError, match=r"\[1, 3, 9\].*\[batch, 2, samples\]"):
        codec.encode(torch.zeros(1, 3, 9))
    with pytest.raises(ModelError, match="2 rows were pushed into a stream of 1"):
        codec.encode_stream().push(torch.zeros(2, 2, 9))
    for opened in (codec.decode_stream, codec.encode_stream):
        with pytest.raises(ModelError, match="0 rows"):
            opened(0)
    assert error(torch.cat([stream.push(codes), stream.flush()], -1), codec.decode(codes)) <= 1e-6
    with pytest.raises(ModelError, match="flushed"):
        stream.push(codes)
