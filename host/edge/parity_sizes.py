"""The sizes at which MusicGen and EnCodec are compared with the reference: small, odd, and the real ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Size:
    """dim, layers, heads: the language model's. cardinality: codes a codebook. codec, text: configs.

    spread: standard deviation of the language model's weights, so that its layers matter. frames: to make.
    families: those that are compared at this size.
    """

    name: str
    dim: int
    layers: int
    heads: int
    cardinality: int
    spread: float
    frames: int
    codec: dict[str, Any]
    text: dict[str, Any]
    chroma_length: int
    families: tuple[str, ...] = ("text", "melody", "stereo", "stereo melody")


_IN_PROPORTION: dict[str, Any] = {"use_causal_conv": False, "use_conv_shortcut": False}
TINY = Size(
    "tiny",
    *(32, 2, 2, 32),
    spread=0.2,
    frames=200,
    codec={
        "sampling_rate": 4000,
        "upsampling_ratios": [5, 4, 4],
        "num_filters": 4,
        "hidden_size": 8,
        "codebook_size": 32,
        "target_bandwidths": [1.0],
        **_IN_PROPORTION,
    },
    text={"vocab_size": 40, "d_model": 16, "d_ff": 24, "num_layers": 2, "num_heads": 2, "d_kv": 8},
    chroma_length=30,
)
ODD = Size(
    "odd",
    *(42, 3, 3, 64),
    spread=0.2,
    frames=200,
    codec={
        **TINY.codec,
        "sampling_rate": 4800,
        "upsampling_ratios": [6, 4, 4],
        "hidden_size": 7,
        "codebook_size": 64,
        "target_bandwidths": [1.2],
    },
    text={"vocab_size": 40, "d_model": 18, "d_ff": 20, "num_layers": 3, "num_heads": 3, "d_kv": 5},
    chroma_length=13,
)
SMALL = Size(
    "musicgen-small",
    *(1024, 24, 16, 2048),
    spread=0.03,
    frames=200,
    codec={
        "sampling_rate": 32000,
        "upsampling_ratios": [8, 5, 4, 4],
        "num_filters": 64,
        "codebook_size": 2048,
        "target_bandwidths": [2.2],
        **_IN_PROPORTION,
    },
    text={"vocab_size": 32128, "d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12, "d_kv": 64},
    chroma_length=235,
    families=("text", "stereo"),
)
MELODY = replace(
    SMALL,
    name="musicgen-melody",
    dim=1536,
    layers=48,
    heads=24,
    spread=0.02,
    frames=50,
    families=("melody", "stereo melody"),
)
SIZES = {size.name: size for size in (TINY, ODD, SMALL, MELODY)}
FULL = (SMALL.name, MELODY.name)
CODECS: dict[str, dict[str, Any]] = {
    "24 kHz": {"target_bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0]},
    "32 kHz": {**SMALL.codec},
    "48 kHz": {
        "sampling_rate": 48000,
        "audio_channels": 2,
        "norm_type": "time_group_norm",
        "normalize": True,
        "chunk_length_s": 1.0,
        "overlap": 0.01,
        "use_causal_conv": False,
        "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
    },
}
