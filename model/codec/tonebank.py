"""The shipped codec: spectra to codes at 50 frames a second and back to tones, noise and transients.

Causal and exactly streamed. Analysis -> causal ConvNeXt blocks -> residual vector quantizer -> causal
ConvNeXt blocks -> synthesis. Knows nothing about training. Streaming and offline are one code: `decode` is a
stream pushed once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from descant.model.codec.decoder_runner import DecoderRunner
from descant.model.codec.quantizer import ResidualVectorQuantizer
from descant.model.codec.tone_analysis import ToneAnalysis
from descant.model.codec.tone_synthesis import ToneSynthesis
from descant.model.codec.wide_linear import WideLinear
from descant.model.kernels.build import load
from descant.model.kernels.tones import TonesRunner, fits
from descant.model.lm.linear import Kernel, check_kernel, runs_columns, torch_kernel
from descant.model.spec import CodecSpec

KERNEL = 7


@dataclass(frozen=True)
class TonebankSpec(CodecSpec):
    """CodecSpec plus the shape of the network. lookahead: half a hop, from the overlap of stretches.

    analysis_lookahead: samples past a frame's end that its code depends on. lowest: Hz of the first tone.
    """

    width: int = 320
    ffn_width: int = 960
    encoder_blocks: int = 3
    decoder_blocks: int = 6
    latent_dim: int = 64
    n_tones: int = 176
    tones_per_octave: int = 24
    lowest: float = 27.5
    noise_bands: int = 32
    analysis_lookahead: int = 960


@dataclass
class TonebankState:
    """What a decode stream remembers: last inputs of each block, the unfinished half stretch, next frame."""

    histories: list[Tensor]  # each [B, KERNEL - 1, width]
    tail: Tensor  # [B, hop]
    frame: int
    ended: bool = False

    def clone(self) -> TonebankState:
        """Another state of the same tensors: runs put new ones in their place and never write into them."""
        return replace(self)


class CausalBlock(nn.Module):
    """ConvNeXt block over [B, F, width]: depthwise causal convolution, norm, two-layer perceptron, skip."""

    def __init__(self, width: int, ffn_width: int) -> None:
        super().__init__()
        self.depthwise = nn.Parameter(torch.randn(KERNEL, width) * (KERNEL**-0.5))
        self.norm = nn.LayerNorm(width)
        self.up = WideLinear(width, ffn_width)
        self.down = nn.Linear(ffn_width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor, history: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, F, width], history [B, KERNEL - 1, width] -> (output, the next call's history)."""
        n = x.shape[1]
        joined = torch.cat([history, x], dim=1)
        if n == 1:
            y = (joined * self.depthwise).sum(dim=1, keepdim=True)
        else:  # as a 2-D convolution: the fast path on CPUs
            kernel = self.depthwise.t()[:, None, None]
            y = nn.functional.conv2d(joined.transpose(1, 2).unsqueeze(2), kernel, groups=kernel.shape[0])
            y = y[:, :, 0].transpose(1, 2)
        y = self.down(nn.functional.gelu(self.up(self.norm(y))))
        return x + self.scale * y, joined[:, n:]


class CausalStack(nn.Module):
    """Linear in, causal blocks, layer norm, optional linear out."""

    def __init__(self, size_in: int, width: int, ffn_width: int, n_blocks: int, size_out: int | None) -> None:
        super().__init__()
        self.inlet = nn.Linear(size_in, width)
        self.blocks = nn.ModuleList(CausalBlock(width, ffn_width) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(width)
        self.outlet = nn.Identity() if size_out is None else nn.Linear(width, size_out)

    @property
    def causal_blocks(self) -> list[CausalBlock]:
        """The blocks by their own type."""
        return [cast(CausalBlock, block) for block in self.blocks]

    def histories(self, batch: int) -> list[Tensor]:
        weight = self.inlet.weight
        return [weight.new_zeros(batch, KERNEL - 1, weight.shape[0]) for _ in self.blocks]

    def forward(self, x: Tensor, histories: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        x, after = self.inlet(x), []
        for block, history in zip(self.blocks, histories, strict=True):
            x, history = block(x, history)
            after.append(history)
        return self.outlet(self.norm(x)), after


class TonebankCodec(nn.Module):
    """The codec that ships. See `Codec` for shapes; mono."""

    def __init__(self, spec: TonebankSpec, *, trainable: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.analysis = ToneAnalysis(spec.sample_rate, spec.hop_length, spec.analysis_lookahead)
        self.encoder = CausalStack(
            self.analysis.size, spec.width, spec.ffn_width, spec.encoder_blocks, spec.latent_dim
        )
        self.quantizer = ResidualVectorQuantizer(
            spec.n_codebooks, spec.cardinality, spec.latent_dim, trainable=trainable
        )
        self.decoder = CausalStack(spec.latent_dim, spec.width, spec.ffn_width, spec.decoder_blocks, None)
        self.synthesis = ToneSynthesis(
            spec.width,
            spec.sample_rate,
            spec.hop_length,
            spec.n_tones,
            spec.tones_per_octave,
            spec.lowest,
            spec.noise_bands,
        )
        self._runner: DecoderRunner | TonesRunner | None = None
        self._kernel: Kernel = "fp32"

    def latent(self, wave: Tensor) -> Tensor:
        """wave [B, 1, T] -> [B, latent_dim, F]: what is quantized."""
        features = self.analysis(wave[:, 0])
        return cast(Tensor, self.encoder(features, self.encoder.histories(wave.shape[0]))[0]).transpose(1, 2)

    def synthesize(self, latent: Tensor, state: TonebankState) -> Tensor:
        """latent [B, latent_dim, n] -> the n * hop samples that these frames finish; the state moves on.

        Sample 0 of what comes out lies half a hop before the first of these frames.
        """
        features, state.histories = self.decoder(latent.transpose(1, 2), state.histories)
        return self._overlap(self.synthesis(features, state.frame), state)

    def run(self, latent: Tensor, state: TonebankState) -> Tensor:
        """As `synthesize`, with packed weights and without gradients."""
        runner = self.packed()
        head, state.histories = runner.run(latent.transpose(1, 2), state.histories)
        return self._overlap(self.synthesis.render(head, state.frame), state)

    def _overlap(self, stretches: Tensor, state: TonebankState) -> Tensor:
        """stretches [B, n, 2 * hop] of the next frames -> finished samples [B, 1, n * hop]."""
        batch, n, _ = stretches.shape
        hop = self.spec.hop_length
        rises, falls = stretches[..., :hop], stretches[..., hop:]
        out: Tensor = rises + torch.cat([state.tail[:, None], falls[:, :-1]], dim=1)
        state.tail, state.frame = falls[:, -1].clone(), state.frame + n
        return out.reshape(batch, 1, n * hop)

    def new_state(self, batch: int) -> TonebankState:
        return TonebankState(
            self.decoder.histories(batch), self.synthesis.window.new_zeros(batch, self.spec.hop_length), 0
        )

    def reconstruct(self, latent: Tensor) -> Tensor:
        """latent [B, latent_dim, F] -> wave [B, 1, F * hop], with gradients."""
        state = self.new_state(latent.shape[0])
        wave = self.synthesize(latent, state)
        return torch.cat(
            [wave[..., self.spec.lookahead :], state.tail[:, None, : self.spec.lookahead]], dim=-1
        )

    @torch.inference_mode()
    def encode(self, wave: Tensor) -> Tensor:
        return self.quantizer.encode(self.latent(wave))

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        stream = self.decode_stream(codes.shape[0])
        return torch.cat([stream.push(codes), stream.flush()], dim=-1)

    def packed(self) -> DecoderRunner | TonesRunner:
        """The decoder's weights as streams use them, packed when first asked for (and see train)."""
        if self._runner is None:
            kernel = self._kernel
            if runs_columns(kernel) and fits(self.decoder) and load().handle is not None:
                self._runner = TonesRunner(self.decoder, self.synthesis, half=kernel != "native-fp32")
            else:
                self._runner = DecoderRunner(self.decoder, self.synthesis, torch_kernel(kernel))
        return self._runner

    def use_kernel(self, kernel: str) -> None:
        """How all decoding runs from now on: fp32 (the default) or fp16, see lm/linear.py, or natively.

        native-fp32 with weights as they are, the other native ones with weights in half precision. int8 means
        fp16 here: activations in bfloat16 would round a stream and a whole decode differently.
        """
        known = check_kernel(kernel)
        self._kernel = "fp16" if known == "int8" else known
        self._runner = None

    def train(self, mode: bool = True) -> TonebankCodec:
        """As nn.Module.train; drops the packed weights: call train() or eval() after changing weights."""
        self._runner = None
        super().train(mode)
        return self

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As nn.Module.load_state_dict; also drops the packed weights."""
        self._runner = None
        return super().load_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_runner": None}  # a copy packs its own weights

    def decode_stream(self, batch: int = 1) -> TonebankStream:
        return TonebankStream(self, batch)


class TonebankStream:
    """One decoder in motion; see `DecodeStream`."""

    def __init__(self, codec: TonebankCodec, batch: int) -> None:
        self._codec, self._state = codec, codec.new_state(batch)

    @torch.inference_mode()
    def push(self, codes: Tensor) -> Tensor:
        if self._state.ended:
            raise ValueError("this stream was flushed: restore a snapshot or start a new one")
        if codes.shape[-1] == 0:
            return self._state.tail.new_zeros(codes.shape[0], 1, 0)
        first = self._state.frame == 0
        wave = self._codec.run(self._codec.quantizer.decode(codes), self._state)
        return wave[..., self._codec.spec.lookahead :] if first else wave

    @torch.inference_mode()
    def flush(self) -> Tensor:
        state = self._state
        state.ended = True
        return state.tail[:, None, : self._codec.spec.lookahead if state.frame else 0]

    def snapshot(self) -> TonebankState:
        return self._state.clone()

    def restore(self, state: TonebankState) -> None:
        self._state = state.clone()
