"""Command: begin run folders from the weights that ship: training goes on where it ended, on any machine.

`python -m tools.train.from_shipped --folder DIR` writes DIR/codec and DIR/lm unless they are there. The
optimisers start anew; the codec's encoder and codebooks are settled: further legs train its decoder alone.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from descant.model import load_model
from descant.model.codec.tonebank import TonebankCodec
from descant.model.lm.music_lm import MusicLm

from .ship import EMBEDDED
from .train_lm import CONTEXT


def made(name: str) -> dict[str, Any]:
    """{"step", "seconds"} that a shipped file's weights have been trained for; zeros if it does not say."""
    with safe_open(str(EMBEDDED / f"{name}.safetensors"), framework="pt") as file:
        told = json.loads((file.metadata() or {}).get("made", "{}"))
    return {"step": int(told.get("step", 0)), "seconds": float(told.get("seconds", 0.0))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="outside the repository")
    args = parser.parse_args()
    model = load_model("embedded", "fp32")
    codec, lm = model.codec, model.lm
    assert isinstance(codec, TonebankCodec)
    learner = TonebankCodec(codec.spec, trainable=True)
    learner.load_state_dict({**learner.state_dict(), **codec.state_dict()})
    successor = MusicLm(replace(lm.spec, context=CONTEXT))
    successor.load_state_dict(lm.state_dict())
    runs = {
        "codec": {"codec": learner.state_dict(), "spec": asdict(codec.spec)},
        "lm": {"lm": successor.state_dict(), "spec": asdict(successor.spec)},
    }
    for name, run in runs.items():
        checkpoint = args.folder / name / "checkpoint.pt"
        if checkpoint.exists():
            print(f"{checkpoint} is there and is kept")
            continue
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        learnt = learner if name == "codec" else successor
        average = {n: p.detach().clone() for n, p in learnt.named_parameters()}
        torch.save({**run, "average": average, "optimiser": None, **made(name)}, checkpoint)
        print(f"{checkpoint}: {made(name)}")
    (args.folder / "codec" / "n_codebooks.txt").write_text(str(codec.spec.n_codebooks))


if __name__ == "__main__":
    main()
