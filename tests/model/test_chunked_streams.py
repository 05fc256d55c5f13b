"""EnCodec's 48 kHz form streams chunk by chunk exactly, wherever it is cut, and refuses what it cannot do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from descant.model import state_tree
from descant.model.codec.chunk_streams import ChunkCodes
from descant.model.codec.chunked import ChunkedEncodec, build_encodec
from descant.model.codec.codec import DecodeStream, EncodeStream, LiveCodec
from descant.model.codec.encodec import Encodec
from descant.model.codec.encodec_spec import encodec_24khz, encodec_48khz
from descant.model.errors import ModelError
from tests.model.encodec_kit import (
    CHUNKS,
    cut,
    make,
    pushed,
    random_codes,
    random_wave,
    same_chunks,
    stream_encoded,
    streamed,
)

sizes = st.lists(st.integers(0, 250), max_size=5)


@given(st.integers(1, 620), sizes, st.booleans(), st.sampled_from([0.0, 0.06, 0.3, 0.7]))
@settings(max_examples=25, deadline=None)
def test_any_length_streams_exactly_at_any_cuts(
    n_samples: int, cuts: list[int], double: bool, overlap: float
) -> None:
    codec = make(replace(CHUNKS, overlap=overlap), torch.float64 if double else torch.float32)
    wave = random_wave(2, n_samples, 2, dtype=codec.quantizer.codebooks.dtype)
    chunks = codec.encode_scaled(wave)
    assert len(chunks) == -(-n_samples // codec.shape.chunk_stride)
    stream, made = codec.scaled_encode_stream(2), []
    for piece in cut(wave, cuts):
        made += stream.push(piece)
    made += stream.flush()
    same_chunks(made, [(chunk.codes, chunk.scale) for chunk in chunks])
    back = codec.scaled_decode_stream(2)
    waves = [back.push(chunk) for chunk in made]
    assert torch.equal(torch.cat([*waves, back.flush()], -1), codec.decode_scaled(chunks))
    assert codec.decode_scaled(chunks).shape[-1] >= n_samples
    codes = codec.encode(wave)
    assert torch.equal(stream_encoded(codec, wave, cuts), codes)
    frames = [size // 8 for size in cuts]
    assert torch.equal(streamed(codec, codes, frames), codec.decode(codes))
    assert codec.decode(codes).shape[-1] >= n_samples


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_frames_may_come_in_any_pieces(size: int) -> None:
    codec = make(CHUNKS)
    for n_frames in (*range(9), 24, 25, 26, 50, 61):
        codes = random_codes(CHUNKS, n_frames, batch=2)
        whole = codec.decode(codes)
        before = max(0, -(-n_frames // 25) - 1)  # whole chunks before the last
        assert whole.shape == (2, 2, before * CHUNKS.chunk_stride + (n_frames - 25 * before) * 8)
        assert torch.equal(streamed(codec, codes, size), whole)


def test_samples_come_a_stride_a_chunk() -> None:
    codec = make(CHUNKS)
    stream = codec.decode_stream()
    for n_frames in range(1, 80):
        given_samples = stream.push(random_codes(CHUNKS, 1)).shape[-1]
        assert given_samples == (CHUNKS.chunk_stride if n_frames % 25 == 0 else 0)
    assert stream.frames == 79 and stream.flush().shape[-1] == 12 + 4 * 8 - 12


def test_streams_may_end_anywhere_and_go_on_from_a_snapshot() -> None:
    codec = make(CHUNKS)
    codes = random_codes(CHUNKS, 60)
    stream, waves = codec.decode_stream(), []
    for at in range(0, 60, 5):
        before = stream.snapshot()
        assert torch.equal(torch.cat([*waves, stream.flush()], -1), codec.decode(codes[..., :at]))
        stream.restore(before)
        waves.append(stream.push(codes[..., at : at + 5]))
    assert torch.equal(torch.cat([*waves, stream.flush()], -1), codec.decode(codes))

    wave = random_wave(2, 500, dtype=torch.float64)
    encoding, made = codec.encode_stream(), []
    for at in range(0, 500, 37):
        before = encoding.snapshot()
        ending = torch.cat([*made, encoding.flush()], -1)
        assert torch.equal(ending, codec.encode(wave[..., :at]))
        encoding.restore(before)
        made.append(encoding.push(wave[..., at : at + 37]))
    assert torch.equal(torch.cat([*made, encoding.flush()], -1), codec.encode(wave))


def test_two_streams_share_weights_and_nothing_else() -> None:
    codec = make(CHUNKS)
    waves = [random_wave(2, 450, seed=seed, dtype=torch.float64) for seed in (1, 2)]
    encoding, decoding = (
        [codec.scaled_encode_stream() for _ in waves],
        [codec.scaled_decode_stream() for _ in waves],
    )
    heard: list[list[Tensor]] = [[], []]
    block = torch.empty(1, 2, 45, dtype=torch.float64)  # the caller reuses its block
    for at in range(0, 450, 45):
        for i, wave in enumerate(waves):
            block.copy_(wave[..., at : at + 45])
            heard[i] += [decoding[i].push(chunk) for chunk in encoding[i].push(block)]
    for i, wave in enumerate(waves):
        heard[i] += [decoding[i].push(chunk) for chunk in encoding[i].flush()] + [decoding[i].flush()]
        assert torch.equal(torch.cat(heard[i], -1), codec.decode_scaled(codec.encode_scaled(wave)))


def test_states_leave_the_process_as_plain_data() -> None:
    codec = make(CHUNKS)
    codes, wave = random_codes(CHUNKS, 60), random_wave(2, 400, dtype=torch.float64)
    for first, other, x, at in (
        (codec.decode_stream(), codec.decode_stream(), codes, 31),
        (codec.encode_stream(), codec.encode_stream(), wave, 333),
        (codec.scaled_encode_stream(), codec.scaled_encode_stream(), wave, 333),
    ):
        first.push(x[..., :at])
        tensors: dict[str, Tensor] = {}
        plain = state_tree.flatten(first.snapshot(), tensors, "codec.")
        other.restore(state_tree.unflatten(plain, tensors, other.snapshot()))
        ours, again = [stream.push(x[..., at:]) for stream in (first, other)]
        if isinstance(ours, Tensor):
            assert torch.equal(ours, again) and torch.equal(first.flush(), other.flush())
        else:
            same_chunks(ours, [(chunk.codes, chunk.scale) for chunk in again])


def test_it_is_a_codec() -> None:
    codec = build_encodec(CHUNKS)
    assert isinstance(codec, ChunkedEncodec) and isinstance(codec, LiveCodec)
    assert isinstance(codec.decode_stream(), DecodeStream) and isinstance(codec.encode_stream(), EncodeStream)
    assert isinstance(build_encodec(encodec_24khz(2)), Encodec)
    wave = codec.decode(random_codes(CHUNKS, 5))
    assert wave.dtype == torch.float32 and not wave.requires_grad
    assert codec.encode(wave).dtype == torch.int64 and codec.encode(wave[..., :0]).shape == (1, 3, 0)


def test_bad_values_are_refused_by_name() -> None:
    codec = make(CHUNKS, torch.float32)
    with pytest.raises(ModelError, match="normalised over all time"):
        codec.encoder.step(torch.zeros(1, 2, 40), codec.encoder.start(1), last=False)
    with pytest.raises(ModelError, match="normalised over all time"):
        up = codec.decoder.stages[3]
        up.step(torch.zeros(1, up.weight.shape[0], 4), up.start(1), last=False)
    with pytest.raises(ModelError, match="Chunks of None s"):
        ChunkedEncodec(encodec_24khz())
    with pytest.raises(ModelError, match=r"overlapping by 1\.0"):
        ChunkedEncodec(replace(CHUNKS, overlap=1.0))
    with pytest.raises(ModelError, match="Use ChunkedEncodec"):
        Encodec(encodec_48khz())
    with pytest.raises(ModelError, match="0 chunks"):
        codec.decode_scaled([])
    stream = codec.scaled_decode_stream()
    whole, short = (ChunkCodes(random_codes(CHUNKS, n), torch.ones(1, 1)) for n in (25, 3))
    for chunk, message in (
        (ChunkCodes(random_codes(CHUNKS, 26), None), r"26 frames was given; 1\.\.25"),
        (ChunkCodes(random_codes(CHUNKS, 0), None), r"0 frames was given; 1\.\.25"),
        (ChunkCodes(whole.codes, torch.ones(1)), r"scale of shape \[1\]"),
        (ChunkCodes(whole.codes, torch.full((1, 1), float("nan"))), "finite"),
        (ChunkCodes(whole.codes + 16, None), "to 31 were given"),
        (ChunkCodes(whole.codes.expand(2, -1, -1), None), "2 rows"),
    ):
        with pytest.raises(ModelError, match=message):
            stream.push(chunk)
    waves = [stream.push(whole), stream.push(short)]
    with pytest.raises(ModelError, match="too short"):
        stream.push(whole)
    waves.append(stream.flush())
    assert torch.equal(torch.cat(waves, -1), codec.decode_scaled([whole, short]))
    with pytest.raises(ModelError, match="flushed"):
        stream.push(whole)
    for ended, x in ((codec.decode_stream(), whole.codes), (codec.encode_stream(), torch.zeros(1, 2, 9))):
        with pytest.raises(ModelError, match="2 rows"):
            ended.push(x.expand(2, -1, -1))
        pushed(ended, x, 4)
        with pytest.raises(ModelError, match="flushed"):
            ended.push(x)
        with pytest.raises(ModelError, match="flushed"):
            ended.flush()
    with pytest.raises(ModelError, match="NaN"):
        codec.encode_scaled(torch.full((1, 2, 9), float("nan")))
    with pytest.raises(ModelError, match=r"\[1, 1, 9\]"):
        codec.encode(torch.zeros(1, 1, 9))
    with pytest.raises(ModelError, match="0 rows"):
        codec.decode_stream(0)
