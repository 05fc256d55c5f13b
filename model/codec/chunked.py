"""EnCodec's 48 kHz form: chunks of a second, each with its own loudness, as one codec.

Exactly transformers' EncodecModel where that works. It also takes the lengths at which transformers fails:
those whose last chunk lies within the one before and has fewer frames than that one's overhang needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from descant.model.codec.chunk_streams import (
    ChunkCodes,
    JoinedDecodeStream,
    JoinedEncodeStream,
    ScaledDecodeStream,
    ScaledEncodeStream,
)
from descant.model.codec.encodec import Encodec, EncodecParts
from descant.model.codec.encodec_spec import EncodecSpec
from descant.model.codec.streaming import check_wave
from descant.model.errors import ModelError


class ChunkedEncodec(EncodecParts):
    """An EnCodec whose wave is cut into chunks of shape.chunk_length samples, one every chunk_stride.

    A chunk's codes say how it sounds, its scale how loud: `encode_scaled` and `decode_scaled` keep both and
    are transformers' encode and decode. `encode` and `decode` (the `Codec` protocol) keep the codes alone:
    decoded, each chunk is as loud as the codec makes it, about RMS 1, so turn it down before it is heard.
    Normalised over all time, a chunk can only run as a whole: streams are exact, and lag by a chunk.
    """

    def __init__(self, shape: EncodecSpec) -> None:
        if shape.chunk_seconds is None or shape.chunk_length < 1 or not 0.0 <= shape.overlap < 1.0:
            raise ModelError(
                f"Chunks of {shape.chunk_seconds} s, overlapping by {shape.overlap}, were asked of "
                "ChunkedEncodec; allowed: at least a sample, an overlap from 0 to below 1.",
                "Codecs without chunks work as Encodec.",
                "Use Encodec, or give chunk_seconds and overlap as in encodec_48khz.",
            )
        super().__init__(shape)

    def encode_scaled(self, wave: Tensor) -> tuple[ChunkCodes, ...]:
        """wave [B, C, T] float32, about -1..1, at spec.sample_rate -> ceil(T / chunk_stride) chunks.

        As transformers, a last chunk is made even where the one before holds all its samples already.
        """
        check_wave(wave, self.spec)
        stream = self.scaled_encode_stream(wave.shape[0])
        return stream.push(wave) + stream.flush()

    def decode_scaled(self, chunks: Sequence[ChunkCodes]) -> Tensor:
        """Chunks of one wave, in order -> wave [B, C, T'] float32, T' >= T: cut it to the length encoded.

        T' = (len(chunks) - 1) * chunk_stride + frames of the last chunk * hop_length.
        """
        if not chunks:
            raise ModelError(
                "0 chunks were given to the codec; 1 or more are allowed.",
                "Nothing was decoded; the codec is unchanged.",
                "Give chunks as `encode_scaled` returns them.",
            )
        stream = self.scaled_decode_stream(chunks[0].codes.shape[0])
        return torch.cat([*(stream.push(chunk) for chunk in chunks), stream.flush()], -1)

    def encode(self, wave: Tensor) -> Tensor:
        """wave [B, C, T] float32 -> codes [B, K, F] int64 of all chunks in a row, without their scales.

        All chunks but the last have shape.chunk_frames frames, so `decode` can tell them apart: the last is
        the first that reaches the wave's end. F is more than ceil(T / hop): chunks overlap.
        """
        check_wave(wave, self.spec)
        stream = self.encode_stream(wave.shape[0])
        return torch.cat([stream.push(wave), stream.flush()], -1)

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, K, F] int64 as `encode` gives them -> wave [B, C, T'], T' >= T, every scale 1.

        With c whole chunks before the last one of n frames: T' = c * chunk_stride + n * hop_length.
        """
        stream = self.decode_stream(codes.shape[0])
        return torch.cat([stream.push(codes), stream.flush()], -1)

    def encode_stream(self, batch: int = 1) -> JoinedEncodeStream:
        """A new encoder in motion, at sample 0: `encode` as the wave comes."""
        return JoinedEncodeStream(self, batch)

    def decode_stream(self, batch: int = 1) -> JoinedDecodeStream:
        """A new decoder in motion, at frame 0: `decode` as the codes come."""
        return JoinedDecodeStream(self, batch)

    def scaled_encode_stream(self, batch: int = 1) -> ScaledEncodeStream:
        """A new encoder in motion, at sample 0: `encode_scaled` as the wave comes."""
        return ScaledEncodeStream(self, batch)

    def scaled_decode_stream(self, batch: int = 1) -> ScaledDecodeStream:
        """A new decoder in motion, at chunk 0: `decode_scaled` as the chunks come."""
        return ScaledDecodeStream(self, batch)


def build_encodec(shape: EncodecSpec) -> Encodec | ChunkedEncodec:
    """The codec of this shape, with random weights: chunked if the shape says so."""
    return Encodec(shape) if shape.chunk_seconds is None else ChunkedEncodec(shape)
