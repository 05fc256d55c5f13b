"""What every codec answers to, whatever is inside it: waves to codes and back, at once or streamed.

Knows nothing about EnCodec, convolutions or training. B batch, C channels, T samples, K codebooks, F frames.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from descant.model.spec import CodecSpec

# What `snapshot()` gives: only the stream that made it knows its type; hand it back to `restore`.
StreamState = Any


@runtime_checkable
class DecodeStream(Protocol):
    """One codec decoder in motion: frames in, samples out as soon as they are final.

    After N frames the stream has given max(0, N * hop_length - spec.lookahead) samples per channel (a codec
    with reflected edges may hold the very first ones back longer); `flush` gives the rest, ends the stream.
    All waves joined equal `Codec.decode` of all codes joined, to 1e-6 at unit scale, wherever they are cut.
    """

    def push(self, codes: Tensor) -> Tensor:
        """codes [B, K, n] int64, n >= 0, each 0..cardinality-1 -> wave [B, C, t] float32, t >= 0."""
        ...

    def flush(self) -> Tensor:
        """End the stream -> wave [B, C, rest]. Pushing again needs a `restore` to an earlier snapshot."""
        ...

    def snapshot(self) -> StreamState:
        """A cheap copy of all that is remembered between calls; later calls do not change it."""
        ...

    def restore(self, state: StreamState) -> None:
        """Go back to a snapshot of this stream, or another of the same codec and batch; it stays usable."""
        ...


@runtime_checkable
class EncodeStream(Protocol):
    """One codec encoder in motion: samples in, frames out as soon as they are final.

    All codes joined equal `Codec.encode` of all samples joined, wherever they are cut.
    """

    def push(self, wave: Tensor) -> Tensor:
        """wave [B, C, t] float32, t >= 0, about -1..1 -> codes [B, K, n] int64, n >= 0."""
        ...

    def flush(self) -> Tensor:
        """End the stream -> codes [B, K, rest]. Pushing again needs a `restore` to an earlier snapshot."""
        ...

    def snapshot(self) -> StreamState:
        """As `DecodeStream.snapshot`."""
        ...

    def restore(self, state: StreamState) -> None:
        """As `DecodeStream.restore`."""
        ...


@runtime_checkable
class Codec(Protocol):
    """Encoder, quantizer and decoder behind one door. Weights are shared, read-only; streams own state."""

    @property
    def spec(self) -> CodecSpec: ...

    def encode(self, wave: Tensor) -> Tensor:
        """wave [B, C, T] float32, about -1..1, at spec.sample_rate -> codes [B, K, ceil(T / hop)] int64."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, K, F] int64 -> wave [B, C, F * hop_length] float32."""
        ...

    def decode_stream(self, batch: int = 1) -> DecodeStream:
        """A new stream of `batch` rows at frame 0."""
        ...


@runtime_checkable
class LiveCodec(Codec, Protocol):
    """A codec that encodes while the wave is still coming."""

    def encode_stream(self, batch: int = 1) -> EncodeStream:
        """A new stream of `batch` rows at sample 0."""
        ...
