"""Models by the names users give them, made ready to answer at once.

Knows nothing about sessions. Importing this module imports torch.
"""

from __future__ import annotations

import os

import torch

from descant.host.edge.kernel_choice import Choice, choose
from descant.model import MusicModel, load_model, tiny_model
from descant.model.checkpoints.embedded import default_kernels
from descant.model.checkpoints.stored import KERNEL_VARIABLE
from descant.model.lm.linear import is_native

TINY = "tiny"  # random weights in the real classes: for tests, so no help text names it


def load_named(name: str, kernel: str | None = None) -> MusicModel:
    """Thread: engine, or main of a one-shot command. The model of that name: "embedded", a folder, or the id
    of a pulled model, see load_model; ModelError when there is none. Never asks the network. Large models run
    with the kernel that suits this machine, see kernel_choice, unless one is named."""
    if name == TINY:
        return tiny_model()
    choice = None if kernel else kernel_for(name)
    model = load_model(name, kernel if choice is None else choice.kernel)
    _settle_threads(model)
    return model


def earlier_kernels(name: str) -> list[str]:
    """Thread: as load_named. Other kernels that may have played that model here, while they were its own."""
    if name == "embedded" and not os.environ.get(KERNEL_VARIABLE):
        return default_kernels()[1:]
    return []


def kernel_for(name: str) -> Choice | None:
    """Thread: as load_named. The kernel it would run with, nothing being loaded; None: its own default."""
    return None if name == TINY else choose(name)


def _settle_threads(model: MusicModel) -> None:
    """Where the language model has threads of its own, torch keeps to one: its own threads meet at barriers,
    and beside a busy neighbour what little they do for the codec takes ten times as long as one thread."""
    if is_native(model.lm.kernel):
        model.lm.packed()
        torch.set_num_threads(1)


def warm_up(model: MusicModel, threads: int, frames: int = 3) -> None:
    """Thread: engine. Set torch's threads and make a few frames that nobody hears: the first frame of a
    process pays for kernels, allocations and pages that the first trigger should not wait for."""
    torch.set_num_threads(threads)
    _settle_threads(model)
    stream = model.stream(text="warm up" if "text" in model.spec.controls else None, seed=0)
    for _ in range(frames):
        stream.step()
    if "melody" in model.spec.controls:
        rate = model.spec.sample_rate
        tone = torch.sin(torch.arange(rate) * (2 * torch.pi * 220 / rate))
        model.conditions(None, melody=(tone[None].numpy(), rate))
