"""EnCodec: encoder, residual vector quantizer and decoder as one `Codec`.

Knows nothing about files; `encodec_keys` names the published weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from descant.model.codec.encodec_spec import EncodecSpec
from descant.model.codec.quantizer import ResidualVectorQuantizer
from descant.model.codec.seanet import build_decoder, build_encoder
from descant.model.codec.stages import Sequence
from descant.model.codec.streaming import StageDecodeStream, StageEncodeStream, check_codes, check_wave
from descant.model.errors import ModelError
from descant.model.kernels.build import load
from descant.model.kernels.frame import FrameDecoder
from descant.model.kernels.frame_plan import fits
from descant.model.lm.linear import check_kernel, is_native, runs_columns
from descant.model.spec import CodecSpec


class EncodecParts(nn.Module):
    """Encoder, quantizer and decoder under the names of the published weights; `shape` is their own spec.

    late_encoder: gives the encoder's tensors when it is first used; until then it holds none. For models that
    mostly decode: half a codec's memory.
    """

    late_encoder: Callable[[], Mapping[str, Tensor]] | None = None

    def __init__(self, shape: EncodecSpec) -> None:
        super().__init__()
        self.shape = shape
        self.spec: CodecSpec = shape.codec
        self.encoder = build_encoder(shape)
        self.quantizer = ResidualVectorQuantizer(
            shape.n_codebooks, shape.cardinality, shape.latent_dim, trainable=False
        )
        self.decoder = build_decoder(shape)

    def whole_encoder(self) -> Sequence:
        """The encoder with its weights. Raises ModelError if they cannot be had any more."""
        if self.late_encoder is not None:
            self.encoder.load_state_dict(self.late_encoder(), assign=True)
            self.encoder.requires_grad_(False)
            self.late_encoder = None
        return self.encoder


class Encodec(EncodecParts):
    """The 24 kHz and 32 kHz forms, causal or not: the wave is one piece and streams frame by frame."""

    def __init__(self, shape: EncodecSpec) -> None:
        if shape.norm != "weight" or shape.normalize or shape.chunk_seconds is not None:
            raise ModelError(
                f"An EnCodec with norm {shape.norm!r}, normalize {shape.normalize}, chunks of "
                f"{shape.chunk_seconds} s was asked of Encodec; allowed: norm 'weight' and neither of them.",
                "The 24 kHz and 32 kHz forms work here.",
                "Use ChunkedEncodec for the 48 kHz form.",
            )
        super().__init__(shape)
        self._native: FrameDecoder | None = None

    def use_kernel(self, kernel: str) -> None:
        """How frames are decoded from now on, whole waves too: native kernels in the native library.

        native-fp32 with weights as they are, the other native ones with weights in half precision, and so
        beside a GPU's where the library is there; torch's kernels on torch, in float32. Streams begun before
        go on as they were. Raises ModelError if there is no such kernel, here or anywhere.
        """
        known = check_kernel(kernel)
        if not is_native(known) and (not runs_columns(known) or load().handle is None):
            self._native = None
        elif fits(self.decoder):
            self._native = FrameDecoder(self.decoder, half=known != "native-fp32")

    @torch.no_grad()
    def encode(self, wave: Tensor) -> Tensor:
        """wave [B, C, T] float32, about -1..1, at spec.sample_rate -> codes [B, K, ceil(T / hop)] int64."""
        check_wave(wave, self.spec)
        latent: Tensor = self.whole_encoder()(wave)
        return self.quantizer.encode(latent)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, K, F] int64 -> wave [B, C, F * hop_length] float32."""
        check_codes(codes, self.spec)
        if self._native is not None and codes.shape[0]:  # one function of the codes, however they come
            stream = self.decode_stream(codes.shape[0])
            return torch.cat([stream.push(codes), stream.flush()], -1)
        wave: Tensor = self.decoder(self.quantizer.decode(codes))
        return wave

    def decode_stream(self, batch: int = 1) -> StageDecodeStream:
        """A new decoder in motion, at frame 0."""
        return StageDecodeStream(self.quantizer, self.decoder, self.spec, batch, self._native)

    def encode_stream(self, batch: int = 1) -> StageEncodeStream:
        """A new encoder in motion, at sample 0; it lags shape.encoder_lookahead samples behind."""
        return StageEncodeStream(self.quantizer, self.whole_encoder(), self.spec, batch)
