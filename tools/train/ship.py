"""Command: export the runs into model/embedded, measure them on held-out material and write the card.

`python -m tools.train.ship --folder DIR`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from descant.model import Sampling, load_model
from descant.model.codec.tonebank import TonebankCodec

from .evaluate import measure
from .export import codec_of_run, export_embedded, lm_of_run, read_run
from .judge import load_judge
from .material import load_shards
from .train_codec import judge as judge_codec

EMBEDDED = Path(__file__).resolve().parents[2] / "model" / "embedded"
SAMPLING = Sampling(temperature=0.95, top_k=80, guidance=2.5)


def codec_figures(codec: TonebankCodec, shards: Path) -> dict[str, Any]:
    """Held-out figures of the codec at its number of codebooks: 40 clips of 6 s."""
    audio = load_shards(shards, "held")[0].audio
    wave = torch.from_numpy(audio[:, 32000 * 8 : 32000 * 14].astype(np.float32) / 32768.0)[:, None]
    return judge_codec(codec, wave, (codec.spec.n_codebooks,))


def card(
    folder: Path, codec: TonebankCodec, size: int, codec_row: dict[str, Any], behaviour: dict[str, float]
) -> str:
    """The card's text: data, recipe, hours, licence, held-out figures."""
    runs = {name: read_run(folder / name) for name in ("codec", "lm")}
    last = json.loads((folder / "lm" / "log.jsonl").read_text().splitlines()[-1])
    n_shards = len(list((folder / "shards").glob("train*.json")))
    k = codec.spec.n_codebooks
    quality = codec_row[str(k)]
    spec = runs["lm"]["spec"]
    bits = k * codec.spec.frame_rate * np.log2(codec.spec.cardinality) / 1000
    usage = ", ".join(f"{used} ({perplexity:.0f})" for used, perplexity in codec_row["usage"].values())
    rows = "\n".join(
        f"| {name} | " + " | ".join(f"{v:.2f}" for v in values) + f" | {np.mean(values):.3f} |"
        for name, values in last["held_out"].items()
    )
    heads = " | ".join(f"k{i}" for i in range(k))
    return f"""# The embedded model

A small MusicGen-shaped model that ships with Descant, so that it plays at once and offline. \
Made by `python -m tools.train`.
Figures below were written by `python -m tools.train.ship` from held-out material \
(pieces no training seed composes).

- **Data**: {n_shards} shards, {n_shards * 40 * 30.72 / 3600:.1f} hours of music \
composed by our own procedural composer (`tools/train/composer.py`),
  rendered with FluidSynth and the FluidR3 GM soundfont (MIT licence). \
Captions, melody, chords and beat grid are exact: the composer wrote them.
- **Licence**: Apache-2.0, as the rest of Descant. No recorded music and no other model's output was used.
- **Codec**: tones, noise and transients at {codec.spec.frame_rate:.0f} frames/s, \
{k} codebooks of {codec.spec.cardinality} ({bits:.1f} kbit/s), causal, lookahead
  {1000 * codec.spec.lookahead / codec.spec.sample_rate:.0f} ms; \
{runs["codec"]["step"]} steps, {runs["codec"]["seconds"] / 3600:.2f} h of two shared CPU cores.
- **Language model**: {spec["n_layers"]} layers of width {spec["dim"]}, delay pattern, rotary positions, \
context {spec["context"]} columns ({spec["context"] / codec.spec.frame_rate:.1f} s);
  MiniLM-L6 token states through cross-attention; melody, chords and beat added to each frame's input. \
{runs["lm"]["step"]} steps,
  {runs["lm"]["seconds"] / 3600:.2f} h of two shared CPU cores. \
Cross-entropy per codebook over valid cells, conditions dropped per sequence
  (text 0.15, melody 0.25, chords 0.5, beat 0.1), inputs corrupted (`tools/train/sequences.py`), AdamW,
  weights averaged (0.999).
- **Size**: {size / 1e6:.1f} MB, float16.

## Held-out figures
Codec: log-mel L1 {quality["log_mel"]:.3f}, chroma cosine {quality["chroma"]:.3f}, \
dominant pitch class right {100 * quality["dominant"]:.1f} % (8192-point window, 50 frames/s).
Entries used of {codec.spec.cardinality} (perplexity), per codebook: {usage}.

Cross-entropy per codebook (nats; uniform is {np.log(codec.spec.cardinality):.2f}):

| conditions | {heads} | mean |
|---|{"---|" * (k + 1)}
{rows}

Generated from {behaviour["pieces"]:.0f} held-out prompts and melodies, {behaviour["seconds"]:.0f} s each \
(guidance {SAMPLING.guidance}, temperature {SAMPLING.temperature}, top-k {SAMPLING.top_k}):

| figure | with the condition | without it |
|---|---|---|
| chroma cosine of the output with the given melody \
| {behaviour["melody"]:.3f} | {behaviour["null"]:.3f} |
| prompt's instrument family heard by the judge (chance 0.10) \
| {behaviour["family"]:.3f} | {behaviour["family_null_prompt"]:.3f} |
| onsets on the given beat grid against off it (-1..1) \
| {behaviour["beat"]:.3f} | {behaviour["beat_null"]:.3f} |

Limits: General MIDI sounds, simple forms, 14 genres, 10 instrument families; \
it knows the words its composer's captions use best.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--pieces", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    codec, lm = codec_of_run(args.folder / "codec"), lm_of_run(args.folder / "lm")
    size = export_embedded(codec, lm, args.folder, EMBEDDED)
    behaviour = measure(
        load_model("embedded"),
        load_judge(args.folder / "judge"),
        args.folder / "shards",
        args.pieces,
        args.seconds,
        SAMPLING,
    )
    (EMBEDDED / "card.md").write_text(
        card(args.folder, codec, size, codec_figures(codec, args.folder / "shards"), behaviour)
    )
    print(json.dumps(behaviour, indent=2))
    print(f"wrote {size / 1e6:.1f} MB to {EMBEDDED}")


if __name__ == "__main__":
    main()
