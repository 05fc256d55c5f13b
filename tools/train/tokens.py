"""Command: encode rendered shards with a trained codec, captions with the text encoder.

Resumable, two files a shard. NAME.tokens.npz: codes [N, K, F] int16. NAME.text.npz: states [N * 6, L, 384]
float16, lengths [N * 6] (captions in order).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from descant.model.checkpoints.minilm_files import load_minilm
from descant.model.codec.tonebank import TonebankCodec
from descant.model.conditions.text import TextEncoder

from .export import codec_of_run
from .material import Shard, load_shards


@torch.inference_mode()
def encode_audio(codec: TonebankCodec, shard: Shard) -> np.ndarray:
    """Codes [N, K, F] int16 of every piece of a shard."""
    rows = []
    for start in range(0, shard.audio.shape[0], 4):
        wave = torch.from_numpy(shard.audio[start : start + 4].astype(np.float32) / 32768.0)[:, None]
        rows.append(codec.encode(wave).numpy().astype(np.int16))
    return np.concatenate(rows)


@torch.inference_mode()
def encode_captions(encoder: TextEncoder, shard: Shard) -> tuple[np.ndarray, np.ndarray]:
    """(token states [captions, L, 384] float16 padded with zeros, lengths [captions] int16)."""
    encoded = [encoder.encode(caption) for facts in shard.facts for caption in facts["captions"]]
    states = [e.states for e in encoded if e is not None]
    lengths = np.array([s.shape[0] for s in states], np.int16)
    out = np.zeros((len(states), int(lengths.max()), states[0].shape[1]), np.float16)
    for row, s in zip(out, states, strict=True):
        row[: s.shape[0]] = s.numpy()
    return out, lengths


def save_whole(path: Path, **arrays: np.ndarray) -> None:
    """Write beside and rename: a file that is there is whole, whenever this was stopped."""
    scratch = path.with_suffix(".part.npz")
    np.savez(scratch, allow_pickle=False, **arrays)
    scratch.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--codec", type=Path, required=True, help="run folder of train_codec")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    codec, encoder = codec_of_run(args.codec), load_minilm()
    shards = load_shards(args.shards, "held") + load_shards(args.shards, "train")
    for done, shard in enumerate(shards, 1):
        begin = time.monotonic()
        tokens, text = args.out / f"{shard.name}.tokens.npz", args.out / f"{shard.name}.text.npz"
        if not text.exists():
            states, lengths = encode_captions(encoder, shard)
            save_whole(text, states=states, lengths=lengths)
        if not tokens.exists():
            save_whole(tokens, codes=encode_audio(codec, shard))
        print(f"[{done}/{len(shards)}] {shard.name} {time.monotonic() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
