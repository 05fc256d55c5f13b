"""The real engine around a codec whose every frame is a pure sine; what was heard of it, measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from descant.host.preset import Preset, PromptSlot
from descant.model import CodecSpec, MusicModel, tiny_model
from tests.plugin_native.engine_host import EngineHost

HZ, PEAK = 997.0, 0.5  # of the sine
KEY = 61  # starts it at once
PRESETS = {"sine": Preset(name="sine", prompts=(PromptSlot("a", key=KEY, quantise="off", transition="cut"),))}


class SineCodec:
    """Whatever the codes are, the wave is the sine at the codec's own rate, phase 0 at its first sample."""

    def __init__(self, spec: CodecSpec) -> None:
        self.spec = spec

    def encode(self, wave: Tensor) -> Tensor:
        frames = -(-wave.shape[-1] // self.spec.hop_length)
        return torch.zeros(wave.shape[0], self.spec.n_codebooks, frames, dtype=torch.int64)

    def decode(self, codes: Tensor) -> Tensor:
        return self.wave(0, codes.shape[-1] * self.spec.hop_length)

    def decode_stream(self, batch: int = 1) -> SineStream:
        return SineStream(self)

    def wave(self, first: int, end: int) -> Tensor:
        """[1, C, end - first]."""
        angle = 2 * np.pi * HZ / self.spec.sample_rate * np.arange(first, end)
        tone = torch.from_numpy((PEAK * np.sin(angle)).astype(np.float32))
        return tone.expand(1, self.spec.channels, -1).clone()


class SineStream:
    """As `DecodeStream`: its state is how many frames it was given."""

    def __init__(self, codec: SineCodec) -> None:
        self.codec, self.frames = codec, 0

    def _end(self) -> int:
        return max(0, self.frames * self.codec.spec.hop_length - self.codec.spec.lookahead)

    def push(self, codes: Tensor) -> Tensor:
        first = self._end()
        self.frames += codes.shape[-1]
        return self.codec.wave(first, self._end())

    def flush(self) -> Tensor:
        return self.codec.wave(self._end(), self.frames * self.codec.spec.hop_length)

    def snapshot(self) -> int:
        return self.frames

    def restore(self, state: int) -> None:
        self.frames = state


class SineHost(EngineHost):
    """Plays the sine from a note on `KEY` on: resampled, cut and addressed by the engine as any music is."""

    def __init__(self, endpoint: str) -> None:
        tiny = tiny_model()
        model = MusicModel(tiny.spec, SineCodec(tiny.spec.codec), tiny.lm, tiny.text, "sine")
        super().__init__(endpoint, PRESETS, model=model)


@dataclass(frozen=True)
class Measured:
    """hz: of the sine that fits best; cents: off `HZ`; peak: its height; rest: the largest deviation from it;
    seconds: what was measured.
    """

    hz: float
    cents: float
    peak: float
    rest: float
    seconds: float


def measured(heard: np.ndarray, rate: int, edge: float = 0.03) -> Measured:
    """Fit a sine to the longest stretch of [n] without silence in it, less `edge` seconds at either end."""
    sounding = np.concatenate(([0], np.convolve(heard != 0, np.ones(33), "same") > 0.5, [0])).astype(int)
    edges = np.flatnonzero(np.diff(sounding))
    first, end = max(zip(edges[::2], edges[1::2], strict=True), key=lambda pair: pair[1] - pair[0])
    wave = heard[first + round(edge * rate) : end - round(edge * rate)].astype(np.float64)
    t = np.arange(len(wave)) / rate
    hz, slope = HZ, 1.0
    while abs(slope) > 1e-9:  # of the phase against a sine of `hz`, by whole parts of 20 ms under a window
        size = rate // 50
        window = np.hanning(size)
        down = (wave * np.exp(-2j * np.pi * hz * t))[: len(wave) // size * size].reshape(-1, size) @ window
        slope = np.polyfit(np.arange(len(down)) * size / rate, np.unwrap(np.angle(down)), 1)[0] / 2 / np.pi
        hz += slope
    basis = np.stack([np.cos(2 * np.pi * hz * t), np.sin(2 * np.pi * hz * t)], axis=1)
    parts = np.linalg.lstsq(basis, wave, rcond=None)[0]
    rest = np.abs(wave - basis @ parts).max()
    cents = 1200 * np.log2(hz / HZ)
    return Measured(hz, float(cents), float(np.hypot(*parts)), float(rest), len(wave) / rate)
