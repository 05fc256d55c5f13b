"""StereoCodec: a mono codec for each channel, codes side by side, as MusicGen's stereo models have them.

Codes are interleaved [L1, R1, L2, R2, ...]. Inside, a stereo row is two rows of the mono codec. Reference:
transformers' MusicgenForConditionalGeneration with audio_channels 2. B batch, K codebooks of the mono codec.
"""

from __future__ import annotations

from torch import Tensor, nn

from descant.model.codec.codec import Codec, DecodeStream, EncodeStream, LiveCodec, StreamState
from descant.model.codec.encodec import Encodec
from descant.model.codec.streaming import check_batch, check_codes, check_rows, check_wave
from descant.model.errors import ModelError
from descant.model.spec import CodecSpec


class StereoCodec(nn.Module):
    """Two channels of a mono codec: `spec` has channels 2 and twice its codebooks; all else is the same."""

    def __init__(self, mono: Codec) -> None:
        super().__init__()
        one = mono.spec
        if one.channels != 1:
            raise ModelError(
                f"A codec of {one.channels} channels was given to StereoCodec; 1 is allowed.",
                "The codec itself works as it is.",
                "Give a mono codec.",
            )
        self.mono = mono
        self.spec = CodecSpec(
            sample_rate=one.sample_rate,
            channels=2,
            hop_length=one.hop_length,
            n_codebooks=2 * one.n_codebooks,
            cardinality=one.cardinality,
            lookahead=one.lookahead,
        )

    def use_kernel(self, kernel: str) -> None:
        """As the mono codec's, which may have none."""
        if isinstance(self.mono, Encodec):
            self.mono.use_kernel(kernel)

    def encode(self, wave: Tensor) -> Tensor:
        """wave [B, 2, T] float32, about -1..1 -> codes [B, 2K, ceil(T / hop)] int64.

        A mono wave [B, 1, T] is heard on both sides, as in transformers: each code stands twice.
        """
        if wave.dim() == 3 and wave.shape[1] == 1:
            check_wave(wave, self.mono.spec)
            return self.mono.encode(wave).repeat_interleave(2, dim=1)
        check_wave(wave, self.spec)
        return interleave_channels(self.mono.encode(_wave_rows(wave)))

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, 2K, F] int64 -> wave [B, 2, F * hop_length] float32."""
        check_codes(codes, self.spec)
        return _wave_channels(self.mono.decode(split_channels(codes)))

    def decode_stream(self, batch: int = 1) -> StereoDecodeStream:
        """A new decoder in motion, at frame 0."""
        check_batch(batch)
        return StereoDecodeStream(self.mono.decode_stream(2 * batch), self.spec, batch)

    def encode_stream(self, batch: int = 1) -> StereoEncodeStream:
        """A new encoder in motion, at sample 0. ModelError if the mono codec encodes whole waves only."""
        check_batch(batch)
        if not isinstance(self.mono, LiveCodec):
            raise ModelError(
                f"A stream was asked of {type(self.mono).__name__}'s encoder; it takes whole waves only.",
                "encode, decode and decode_stream work.",
                "Use encode, or a codec that encodes live, as Encodec does.",
            )
        return StereoEncodeStream(self.mono.encode_stream(2 * batch), self.spec, batch)


class StereoDecodeStream:
    """`DecodeStream` over one of the mono codec with two rows for each of ours."""

    def __init__(self, rows: DecodeStream, spec: CodecSpec, batch: int) -> None:
        self._rows, self._spec, self.batch = rows, spec, batch

    def push(self, codes: Tensor) -> Tensor:
        """codes [B, 2K, n] int64, n >= 0 -> wave [B, 2, t]: the samples that are now final."""
        check_codes(codes, self._spec)
        check_rows(codes.shape[0], self.batch)
        return _wave_channels(self._rows.push(split_channels(codes)))

    def flush(self) -> Tensor:
        """End the stream -> wave [B, 2, rest]."""
        return _wave_channels(self._rows.flush())

    def snapshot(self) -> StreamState:
        """A cheap copy of all that is remembered; later calls do not change it."""
        return self._rows.snapshot()

    def restore(self, state: StreamState) -> None:
        """Go back to a snapshot of this stream or of one of the same codec and batch; it stays usable."""
        self._rows.restore(state)


class StereoEncodeStream:
    """`EncodeStream` over one of the mono codec with two rows for each of ours."""

    def __init__(self, rows: EncodeStream, spec: CodecSpec, batch: int) -> None:
        self._rows, self._spec, self.batch = rows, spec, batch

    def push(self, wave: Tensor) -> Tensor:
        """wave [B, 2, t] float32, t >= 0 -> codes [B, 2K, n] int64: the frames that are now final."""
        check_wave(wave, self._spec)
        check_rows(wave.shape[0], self.batch)
        return interleave_channels(self._rows.push(_wave_rows(wave)))

    def flush(self) -> Tensor:
        """End the stream -> codes [B, 2K, rest]."""
        return interleave_channels(self._rows.flush())

    def snapshot(self) -> StreamState:
        """A cheap copy of all that is remembered; later calls do not change it."""
        return self._rows.snapshot()

    def restore(self, state: StreamState) -> None:
        """Go back to a snapshot of this stream or of one of the same codec and batch; it stays usable."""
        self._rows.restore(state)


def split_channels(codes: Tensor) -> Tensor:
    """[B, 2K, F] interleaved -> [2B, K, F]: each row's left channel, then its right one."""
    batch, n_codebooks, n_frames = codes.shape
    sides = codes.reshape(batch, n_codebooks // 2, 2, n_frames).transpose(1, 2)
    return sides.reshape(2 * batch, n_codebooks // 2, n_frames)


def interleave_channels(codes: Tensor) -> Tensor:
    """[2B, K, F], left and right rows in turn -> [B, 2K, F]: L1, R1, L2, R2, ..."""
    rows, n_codebooks, n_frames = codes.shape
    sides = codes.reshape(rows // 2, 2, n_codebooks, n_frames).transpose(1, 2)
    return sides.reshape(rows // 2, 2 * n_codebooks, n_frames)


def _wave_rows(wave: Tensor) -> Tensor:
    return wave.reshape(2 * wave.shape[0], 1, wave.shape[-1])


def _wave_channels(rows: Tensor) -> Tensor:
    return rows.reshape(rows.shape[0] // 2, 2, rows.shape[-1])
