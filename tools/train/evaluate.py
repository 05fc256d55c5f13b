"""Command: what the language model does with its conditions, on held-out pieces: the figures of the card.

`python -m tools.train.evaluate --shards DIR --judge DIR [--model embedded] --out figures.json`
Chroma cosine of the output with the given melody, against the same prompt without it; the prompt's
instrument family as heard by a judge trained on renders, against the same melody without the prompt; onsets
on the eighth notes of the given beat grid against those midway between them, with the grid given and without.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descant.model import MusicModel, Sampling, load_model

from .genres import LEADS
from .judge import CLIP_SAMPLES, FAMILIES, Judge, load_judge
from .material import load_shards
from .measures import chroma, log_mel
from .render import HOP, SAMPLE_RATE
from .sequences import beat_control


def melody_cosine(wave: Tensor, melody: np.ndarray) -> float:
    """Mean cosine of the output's chroma with the one-hot melody where that sounds; NaN where it never does.

    wave [T], melody [F] pitch class or -1.
    """
    heard = chroma(wave[None], SAMPLE_RATE, HOP)[0, :, : len(melody)]
    frames = np.flatnonzero(melody[: heard.shape[1]] >= 0)
    return float(heard[melody[frames], frames].mean()) if len(frames) else float("nan")


def beat_contrast(wave: Tensor, tempo: float) -> float:
    """Onset strength on the eighth-note grid minus that midway between its points, over their sum: -1..1.

    wave [T], at its first sample a beat. tempo: quarter notes a minute.
    """
    mel = log_mel(wave[None], SAMPLE_RATE, HOP // 2)[0]
    onset = (mel[:, 1:] - mel[:, :-1]).clamp(min=0).mean(0).numpy()
    grid = 60.0 / tempo / 2 * SAMPLE_RATE / (HOP // 2)
    points = np.arange(grid, len(onset) - grid - 4, grid)

    def strength(shift: float) -> float:
        middles = [round(p + shift) for p in points]
        return float(np.mean([onset[middle - 2 : middle + 3].max() for middle in middles]))

    on, off = strength(0.0), strength(grid / 2)
    return (on - off) / (on + off + 1e-9)


def measure(
    model: MusicModel, judge: Judge, shards: Path, n_pieces: int, seconds: float, sampling: Sampling
) -> dict[str, float]:
    """Generate for n_pieces held-out prompts and melodies, so many seconds each: figure -> its mean."""
    held = load_shards(shards, "held")[0]
    pieces = [i for i, f in enumerate(held.facts) if f["family"]][:n_pieces]
    n_frames = round(seconds * SAMPLE_RATE / HOP)
    rows: dict[str, list[float]] = {
        k: [] for k in ("melody", "null", "family", "family_null_prompt", "beat", "beat_null")
    }
    for i in pieces:
        facts = held.facts[i]
        names = [name for _, name, _, _ in LEADS[facts["family"]]]
        name = next((n for n in names if n in facts["captions"][2]), names[0])
        melody = held.melody[i, :n_frames]
        one_hot = torch.from_numpy((melody[:, None] == np.arange(12)).astype(np.float32))
        beat = torch.from_numpy(beat_control(0, n_frames, facts["tempo"], facts["beats_per_bar"]))
        common: dict[str, Any] = {"seconds": seconds, "seed": i, "sampling": sampling}
        prompt = facts["captions"][2]
        led = model.generate(text=prompt, melody=one_hot, beat=beat, **common)[0]
        free = model.generate(text=prompt, beat=beat, **common)[0]
        loose = model.generate(text=None, melody=one_hot, bpm=None, **common)[0]
        rows["melody"].append(melody_cosine(led, melody))
        rows["null"].append(melody_cosine(free, melody))
        wanted = FAMILIES.index(facts["family"])
        with torch.inference_mode():
            for key, wave in (("family", led), ("family_null_prompt", loose)):
                clips = wave[: len(wave) // CLIP_SAMPLES * CLIP_SAMPLES].view(-1, CLIP_SAMPLES)
                rows[key].append(float((judge(clips).argmax(1) == wanted).float().mean()))
        rows["beat"].append(beat_contrast(led, facts["tempo"]))
        rows["beat_null"].append(beat_contrast(loose, facts["tempo"]))
        last = {key: values[-1] for key, values in rows.items()}
        print(
            f"{prompt!r} ({name}): melody {last['melody']:.2f} null {last['null']:.2f} "
            f"family {last['family']:.2f} beat {last['beat']:.2f}",
            flush=True,
        )
    out = {k: round(float(np.nanmean(v)), 4) for k, v in rows.items()}
    return {**out, "pieces": len(pieces), "seconds": seconds, "gain": round(out["melody"] - out["null"], 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--pieces", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top-k", type=int, default=120)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sampling = Sampling(temperature=args.temperature, top_k=args.top_k, guidance=args.guidance)
    figures = measure(
        load_model(args.model), load_judge(args.judge), args.shards, args.pieces, args.seconds, sampling
    )
    print(json.dumps(figures, indent=2))
    if args.out:
        drawn = {"guidance": args.guidance, "temperature": args.temperature, "top_k": args.top_k}
        args.out.write_text(json.dumps({**figures, "sampling": drawn}, indent=2) + "\n")


if __name__ == "__main__":
    main()
