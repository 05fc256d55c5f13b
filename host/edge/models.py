"""Models by the names users give them, made ready to answer at once.

Knows nothing about sessions. Importing this module imports torch.
"""

from __future__ import annotations

import torch

from descant.model import MusicModel, load_model, tiny_model

TINY = "tiny"  # random weights in the real classes: for tests, so no help text names it


def load_named(name: str) -> MusicModel:
    """Thread: engine, or main of a one-shot command. The model of that name: "embedded", a folder, or the id
    of a pulled model, see load_model; ModelError when there is none. Never asks the network."""
    return tiny_model() if name == TINY else load_model(name)


def warm_up(model: MusicModel, threads: int, frames: int = 3) -> None:
    """Thread: engine. Set torch's threads and make a few frames that nobody hears: the first frame of a
    process pays for kernels, allocations and pages that the first trigger should not wait for."""
    torch.set_num_threads(threads)
    stream = model.stream(text="warm up" if "text" in model.spec.controls else None, seed=0)
    for _ in range(frames):
        stream.step()
    if "melody" in model.spec.controls:
        rate = model.spec.sample_rate
        tone = torch.sin(torch.arange(rate) * (2 * torch.pi * 220 / rate))
        model.conditions(None, melody=(tone[None].numpy(), rate))
