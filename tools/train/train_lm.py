"""Command: train the language model in resumable legs.

`python -m tools.train.train_lm --shards DIR --tokens DIR --run DIR --minutes 60`.
The run folder keeps checkpoint.pt (weights, optimiser, step), log.jsonl and curves.png.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from descant.model.lm.music_lm import MusicLm
from descant.model.spec import LmSpec

from .curves import plot_curves
from .export import CONTROLS, lm_spec_of
from .sequences import Batch, Dropout, Encoded, corrupt, draw_batch, load_encoded

BATCH, COLUMNS, CONTEXT = 8, 384, 256
CLIP = 1.0
AVERAGE_DECAY = 0.999


# pattern -> (delays, window in frames) as functions of the number of codebooks; window None: streams for ever
SHAPES: dict[str, Callable[[int], tuple[tuple[int, ...], int | None]]] = {
    "delay": lambda k: (tuple(range(k)), None),
    "parallel": lambda k: ((0,) * k, None),
    "flatten": lambda k: ((0,) * k, None),
    "coarse_first": lambda k: ((0,) * k, COLUMNS // 2),
}


def spec_for(n_codebooks: int, cardinality: int, dim: int, n_layers: int, pattern: str = "delay") -> LmSpec:
    """The embedded language model's shape; with another pattern, to compare."""
    delays, window = SHAPES[pattern](n_codebooks)
    return LmSpec(
        dim,
        n_layers,
        max(1, dim // 64),
        4 * dim,
        n_codebooks,
        cardinality,
        delays,
        "rope",
        None if window else CONTEXT,
        384,
        CONTROLS,
        pattern=pattern,  # type: ignore[arg-type]  # a key of SHAPES
        window=window,
    )


def losses(lm: MusicLm, batch: Batch) -> Tensor:
    """[K] mean cross-entropy of each codebook, in nats."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = lm(batch.tokens, batch.conditions)
    k, card = lm.spec.n_codebooks, lm.spec.cardinality
    return torch.stack(
        [
            F.cross_entropy(
                logits[:, i].reshape(-1, card).float(), batch.targets[:, i].reshape(-1), ignore_index=-100
            )
            for i in range(k)
        ]
    )


@torch.no_grad()
def judge(lm: MusicLm, held: list[Encoded], n_batches: int = 3) -> dict[str, list[float]]:
    """Held-out cross-entropy per codebook with all conditions, with none, and with each alone taken away."""
    out = {}
    whole = Dropout(0, 0, 0, 0)
    cases = {
        "all": whole,
        "none": Dropout(1, 1, 1, 1),
        "no text": Dropout(1, 0, 0, 0),
        "no melody": Dropout(0, 1, 0, 0),
        "no chords": Dropout(0, 0, 1, 0),
        "no beat": Dropout(0, 0, 0, 1),
    }
    lm.eval()
    for name, dropout in cases.items():
        rng = np.random.default_rng(7)
        batches = (draw_batch(held, lm.spec, rng, BATCH, COLUMNS, dropout) for _ in range(n_batches))
        means = torch.stack([losses(lm, batch) for batch in batches]).mean(0)
        out[name] = [round(float(v), 4) for v in means]
    lm.train()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument(
        "--run", type=Path, required=True, help="where the run is kept (outside the repository)"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="length of this leg")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument(
        "--final", action="store_true", help="let the learning rate fall to zero over this leg"
    )
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument(
        "--pattern", choices=sorted(SHAPES), default="delay", help="how codes are written into columns"
    )
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.minutes <= 0:
        parser.error(f"--minutes {args.minutes:g}: a leg is longer than 0")
    torch.set_num_threads(args.threads)
    args.run.mkdir(parents=True, exist_ok=True)
    train = load_encoded(args.shards, args.tokens, "train")
    held = load_encoded(args.shards, args.tokens, "held")
    checkpoint = args.run / "checkpoint.pt"
    kept = torch.load(checkpoint, weights_only=True) if checkpoint.exists() else None
    fresh = spec_for(train[0].codes.shape[1], 1024, args.dim, args.layers, args.pattern)
    spec = lm_spec_of(kept["spec"]) if kept else fresh
    torch.manual_seed(1)
    lm = MusicLm(spec)
    decayed = [p for n, p in lm.named_parameters() if p.dim() > 1 and "embedding" not in n]
    rest = [p for n, p in lm.named_parameters() if p.dim() <= 1 or "embedding" in n]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}],
        lr=args.lr,
        betas=(0.9, 0.95),
    )
    average = {n: p.detach().clone() for n, p in lm.named_parameters()}
    step, spent = 0, 0.0
    if kept:
        lm.load_state_dict(kept["lm"])
        if kept["optimiser"] is not None:
            optimiser.load_state_dict(kept["optimiser"])
        average, step, spent = kept["average"], kept["step"], kept["seconds"]
    begun = step
    rng = np.random.default_rng(2_000_003 * (step + 1))
    begin = time.monotonic()
    recent: list[float] = []

    def save() -> None:
        total = spent + time.monotonic() - begin
        temporary = checkpoint.with_suffix(".tmp")
        torch.save(
            {
                "lm": lm.state_dict(),
                "optimiser": optimiser.state_dict(),
                "average": average,
                "step": step,
                "seconds": total,
                "spec": asdict(spec),
            },
            temporary,
        )
        temporary.replace(checkpoint)
        now = {n: p.detach().clone() for n, p in lm.named_parameters()}
        for n, p in lm.named_parameters():
            p.data.copy_(average[n])
        row: dict[str, Any] = {
            "step": step,
            "minutes": round(total / 60, 2),
            "loss": round(float(np.mean(recent[-100:])), 4),
            "held_out": judge(lm, held),
        }
        row["held_out_mean"] = round(float(np.mean(row["held_out"]["all"])), 4)
        row["held_out_none"] = round(float(np.mean(row["held_out"]["none"])), 4)
        for n, p in lm.named_parameters():
            p.data.copy_(now[n])
        with (args.run / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        plot_curves(
            args.run / "log.jsonl",
            args.run / "curves.png",
            {
                "training loss": ["loss"],
                "held out, conditions": ["held_out_mean"],
                "held out, null": ["held_out_none"],
            },
        )

    lm.train()
    next_save = begin + 300
    while (elapsed := time.monotonic() - begin) < args.minutes * 60:
        share = elapsed / (args.minutes * 60)
        for group in optimiser.param_groups:
            group["lr"] = (
                args.lr * min(1.0, (step - begun + 1) / 150) * ((1 - share) ** 0.8 if args.final else 1.0)
            )
        batch = draw_batch(train, spec, rng, BATCH, COLUMNS, Dropout())
        batch = replace(batch, tokens=corrupt(batch.tokens, spec.special, rng))
        loss = losses(lm, batch).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lm.parameters(), CLIP)
        optimiser.step()
        with torch.no_grad():
            decay = min(AVERAGE_DECAY, (step + 1) / (step + 10))
            for n, p in lm.named_parameters():
                average[n].lerp_(p, 1 - decay)
        recent.append(float(loss.detach()))
        step += 1
        if step % 50 == 0:
            print(f"step {step} loss {np.mean(recent[-50:]):.4f} {elapsed / 60:.1f} min", flush=True)
        if time.monotonic() > next_save:
            next_save = time.monotonic() + 300
            save()
    save()


if __name__ == "__main__":
    main()
