"""A MusicGen with random weights on disk, as transformers would save it, never whole in memory.

Speed and memory do not depend on what the weights are, so nothing has to be fetched to measure them.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
from pathlib import Path
from typing import Any

import torch

from descant.host.edge import parity_oracle as oracle
from descant.host.edge.parity_sizes import Size
from descant.host.errors import HostError

_TIED = "text_encoder.encoder.embed_tokens.weight"  # the same as text_encoder.shared.weight
_BLOCK = 1 << 22  # numbers drawn once, and written again and again


def write_folder(size: Size, folder: Path) -> Path:
    """Thread: main. config.json, tokenizer.json and model.safetensors (float32) of a MusicGen of that size.

    Raises HostError where transformers is missing or the disk is full.
    """
    oracle.need_transformers()
    config, shapes = _shapes(size)
    needed = 4 * sum(math.prod(shape) for shape in shapes.values())
    free = shutil.disk_usage(folder).free
    if free < 1.1 * needed:
        raise HostError(
            f"The random weights take {needed / 1e9:.1f} GB; {folder} has room for {free / 1e9:.1f} GB.",
            "Nothing was written.",
            "Free some space, or name another folder by the variable TMPDIR.",
        )
    (folder / "config.json").write_text(json.dumps(config))
    oracle.save_tokenizer(folder)
    header: dict[str, Any] = {}
    at = 0
    for name, shape in shapes.items():
        end = at + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    drawn = torch.randn(_BLOCK, generator=torch.Generator().manual_seed(1)) * size.spread
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            _write(file, name, math.prod(shape), drawn)
    return folder


def _shapes(size: Size) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    hf = oracle.library()
    with oracle.quiet():
        parts = oracle.configs(size)
        parts["decoder"] = hf.MusicgenDecoderConfig(**parts["decoder"]).to_dict()
        config = hf.MusicgenConfig(**parts)
        with torch.device("meta"):
            model = hf.MusicgenForConditionalGeneration(config)
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items() if name != _TIED}
        return config.to_dict(), shapes


def _write(file: Any, name: str, n: int, drawn: torch.Tensor) -> None:
    """n numbers of a tensor: ones for what scales a norm, so that nothing grows beyond its format."""
    scale = name.endswith("norm.weight") or name.endswith("original0")
    source = torch.ones(min(n, _BLOCK)) if scale else drawn
    while n > 0:
        part = source[: min(n, source.numel())]
        file.write(part.numpy().tobytes())
        n -= part.numel()
