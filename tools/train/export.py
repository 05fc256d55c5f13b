"""Turns runs into what ships: codec and language model from checkpoints, and the embedded model's files."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from descant.model.codec.tonebank import TonebankCodec, TonebankSpec
from descant.model.lm.music_lm import MusicLm
from descant.model.spec import ControlSpec, LmSpec

CONTROLS = (
    ControlSpec("melody", 12, doc="one-hot pitch class (C = 0) of the melody sounding in the frame"),
    ControlSpec("chords", 12, doc="pitch classes of the held chord, 1 each"),
    ControlSpec(
        "beat",
        4,
        guided=False,
        doc="cos and sin of the beat's phase, cos and sin of the bar's phase, at the frame's first sample",
    ),
)


def read_run(run: Path) -> dict[str, Any]:
    """The checkpoint of a run folder, tensors and plain values only."""
    kept: dict[str, Any] = torch.load(run / "checkpoint.pt", weights_only=True)
    return kept


def codec_of_run(run: Path, n_codebooks: int | None = None) -> TonebankCodec:
    """The averaged weights of a codec run, in eval mode.

    n_codebooks: how many of its quantizer's are used, from the first on; None: the run's choice, else all.
    """
    kept = read_run(run)
    spec = TonebankSpec(**kept["spec"])
    choice = run / "n_codebooks.txt"
    used = n_codebooks or (int(choice.read_text()) if choice.exists() else spec.n_codebooks)
    codec = TonebankCodec(replace(spec, n_codebooks=used))
    state = {
        **{k: v for k, v in kept["codec"].items() if not k.startswith("quantizer.ema.")},
        **kept["average"],
    }
    state["quantizer.codebooks"] = state["quantizer.codebooks"][:used].clone()
    codec.load_state_dict(state)
    return codec.eval()


def lm_spec_of(value: dict[str, Any]) -> LmSpec:
    """An LmSpec from its plain form in a checkpoint or config."""
    controls = tuple(ControlSpec(**c) for c in value["controls"])
    flattening = None if value.get("flattening") is None else tuple(value["flattening"])
    plain = {**value, "delays": tuple(value["delays"]), "controls": controls, "flattening": flattening}
    return LmSpec(**plain)


def lm_of_run(run: Path) -> MusicLm:
    """The averaged weights of a language-model run, in eval mode."""
    kept = read_run(run)
    lm = MusicLm(lm_spec_of(kept["spec"]))
    lm.load_state_dict({**kept["lm"], **kept["average"]})
    return lm.eval()


def made(run: Path) -> dict[str, str]:
    """How long a run has trained, as a safetensors file says it of itself."""
    kept = read_run(run)
    return {"made": json.dumps({"step": kept["step"], "seconds": round(kept["seconds"], 1)})}


def export_embedded(codec: TonebankCodec, lm: MusicLm, runs: Path, folder: Path) -> int:
    """Write codec.safetensors, lm.safetensors (float16) and config.json -> their size in bytes.

    runs: where the folders `codec` and `lm` are that they come from.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: v.detach().to(torch.float16).contiguous() for k, v in state.items()}

    save_file(half(codec.state_dict()), folder / "codec.safetensors", made(runs / "codec"))
    save_file(half(lm.state_dict()), folder / "lm.safetensors", made(runs / "lm"))
    config = {"name": "embedded", "codec": {"kind": "tonebank", **asdict(codec.spec)}, "lm": asdict(lm.spec)}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return sum(
        (folder / name).stat().st_size for name in ("codec.safetensors", "lm.safetensors", "config.json")
    )
