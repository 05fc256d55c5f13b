"""Command: train the instrument judge on renders (never on outputs), and say how good it is on held-out ones.

`python -m tools.train.judge --shards DIR --run DIR --minutes 6`. Three seconds of audio in, the lead's family
out.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .genres import LEADS
from .material import Shard, load_shards
from .measures import log_mel
from .render import HOP, SAMPLE_RATE

FAMILIES = tuple(LEADS)
CLIP_SAMPLES = 3 * SAMPLE_RATE


class Judge(nn.Module):
    """wave [B, T] of 3 s or more -> logits [B, families]."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 24, 48, 96, 128)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride=(2, 2), padding=1) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for b in widths[1:])
        self.out = nn.Linear(widths[-1] * 2, len(FAMILIES))

    def forward(self, wave: Tensor) -> Tensor:
        x = (log_mel(wave, SAMPLE_RATE, HOP)[:, None] + 3.0) / 3.0
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.gelu(norm(layer(x)))
        pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        return self.out(pooled)


def led_pieces(shards: list[Shard]) -> list[tuple[Shard, int, int]]:
    """(shard, piece, family index) of every piece that has a lead."""
    return [(s, i, FAMILIES.index(f["family"])) for s in shards for i, f in enumerate(s.facts) if f["family"]]


def crop(shard: Shard, piece: int, rng: np.random.Generator) -> np.ndarray:
    """Three seconds in which the lead plays at least a third of the time, if there are such."""
    for _ in range(8):
        frame = int(rng.integers(shard.melody.shape[1] - CLIP_SAMPLES // HOP))
        if (shard.melody[piece, frame : frame + CLIP_SAMPLES // HOP] >= 0).mean() > 0.33:
            break
    return shard.audio[piece, frame * HOP : frame * HOP + CLIP_SAMPLES].astype(np.float32) / 32768.0


def load_judge(run: Path) -> Judge:
    """The trained judge of a run folder."""
    judge = Judge()
    judge.load_state_dict(torch.load(run / "judge.pt", weights_only=True))
    return judge.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.run.mkdir(parents=True, exist_ok=True)
    train, held = led_pieces(load_shards(args.shards, "train")), led_pieces(load_shards(args.shards, "held"))
    torch.manual_seed(0)
    judge, rng = Judge(), np.random.default_rng(0)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    begin, step = time.monotonic(), 0
    while (share := (time.monotonic() - begin) / (60 * args.minutes)) < 1:
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - share)
        chosen = [train[int(i)] for i in rng.integers(len(train), size=24)]
        wave = (
            torch.from_numpy(np.stack([crop(s, p, rng) for s, p, _ in chosen]))
            * torch.from_numpy(10 ** rng.uniform(-0.5, 0.2, (24, 1))).float()
        )
        loss = F.cross_entropy(judge(wave), torch.tensor([f for _, _, f in chosen]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if step % 50 == 0:
            print(f"step {step} loss {float(loss.detach()):.3f} {share * args.minutes:.1f} min", flush=True)
    judge.eval()
    with torch.inference_mode():
        rng = np.random.default_rng(1)
        right = [
            int(judge(torch.from_numpy(crop(s, p, rng))[None]).argmax() == f)
            for s, p, f in held
            for _ in range(3)
        ]
    torch.save(judge.state_dict(), args.run / "judge.pt")
    print(
        f"held-out renders: family right in {100 * np.mean(right):.1f} % of {len(right)} clips "
        f"(chance {100 / len(FAMILIES):.0f} %)"
    )


if __name__ == "__main__":
    main()
