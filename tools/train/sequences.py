"""Encoded shards as training sequences: pattern columns, captions, frame controls, dropout of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from descant.model.lm.inputs import LmInputs
from descant.model.patterns import Pattern, pattern_of
from descant.model.spec import LmSpec

from .render import HOP, SAMPLE_RATE

CAPTIONS = 6


@dataclass(frozen=True)
class Encoded:
    """One encoded shard of N pieces of F frames.

    codes: [N, K, F]. states: [N * 6, L, text_dim], lengths: [N * 6], six captions a piece, in order. melody:
    [N, F] pitch class or -1. chords: [N, F] bit mask. tempo, beats_per_bar, family: one a piece.
    """

    codes: np.ndarray
    states: np.ndarray
    lengths: np.ndarray
    melody: np.ndarray
    chords: np.ndarray
    tempo: np.ndarray
    beats_per_bar: np.ndarray
    family: list[str]


@dataclass(frozen=True)
class Dropout:
    """Probabilities that a condition is absent from a training sequence (each sequence draws its own)."""

    text: float = 0.15
    melody: float = 0.25
    chords: float = 0.5
    beat: float = 0.1


@dataclass(frozen=True)
class Batch:
    """tokens [B, K, S] columns, targets [B, K, S] (-100: nothing learned), conditions for S positions."""

    tokens: Tensor
    targets: Tensor
    conditions: LmInputs


def load_encoded(shards: Path, tokens: Path, prefix: str) -> list[Encoded]:
    """Encoded shards whose name starts with prefix. Raises FileNotFoundError when there is none."""
    out = []
    for path in sorted(tokens.glob(f"{prefix}*.tokens.npz")):
        name = path.name.removesuffix(".tokens.npz")
        labels, text = np.load(shards / f"{name}.labels.npz"), np.load(tokens / f"{name}.text.npz")
        facts = json.loads((shards / f"{name}.json").read_text())
        out.append(
            Encoded(
                codes=np.load(path)["codes"],
                states=text["states"],
                lengths=text["lengths"],
                melody=labels["melody"],
                chords=labels["chords"],
                tempo=np.array([f["tempo"] for f in facts]),
                beats_per_bar=np.array([f["beats_per_bar"] for f in facts]),
                family=[f["family"] for f in facts],
            )
        )
    if not out:
        raise FileNotFoundError(
            f"no {prefix}*.tokens.npz in {tokens}: run `python -m tools.train.tokens` first"
        )
    return out


def beat_control(first_frame: int, n_frames: int, tempo: float, beats_per_bar: int) -> np.ndarray:
    """[n_frames, 4] float32: cos and sin of the beat's phase, cos and sin of the bar's; beat 0 at frame 0."""
    beats = (first_frame + np.arange(n_frames)) * HOP / SAMPLE_RATE * tempo / 60.0
    turns = 2 * np.pi * np.stack([beats, beats / beats_per_bar])
    phases = [np.cos(turns[0]), np.sin(turns[0]), np.cos(turns[1]), np.sin(turns[1])]
    return np.stack(phases, axis=1).astype(np.float32)


def controls_of(
    shard: Encoded, piece: int, first: int, n_frames: int, shift: int = 0
) -> dict[str, np.ndarray]:
    """Frame controls of one piece: melody [F, 12], chords [F, 12], beat [F, 4].

    shift: frame f gets the melody of frame f + shift (as if played late or early).
    """
    frames = np.clip(np.arange(first, first + n_frames) + shift, 0, shard.melody.shape[1] - 1)
    pitch = shard.melody[piece, frames]
    melody = (pitch[:, None] == np.arange(12)).astype(np.float32)
    held = shard.chords[piece, first : first + n_frames, None].astype(np.int32)
    chords = ((held >> np.arange(12)) & 1).astype(np.float32)
    return {
        "melody": melody,
        "chords": chords,
        "beat": beat_control(first, n_frames, float(shard.tempo[piece]), int(shard.beats_per_bar[piece])),
    }


def draw_batch(
    shards: list[Encoded],
    spec: LmSpec,
    rng: np.random.Generator,
    batch: int,
    n_columns: int,
    dropout: Dropout,
    first_share: float = 0.4,
) -> Batch:
    """A batch of sequences at random places, the melody up to 3 frames early or late.

    A share of them starts as a stream does (column 0 special); the others are cut from the middle of one, as
    a stream with finite context sees itself. Models with windows, or a pattern that is not the delay, learn
    whole pieces, and from the columns that the pattern calls learned: those before it drains.
    """
    pattern = pattern_of(spec)
    from_the_first = spec.pattern not in ("delay", "parallel") or spec.flatten_first or spec.empty_initial
    whole = spec.window is not None or from_the_first
    if whole:  # pieces from their first column on, as a window is run
        n_controls = _frames_within(pattern, n_columns + 1)
        heard = np.array([pattern.control_frame(c, n_controls) for c in range(n_columns)])
        first_share = 1.0
    else:
        n_controls = n_columns + spec.max_delay + 1
        heard = np.arange(n_controls)
    codes, texts, lengths = [], [], []
    controls: dict[str, list[np.ndarray]] = {c.name: [] for c in spec.controls}
    offsets = []
    for _ in range(batch):
        shard = shards[int(rng.integers(len(shards)))]
        piece = int(rng.integers(shard.codes.shape[0]))
        first = int(rng.integers(shard.codes.shape[2] - n_controls))
        codes.append(shard.codes[piece, :, first : first + n_controls].astype(np.int64))
        row = piece * CAPTIONS + int(rng.integers(CAPTIONS))
        lengths.append(0 if rng.random() < dropout.text else int(shard.lengths[row]))
        texts.append(shard.states[row].astype(np.float32))
        for name, value in controls_of(shard, piece, first, n_controls, int(rng.integers(-3, 4))).items():
            controls[name].append(value[heard] * float(rng.random() >= getattr(dropout, name)))
        offsets.append(0 if rng.random() < first_share else spec.max_delay + 1)
    columns = pattern.to_columns(torch.from_numpy(np.stack(codes)), spec.special)
    if whole:  # shorter than asked for by less than a frame: empty columns that no loss sees
        columns = torch.nn.functional.pad(columns, (0, n_columns + 1 - columns.shape[-1]), value=spec.special)
    tokens = torch.stack([c[:, o : o + n_columns] for c, o in zip(columns, offsets, strict=True)])
    after = torch.stack([c[:, o + 1 : o + 1 + n_columns] for c, o in zip(columns, offsets, strict=True)])
    if whole:
        after = after.masked_fill(torch.arange(n_columns) + 1 >= pattern.learned_columns(n_controls), -100)
    targets = after.masked_fill(after == spec.special, -100)
    width = max(t.shape[0] for t in texts)
    text = torch.stack(
        [torch.nn.functional.pad(torch.from_numpy(t), (0, 0, 0, width - t.shape[0])) for t in texts]
    )
    mask = torch.arange(width)[None] < torch.tensor(lengths)[:, None]
    longest = max(1, max(lengths))
    values = {
        name: torch.stack(
            [torch.from_numpy(v[o : o + n_columns]) for v, o in zip(rows, offsets, strict=True)]
        )
        for name, rows in controls.items()
    }
    return Batch(tokens, targets, LmInputs(text[:, :longest], mask[:, :longest], values))


def _frames_within(pattern: Pattern, n_columns: int) -> int:
    """The longest piece that fits into so many columns."""
    n_frames = 1
    while pattern.n_columns(n_frames + 1) <= n_columns:
        n_frames += 1
    return n_frames


def corrupt(tokens: Tensor, special: int, rng: np.random.Generator) -> Tensor:
    """Tokens [B, K, S] with some cells replaced: so a model learns from mistakes like its own.

    Each sequence draws a share of cells (none to 0.3) that become a random code or the special token, and up
    to two stretches of 4 to 24 columns that become special altogether. Without it a small model learns to
    copy the last frame, right nine times out of ten, and neglects beat and melody when it plays alone.
    """
    out = tokens.clone()
    batch, n_codebooks, length = tokens.shape
    for b in range(batch):
        share = 0.0 if rng.random() < 0.25 else float(rng.uniform(0.0, 0.3))
        hit = torch.from_numpy(rng.random((n_codebooks, length)) < share)
        codes = rng.integers(0, special, (n_codebooks, length))
        codes[rng.random((n_codebooks, length)) < 0.5] = special
        out[b] = torch.where(hit, torch.from_numpy(codes), out[b])
        for _ in range(int(rng.integers(0, 3))):
            start = int(rng.integers(1, length))
            out[b, :, start : start + int(rng.integers(4, 25))] = special
    return out
