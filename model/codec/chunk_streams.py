"""The 48 kHz EnCodec in motion: chunk by chunk, each with its loudness, joined where they overlap.

Offline is the same code pushed once. Letters: B batch, C channels, K codebooks, n frames of a chunk, L its
samples. Reference: transformers' EncodecModel._encode_frame, _decode_frame and _linear_overlap_add.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descant.model.codec.encodec import EncodecParts
from descant.model.codec.stages import join
from descant.model.codec.streaming import check_batch, check_codes, check_open, check_rows, check_wave
from descant.model.errors import ModelError


@dataclass(frozen=True, eq=False)
class ChunkCodes:
    """One chunk. codes [B, K, n] int64, 1 <= n <= chunk_frames. scale [B, 1]: its loudness; None: 1.

    Only the last chunk of a wave, and one whose end the next repeats, may have fewer than chunk_frames.
    """

    codes: Tensor
    scale: Tensor | None


@torch.no_grad()
def encode_chunk(parts: EncodecParts, wave: Tensor) -> ChunkCodes:
    """wave [B, C, L], 1 <= L <= chunk_length -> its codes and the loudness that was divided out."""
    scale = None
    if parts.shape.normalize:
        mono = wave.sum(1, keepdim=True) / wave.shape[1]
        scale = mono.pow(2).mean(-1, keepdim=True).sqrt() + 1e-8
        wave = wave / scale
    codes = parts.quantizer.encode(parts.whole_encoder()(wave))
    return ChunkCodes(codes, None if scale is None else scale.view(-1, 1))


@torch.no_grad()
def decode_chunk(parts: EncodecParts, chunk: ChunkCodes) -> Tensor:
    """-> wave [B, C, n * hop_length], its loudness put back."""
    wave: Tensor = parts.decoder(parts.quantizer.decode(chunk.codes))
    return wave if chunk.scale is None else wave * chunk.scale.view(-1, 1, 1)


@dataclass(frozen=True, eq=False)
class EncodeChunksState:
    """pending [B, C, m]: samples from the next chunk's start on. chunks: encoded so far."""

    pending: Tensor
    chunks: int = 0
    ended: bool = False


class ScaledEncodeStream:
    """Samples in, whole chunks out: all chunks equal `ChunkedEncodec.encode_scaled` of all samples joined.

    repeats: whether a last chunk is made that lies wholly within the one before.
    """

    def __init__(self, parts: EncodecParts, batch: int = 1, *, repeats: bool = True) -> None:
        check_batch(batch)
        self._parts, self.batch, self._repeats = parts, batch, repeats
        like = parts.quantizer.codebooks
        self._state = EncodeChunksState(like.new_zeros(batch, parts.spec.channels, 0))

    def push(self, wave: Tensor) -> tuple[ChunkCodes, ...]:
        """wave [B, C, t] float32, t >= 0 -> the chunks that are now complete."""
        check_wave(wave, self._parts.spec)
        check_open(self._state.ended)
        check_rows(wave.shape[0], self.batch)
        shape = self._parts.shape
        pending, done = join(self._state.pending, wave), []
        while pending.shape[-1] >= shape.chunk_length:
            done.append(encode_chunk(self._parts, pending[..., : shape.chunk_length]))
            pending = pending[..., shape.chunk_stride :]
        # a copy: it may be the caller's own
        self._state = EncodeChunksState(pending.clone(), self._state.chunks + len(done))
        return tuple(done)

    def flush(self) -> tuple[ChunkCodes, ...]:
        """End the stream -> the chunks begun, one or (where the last lies within the other) two; or none."""
        check_open(self._state.ended)
        shape = self._parts.shape
        pending, done = self._state.pending, []
        # what the chunk before did not hold
        unheard = pending.shape[-1] - (shape.chunk_length - shape.chunk_stride if self._state.chunks else 0)
        while pending.shape[-1] and (self._repeats or unheard > 0):
            done.append(encode_chunk(self._parts, pending[..., : shape.chunk_length]))
            pending, unheard = pending[..., shape.chunk_stride :], 0
        self._state = EncodeChunksState(pending[..., :0], self._state.chunks + len(done), ended=True)
        return tuple(done)

    def snapshot(self) -> EncodeChunksState:
        """All that is remembered; later calls do not change it."""
        return self._state

    def restore(self, state: EncodeChunksState) -> None:
        """Go back to a snapshot of this stream or of one of the same codec and batch; it stays usable."""
        self._state = state


class JoinedEncodeStream:
    """`EncodeStream` of the chunked form: codes without scales, all of a wave in a row."""

    def __init__(self, parts: EncodecParts, batch: int = 1) -> None:
        self._chunks = ScaledEncodeStream(parts, batch, repeats=False)
        self._nothing = _no_codes(parts, batch)

    def push(self, wave: Tensor) -> Tensor:
        """wave [B, C, t] float32, t >= 0 -> codes [B, K, n * chunk_frames] int64 of n complete chunks."""
        return self._join(self._chunks.push(wave))

    def flush(self) -> Tensor:
        """End the stream -> codes [B, K, rest]."""
        return self._join(self._chunks.flush())

    def snapshot(self) -> EncodeChunksState:
        """All that is remembered; later calls do not change it."""
        return self._chunks.snapshot()

    def restore(self, state: EncodeChunksState) -> None:
        """Go back to a snapshot of this stream or of one of the same codec and batch; it stays usable."""
        self._chunks.restore(state)

    def _join(self, chunks: tuple[ChunkCodes, ...]) -> Tensor:
        return torch.cat([chunk.codes for chunk in chunks], -1) if chunks else self._nothing


@dataclass(frozen=True, eq=False)
class DecodeChunksState:
    """From the first sample not yet given on: weighted [B, C, m] sum of chunks, weights [m] sum of weights.

    first: frames of the first chunk, whose triangle weighs all; 0: none yet. rest: samples a flush gives.
    follow: whether a chunk may follow, because the last one reaches the next one's start.
    """

    weighted: Tensor
    weights: Tensor
    first: int = 0
    rest: int = 0
    follow: bool = True
    ended: bool = False


class ScaledDecodeStream:
    """Chunks in, samples out: all waves joined equal `ChunkedEncodec.decode_scaled` of all chunks.

    After n whole chunks it has given n * chunk_stride samples per channel; `flush` gives the rest.
    """

    def __init__(self, parts: EncodecParts, batch: int = 1) -> None:
        check_batch(batch)
        self._parts, self.batch = parts, batch
        like = parts.quantizer.codebooks
        self._state = DecodeChunksState(like.new_zeros(batch, parts.spec.channels, 0), like.new_zeros(0))

    def push(self, chunk: ChunkCodes) -> Tensor:
        """-> wave [B, C, chunk_stride]: the samples that no later chunk changes (none if it is too short)."""
        state, shape = self._state, self._parts.shape
        check_open(state.ended)
        check_codes(chunk.codes, self._parts.spec)
        check_rows(chunk.codes.shape[0], self.batch)
        _check_chunk(chunk, state.first or shape.chunk_frames, state.follow)
        wave = decode_chunk(self._parts, chunk)
        length, first = wave.shape[-1], state.first or chunk.codes.shape[-1]
        window = triangle(first * shape.hop_length, wave)[:length]
        weighted, weights = _sum(state.weighted, window * wave), _sum(state.weights, window)
        n_out = shape.chunk_stride if length >= shape.chunk_stride else 0
        self._state = DecodeChunksState(
            weighted[..., n_out:].clone(), weights[n_out:].clone(), first, length - n_out, follow=n_out > 0
        )
        return weighted[..., :n_out] / weights[:n_out]

    def flush(self) -> Tensor:
        """End the stream -> wave [B, C, rest]: up to the last chunk's end."""
        state = self._state
        check_open(state.ended)
        self._state = replace(state, ended=True)
        return state.weighted[..., : state.rest] / state.weights[: state.rest]

    def snapshot(self) -> DecodeChunksState:
        """All that is remembered; later calls do not change it."""
        return self._state

    def restore(self, state: DecodeChunksState) -> None:
        """Go back to a snapshot of this stream or of one of the same codec and batch; it stays usable."""
        self._state = state


@dataclass(frozen=True, eq=False)
class DecodeFramesState:
    """pending [B, K, n]: frames of the chunk begun. frames: pushed so far. chunks: those before it."""

    pending: Tensor
    frames: int
    chunks: DecodeChunksState


class JoinedDecodeStream:
    """`DecodeStream` of the chunked form: frames in, any number at a time, all scales 1.

    After N frames it has given N // chunk_frames * chunk_stride samples; `flush` gives the rest.
    """

    def __init__(self, parts: EncodecParts, batch: int = 1) -> None:
        self._chunks = ScaledDecodeStream(parts, batch)
        self._parts, self.batch, self.frames = parts, batch, 0
        self._nothing = self._chunks.snapshot().weighted
        self._pending = _no_codes(parts, batch)

    def push(self, codes: Tensor) -> Tensor:
        """codes [B, K, n] int64, n >= 0 -> wave [B, C, t]: the samples that are now final."""
        check_codes(codes, self._parts.spec)
        check_open(self._chunks.snapshot().ended)
        check_rows(codes.shape[0], self.batch)
        size = self._parts.shape.chunk_frames
        pending, waves = join(self._pending, codes), []
        while pending.shape[-1] >= size:
            waves.append(self._chunks.push(ChunkCodes(pending[..., :size], None)))
            pending = pending[..., size:]
        self._pending, self.frames = pending.clone(), self.frames + codes.shape[-1]
        return torch.cat(waves, -1) if waves else self._nothing

    def flush(self) -> Tensor:
        """End the stream -> wave [B, C, rest]."""
        check_open(self._chunks.snapshot().ended)
        begun = self._nothing
        if self._pending.shape[-1]:
            begun = self._chunks.push(ChunkCodes(self._pending, None))
            self._pending = self._pending[..., :0]
        return torch.cat([begun, self._chunks.flush()], -1)

    def snapshot(self) -> DecodeFramesState:
        """All that is remembered; later calls do not change it."""
        return DecodeFramesState(self._pending, self.frames, self._chunks.snapshot())

    def restore(self, state: DecodeFramesState) -> None:
        """Go back to a snapshot of this stream or of one of the same codec and batch; it stays usable."""
        self._pending, self.frames = state.pending, state.frames
        self._chunks.restore(state.chunks)


def triangle(length: int, like: Tensor) -> Tensor:
    """[length] weights of a chunk's samples, of like's dtype: most in the middle, never 0."""
    at = torch.linspace(0, 1, length + 2, dtype=like.dtype, device=like.device)[1:-1]
    return 0.5 - (at - 0.5).abs()


def _no_codes(parts: EncodecParts, batch: int) -> Tensor:
    return parts.quantizer.codebooks.new_zeros(batch, parts.spec.n_codebooks, 0, dtype=torch.int64)


def _sum(so_far: Tensor, new: Tensor) -> Tensor:
    """so_far [..., m] + new [..., n], the shorter one as if zeros followed."""
    n = min(so_far.shape[-1], new.shape[-1])
    longer = so_far if so_far.shape[-1] > n else new
    return torch.cat([so_far[..., :n] + new[..., :n], longer[..., n:]], -1)


def _check_chunk(chunk: ChunkCodes, most: int, follow: bool) -> None:
    n_rows, _, n_frames = chunk.codes.shape
    if not follow:
        raise ModelError(
            "A chunk was pushed after one too short to reach it; allowed: short chunks at the end only.",
            "The stream is unchanged; flush gives the rest.",
            "Push whole chunks, and the short one last.",
        )
    if not 1 <= n_frames <= most:
        raise ModelError(
            f"A chunk of {n_frames} frames was given; 1..{most} are allowed.",
            "Nothing was decoded; the stream is unchanged.",
            "Give chunks as `encode_scaled` returns them.",
        )
    scale = chunk.scale
    if scale is not None and (tuple(scale.shape) != (n_rows, 1) or not bool(scale.isfinite().all())):
        raise ModelError(
            f"A chunk's scale of shape {list(scale.shape)} was given; allowed: [{n_rows}, 1] finite numbers.",
            "Nothing was decoded; the stream is unchanged.",
            "Give chunks as `encode_scaled` returns them.",
        )
