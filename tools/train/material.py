"""Reads rendered shards and draws random crops from them. One reader for codec, language model and judge."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Shard:
    """One rendered shard: audio [N, T] int16 (memory-mapped), labels [N, F], facts (a dict a piece)."""

    name: str
    audio: np.ndarray
    melody: np.ndarray
    chords: np.ndarray
    beat: np.ndarray
    facts: list[dict[str, Any]]


def load_shards(folder: Path, prefix: str) -> list[Shard]:
    """Shards whose name starts with prefix ("train", "held"), in order.

    Raises FileNotFoundError when there is none.
    """
    shards = []
    for path in sorted(folder.glob(f"{prefix}*.json")):
        labels = np.load(path.with_suffix(".labels.npz"))
        audio = np.load(path.with_suffix(".npy"), mmap_mode="r")
        shards.append(
            Shard(
                path.stem,
                audio,
                labels["melody"],
                labels["chords"],
                labels["beat"],
                json.loads(path.read_text()),
            )
        )
    if not shards:
        raise FileNotFoundError(
            f"no shard named {prefix}* in {folder}: "
            f"run `python -m tools.train.make_shards --folder {folder}` first"
        )
    return shards


def random_crops(shards: list[Shard], rng: np.random.Generator, batch: int, n_samples: int) -> Tensor:
    """[batch, 1, n_samples] float32 crops, -1..1: random shard, piece, place and gain (-12..+3 dB)."""
    rows = np.empty((batch, 1, n_samples), np.float32)
    for i in range(batch):
        audio = shards[int(rng.integers(len(shards)))].audio
        start = int(rng.integers(audio.shape[1] - n_samples))
        rows[i, 0] = audio[int(rng.integers(audio.shape[0])), start : start + n_samples] / 32768.0
        rows[i] *= 10 ** (rng.uniform(-12, 3) / 20)
    return torch.from_numpy(rows).clamp(-1.0, 1.0)
