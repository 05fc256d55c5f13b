"""Command: train the codec in resumable legs.

`python -m tools.train.train_codec --shards DIR --run DIR --minutes 60`.
The run folder keeps checkpoint.pt (weights, optimiser, step), log.jsonl and curves.png.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from descant.model.codec.tonebank import TonebankCodec, TonebankSpec

from .curves import plot_curves
from .material import load_shards, random_crops
from .measures import chroma_agreement, codebook_usage, log_mel_distance
from .spectral_loss import spectral_loss

SPEC = TonebankSpec(32000, 1, 640, 8, 1024, 320)
BATCH, CROP_FRAMES = 8, 96
WARM_STEPS = 300  # steps as a plain autoencoder before the codebooks start
EMA_DECAY = 0.999


@torch.inference_mode()
def judge(codec: TonebankCodec, wave: torch.Tensor, levels: tuple[int, ...]) -> dict[str, dict[str, object]]:
    """Held-out figures with the first n codebooks, for each n of levels (0: not quantized). wave [B, 1, T].

    "usage": per codebook, entries used and the perplexity of their use.
    """
    rate, hop = codec.spec.sample_rate, codec.spec.hop_length
    latent = codec.latent(wave)
    codes = codec.quantizer.encode(latent)
    out: dict[str, dict[str, object]] = {}
    for n in levels:
        again = codec.reconstruct(codec.quantizer.decode(codes[:, :n]) if n else latent)[
            ..., : wave.shape[-1]
        ]
        cosine, dominant = chroma_agreement(wave[:, 0], again[:, 0], rate, hop)
        out[str(n)] = {
            "log_mel": round(log_mel_distance(wave[:, 0], again[:, 0], rate, hop), 4),
            "chroma": round(cosine, 4),
            "dominant": round(dominant, 4),
        }
    out["usage"] = {
        str(k): [used, round(p, 1)]
        for k, (used, p) in enumerate(codebook_usage(codes, codec.spec.cardinality))
    }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument(
        "--run", type=Path, required=True, help="where the run is kept (outside the repository)"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="length of this leg")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument(
        "--final", action="store_true", help="let the learning rate fall to zero over this leg"
    )
    parser.add_argument(
        "--codebooks", type=int, default=0, help="use only the first n in this leg (0: dropout over all)"
    )
    parser.add_argument(
        "--decoder-only",
        action="store_true",
        help="leave encoder and codebooks alone: tokens already made stay true",
    )
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.minutes <= 0:
        parser.error(f"--minutes {args.minutes:g}: a leg is longer than 0")
    torch.set_num_threads(args.threads)
    args.run.mkdir(parents=True, exist_ok=True)
    shards, held = load_shards(args.shards, "train"), load_shards(args.shards, "held")
    test = torch.from_numpy(held[0].audio[:24, 32000 * 8 : 32000 * 13].astype(np.float32) / 32768.0)[:, None]
    checkpoint = args.run / "checkpoint.pt"
    kept = torch.load(checkpoint, weights_only=True) if checkpoint.exists() else None
    spec = TonebankSpec(**kept["spec"]) if kept else SPEC
    codec = TonebankCodec(spec, trainable=True)
    optimiser = torch.optim.AdamW(codec.parameters(), lr=args.lr, betas=(0.8, 0.95), weight_decay=0.01)
    average = {n: p.detach().clone() for n, p in codec.named_parameters()}
    step, spent = 0, 0.0
    if kept:
        codec.load_state_dict(kept["codec"])
        if kept["optimiser"] is not None:
            optimiser.load_state_dict(kept["optimiser"])
        average, step, spent = kept["average"], kept["step"], kept["seconds"]
    begun = step
    levels = tuple(n for n in (0, 4, 6, 8) if n <= spec.n_codebooks)
    most = str(spec.n_codebooks)
    rng = np.random.default_rng(1_000_003 * (step + 1))
    draw = torch.Generator().manual_seed(step)
    warm: list[torch.Tensor] = []
    begin = time.monotonic()
    recent: list[float] = []

    def learn() -> None:
        codec.train()
        codec.quantizer.train(not args.decoder_only)

    def save(figures: bool) -> None:
        total = spent + time.monotonic() - begin
        temporary = checkpoint.with_suffix(".tmp")
        torch.save(
            {
                "codec": codec.state_dict(),
                "optimiser": optimiser.state_dict(),
                "average": average,
                "step": step,
                "seconds": total,
                "spec": asdict(spec),
            },
            temporary,
        )
        temporary.replace(checkpoint)
        if not figures:
            return
        now = {n: p.detach().clone() for n, p in codec.named_parameters()}
        for n, p in codec.named_parameters():
            p.data.copy_(average[n])
        codec.eval()
        row = {
            "step": step,
            "minutes": round(total / 60, 2),
            "loss": round(float(np.mean(recent[-200:])), 4),
            "held_out": judge(codec, test, levels if step > WARM_STEPS else (0,)),
        }
        learn()
        for n, p in codec.named_parameters():
            p.data.copy_(now[n])
        with (args.run / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        plot_curves(
            args.run / "log.jsonl",
            args.run / "curves.png",
            {
                "loss": ["loss"],
                f"chroma ({most})": ["held_out", most, "chroma"],
                f"log-mel ({most})": ["held_out", most, "log_mel"],
            },
        )

    if args.decoder_only:  # tokens are made by the averaged encoder: it is the one to keep
        codec.encoder.requires_grad_(False)
        for n, p in codec.named_parameters():
            p.data.copy_(average[n])
    learn()
    next_save = begin + 240
    while (elapsed := time.monotonic() - begin) < args.minutes * 60:
        share = elapsed / (args.minutes * 60)
        rate = args.lr * min(1.0, (step - begun + 1) / 200) * ((1 - share) ** 0.7 if args.final else 1.0)
        for group in optimiser.param_groups:
            group["lr"] = rate
        wave = random_crops(shards, rng, BATCH, CROP_FRAMES * spec.hop_length)
        with torch.autocast("cpu", torch.bfloat16):
            latent = codec.latent(wave).float()
        commitment = latent.new_zeros(())
        quantized = latent
        if step >= WARM_STEPS:
            n_used = args.codebooks or (
                spec.n_codebooks if rng.random() < 0.5 else int(rng.integers(2, spec.n_codebooks))
            )
            quantized, _, commitment = codec.quantizer.forward_train(latent, n_used, draw)
        elif step >= WARM_STEPS - 24:
            warm.append(latent.detach())
            if step == WARM_STEPS - 1:  # the codebooks start from many batches, not one
                codec.quantizer.forward_train(torch.cat(warm, 0), None, draw)
        with torch.autocast("cpu", torch.bfloat16):
            again = codec.reconstruct(quantized)
        loss = spectral_loss(wave[:, 0], again[:, 0])
        optimiser.zero_grad(set_to_none=True)
        (loss + 0.25 * commitment).backward()
        torch.nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            decay = min(EMA_DECAY, (step + 1) / (step + 10))
            for n, p in codec.named_parameters():
                average[n].lerp_(p, 1 - decay)
        recent.append(float(loss.detach()))
        step += 1
        if step % 50 == 0:
            print(
                f"step {step} loss {np.mean(recent[-50:]):.4f} "
                f"commitment {float(commitment):.3f} {elapsed / 60:.1f} min",
                flush=True,
            )
        if time.monotonic() > next_save:
            next_save = time.monotonic() + 240
            save(True)
    save(True)


if __name__ == "__main__":
    main()
