"""The numbers of an EnCodec and everything that follows from them: pads, hops, lookahead.

Knows nothing about tensors or weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from descant.model.spec import CodecSpec

PadMode = Literal["reflect", "constant", "replicate"]


def split_padding(kernel_size: int, stride: int, causal: bool, right_ratio: float = 0.0) -> tuple[int, int]:
    """(left, right) shares of the kernel_size - stride samples by which a window overlaps its neighbours.

    Not causal: halves, the odd one left. Causal: right_ratio of them right, rounded up (0 for a convolution,
    which pads; 1 for a transposed one, which trims).
    """
    total = kernel_size - stride
    right = math.ceil(total * right_ratio) if causal else total // 2
    return total - right, right


@dataclass(frozen=True)
class EncodecSpec:
    """Shape of an EnCodec.

    ratios: upsampling factor of each decoder stage; the encoder downsamples by them in reverse.
    n_filters: width of the convolutions next to the audio; each stage doubles it.
    latent_dim: width of the vectors that are quantized.
    conv_shortcut: the skip of a residual block is a 1x1 convolution instead of the identity.
    trim_right_ratio: share of a causal transposed convolution's surplus trimmed right (1: no lookahead).
    norm "group" (GroupNorm over all time), normalize (loudness by chunk), chunk_seconds and overlap (share of
    a chunk that the next one repeats, 0 <= overlap < 1) belong to the 48 kHz form.
    """

    sample_rate: int
    channels: int
    n_codebooks: int
    cardinality: int
    causal: bool
    ratios: tuple[int, ...]
    n_filters: int
    latent_dim: int = 128
    n_lstm_layers: int = 2
    kernel_size: int = 7
    last_kernel_size: int = 7
    residual_kernel_size: int = 3
    n_residual_layers: int = 1
    dilation_growth: int = 2
    compress: int = 2
    conv_shortcut: bool = True
    pad_mode: PadMode = "reflect"
    trim_right_ratio: float = 1.0
    norm: Literal["weight", "group"] = "weight"
    normalize: bool = False
    chunk_seconds: float | None = None
    overlap: float = 0.0

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return math.prod(self.ratios)

    @property
    def lstm_dim(self) -> int:
        """Width of the stages next to the latent."""
        return self.n_filters << len(self.ratios)

    @property
    def chunk_length(self) -> int:
        """Samples of a chunk; 0: the wave is one piece."""
        return 0 if self.chunk_seconds is None else int(self.chunk_seconds * self.sample_rate)

    @property
    def chunk_stride(self) -> int:
        """Samples from a chunk's start to the next one's; 0: the wave is one piece."""
        return 0 if self.chunk_seconds is None else max(1, int((1.0 - self.overlap) * self.chunk_length))

    @property
    def chunk_frames(self) -> int:
        """Frames of a whole chunk; 0: the wave is one piece."""
        return -(-self.chunk_length // self.hop_length)

    @property
    def codec(self) -> CodecSpec:
        """What the codec says of itself to the rest of the product.

        Of a form in chunks: its lookahead is a chunk, and N frames are fewer than N * hop_length samples
        because each chunk repeats the end of the one before.
        """
        return CodecSpec(
            sample_rate=self.sample_rate,
            channels=self.channels,
            hop_length=self.hop_length,
            n_codebooks=self.n_codebooks,
            cardinality=self.cardinality,
            lookahead=self.chunk_length or self.decoder_lookahead,
        )

    @property
    def decoder_lookahead(self) -> int:
        """Samples missing after N frames: a running decoder has given N * hop_length - decoder_lookahead.

        Each convolution waits for its right pad, each upsampling stage multiplies the wait so far.
        """
        lag = self._right(self.kernel_size)
        for ratio in self.ratios:
            left, _ = split_padding(2 * ratio, ratio, self.causal, self.trim_right_ratio)
            lag = lag * ratio + left + self._residual_right
        return lag + self._right(self.last_kernel_size)

    @property
    def encoder_lookahead(self) -> int:
        """Samples past the end of a frame that its codes depend on."""
        ahead = self._right(self.last_kernel_size)
        for ratio in self.ratios:  # from the latent back to the audio
            ahead = ahead * ratio + split_padding(2 * ratio, ratio, self.causal)[1] + self._residual_right
        return ahead + self._right(self.kernel_size)

    @property
    def start_frames(self) -> int:
        """Frames a decoder needs before its first sample where the lookahead alone would let it start sooner.

        A reflected left edge of l inputs is known only with input l + 1. Stages after the first get at least
        two inputs per frame, so the first convolution decides.
        """
        if self.pad_mode != "reflect":
            return 1
        return split_padding(self.kernel_size, 1, self.causal)[0] + 1

    @property
    def _residual_right(self) -> int:
        return sum(
            self._right((self.residual_kernel_size - 1) * self.dilation_growth**layer + 1)
            for layer in range(self.n_residual_layers)
        )

    def _right(self, effective_kernel: int) -> int:
        return split_padding(effective_kernel, 1, self.causal)[1]


def encodec_24khz(n_codebooks: int = 32) -> EncodecSpec:
    """EnCodec 24 kHz mono, causal; n_codebooks 2, 4, 8, 16 or 32 is 1.5 to 24 kbit/s."""
    return EncodecSpec(
        24_000, 1, n_codebooks, 1024, causal=True, ratios=(8, 5, 4, 2), n_filters=32, conv_shortcut=True
    )


def encodec_32khz() -> EncodecSpec:
    """EnCodec 32 kHz mono as MusicGen uses it: not causal, 4 codebooks, 50 frames/s."""
    return EncodecSpec(
        32_000, 1, 4, 2048, causal=False, ratios=(8, 5, 4, 4), n_filters=64, conv_shortcut=False
    )


def encodec_48khz(n_codebooks: int = 16) -> EncodecSpec:
    """EnCodec 48 kHz stereo, in chunks of 1 s; n_codebooks 2, 4, 8 or 16 is 3 to 24 kbit/s."""
    return EncodecSpec(
        48_000,
        2,
        n_codebooks,
        1024,
        causal=False,
        ratios=(8, 5, 4, 2),
        n_filters=32,
        norm="group",
        normalize=True,
        chunk_seconds=1.0,
        overlap=0.01,
    )
