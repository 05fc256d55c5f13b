"""A codec in motion: frames to samples and samples to frames, exact however the stream is cut.

Each stream owns one typed state; a snapshot is a copy that shares its tensors (never written into), so it
costs microseconds and can be taken every frame. Knows nothing about which stages the codec is made of.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from descant.model.codec.quantizer import ResidualVectorQuantizer
from descant.model.codec.stages import Sequence, SequenceState
from descant.model.errors import ModelError
from descant.model.kernels.frame import FrameDecoder
from descant.model.kernels.frame_plan import FrameState
from descant.model.spec import CodecSpec


@dataclass(frozen=True)
class StreamSnapshot:
    """All that a stream remembers. inputs: frames (decoding) or samples (encoding) pushed so far."""

    stages: SequenceState | FrameState
    inputs: int
    ended: bool


class _Stream:
    """One row set running through a sequence of stages."""

    def __init__(self, stages: Sequence, batch: int) -> None:
        check_batch(batch)
        self._stages, self.batch = stages, batch
        self._state: SequenceState | FrameState = stages.start(batch)
        self._inputs, self._ended = 0, False

    @torch.no_grad()
    def _advance(self, x: Tensor, last: bool) -> Tensor:
        check_open(self._ended)
        check_rows(x.shape[0], self.batch)
        assert isinstance(self._state, SequenceState)
        self._inputs += x.shape[-1]
        self._ended = last
        return self._stages.step(x, self._state, last)

    def snapshot(self) -> StreamSnapshot:
        """A cheap copy of all that is remembered; later calls do not change it."""
        return StreamSnapshot(self._state.clone(), self._inputs, self._ended)

    def restore(self, state: StreamSnapshot) -> None:
        """Go back to a snapshot of this stream or of one of the same codec and batch; it stays usable."""
        self._state = state.stages.clone()
        self._inputs, self._ended = state.inputs, state.ended


class StageDecodeStream(_Stream):
    """`DecodeStream` of a codec whose decoder is a sequence of stages.

    native: the same decoder in the native library; frames run there, one by one, once the stream's start is
    behind them, so that how a stream is cut changes no bit.
    """

    def __init__(
        self,
        quantizer: ResidualVectorQuantizer,
        decoder: Sequence,
        spec: CodecSpec,
        batch: int = 1,
        native: FrameDecoder | None = None,
    ) -> None:
        super().__init__(decoder, batch)
        self._quantizer, self._spec, self._native = quantizer, spec, native

    @property
    def frames(self) -> int:
        """Frames pushed so far."""
        return self._inputs

    def push(self, codes: Tensor) -> Tensor:
        """codes [B, K, n] int64, n >= 0 -> wave [B, C, t]: the samples that are now final."""
        check_codes(codes, self._spec)
        if self._native is None:
            return self._advance(self._quantizer.decode(codes), last=False)
        check_open(self._ended)
        check_rows(codes.shape[0], self.batch)
        given = [self._frame(codes[..., n : n + 1], self._native) for n in range(codes.shape[-1])]
        return (
            torch.cat(given, -1)
            if given
            else self._quantizer.codebooks.new_zeros(self.batch, self._spec.channels, 0)
        )

    @torch.no_grad()
    def _frame(self, codes: Tensor, native: FrameDecoder) -> Tensor:
        latent = self._quantizer.decode(codes)
        if isinstance(self._state, SequenceState):
            self._state = native.enter(self._state) or self._state
        if isinstance(self._state, SequenceState):
            return self._advance(latent, last=False)
        self._inputs += 1
        return native.run(latent, self._state)

    def flush(self) -> Tensor:
        """End the stream -> wave [B, C, rest]; frames * hop_length samples have then been given."""
        codebooks = self._quantizer.codebooks
        if self._native is not None and isinstance(self._state, FrameState):
            self._state = self._native.leave(self._state)
        return self._advance(codebooks.new_zeros(self.batch, codebooks.shape[-1], 0), last=True)


class StageEncodeStream(_Stream):
    """Samples in, codes out once they are final: all codes joined equal `encode` of all samples joined."""

    def __init__(
        self, quantizer: ResidualVectorQuantizer, encoder: Sequence, spec: CodecSpec, batch: int = 1
    ) -> None:
        super().__init__(encoder, batch)
        self._quantizer, self._spec = quantizer, spec

    @property
    def samples(self) -> int:
        """Samples per channel pushed so far."""
        return self._inputs

    def push(self, wave: Tensor) -> Tensor:
        """wave [B, C, t] float32, t >= 0 -> codes [B, K, n] int64: the frames that are now final."""
        check_wave(wave, self._spec)
        return self._quantizer.encode(self._advance(wave, last=False))

    def flush(self) -> Tensor:
        """End the stream -> codes [B, K, rest]; ceil(samples / hop_length) frames have then been given."""
        codebooks = self._quantizer.codebooks
        return self._quantizer.encode(
            self._advance(codebooks.new_zeros(self.batch, self._spec.channels, 0), last=True)
        )


def check_batch(batch: int) -> None:
    """ModelError unless a stream may have so many rows."""
    if batch < 1:
        raise ModelError(
            f"A stream of {batch} rows was asked for; 1 or more are allowed.",
            "The codec is unchanged.",
            "Ask for batch=1 or more.",
        )


def check_open(ended: bool) -> None:
    """ModelError if the stream was flushed."""
    if ended:
        raise ModelError(
            "The stream was flushed: nothing can follow.",
            "Its snapshots are still good.",
            "Restore a snapshot from before the flush, or open a new stream.",
        )


def check_rows(n_rows: int, batch: int) -> None:
    """ModelError unless as many rows are pushed as the stream has."""
    if n_rows != batch:
        raise ModelError(
            f"{n_rows} rows were pushed into a stream of {batch}; {batch} are allowed.",
            "The stream is unchanged.",
            f"Push {batch} rows, or open a stream with batch={n_rows}.",
        )


def check_codes(codes: Tensor, spec: CodecSpec) -> None:
    """ModelError unless codes are [B, K, n] integers in 0..cardinality-1."""
    if (
        codes.dim() != 3
        or codes.shape[1] != spec.n_codebooks
        or codes.dtype not in (torch.int64, torch.int32)
    ):
        raise ModelError(
            f"Codes of shape {list(codes.shape)} and type {codes.dtype} were given to the codec; "
            f"[batch, {spec.n_codebooks}, frames] int64 is allowed.",
            "Nothing was decoded; the codec is unchanged.",
            "Give codes as `encode` returns them.",
        )
    if not codes.numel():
        return
    lowest, highest = int(codes.min()), int(codes.max())
    if lowest < 0 or highest >= spec.cardinality:
        raise ModelError(
            f"Codes from {lowest} to {highest} were given; 0..{spec.cardinality - 1} are allowed.",
            "Nothing was decoded; the codec is unchanged.",
            "Cut special tokens off before decoding.",
        )


def check_wave(wave: Tensor, spec: CodecSpec) -> None:
    """ModelError unless wave is [B, C, T] of finite floats."""
    if wave.dim() != 3 or wave.shape[1] != spec.channels or not wave.is_floating_point():
        raise ModelError(
            f"A wave of shape {list(wave.shape)} and type {wave.dtype} was given to the codec; "
            f"[batch, {spec.channels}, samples] float32 is allowed.",
            "Nothing was encoded; the codec is unchanged.",
            f"Give {spec.channels} channel(s) at {spec.sample_rate} Hz.",
        )
    if not bool(wave.isfinite().all()):
        raise ModelError(
            "The wave holds NaN or infinite samples.",
            "Nothing was encoded; the codec is unchanged.",
            "Replace them with finite values, about -1..1.",
        )
