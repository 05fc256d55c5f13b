"""Files written by torch.save: read without running anything they hold, and only when that was asked for.

A pickle is a programme. torch's weights-only reader builds tensors, numbers, text and plain containers and
refuses every other instruction before it runs; whoever does not trust that either converts elsewhere.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from descant.model.errors import ModelError


def read_pickle(path: Path, allow_pickle: bool) -> dict[str, Any]:
    """What torch.save wrote, if it is a dict of weights and plain values, tensors on the CPU.

    Raises ModelError if allow_pickle is not True, if the file cannot be read, or if it holds anything that
    would have to run.
    """
    if allow_pickle is not True:
        raise ModelError(
            f"{path} is a pickle, a file that could run a programme when read; it was not read.",
            "Nothing was loaded.",
            f"Convert it to safetensors first: descant models convert {path.parent} OUT",
        )
    try:
        mapped = zipfile.is_zipfile(path)  # files from before torch 1.6 are no archives and cannot be mapped
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what is refused is told in three lines, not before
            value = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # unpickling fails in as many ways as there are broken files
        reason = " ".join(str(error).split())
        refused = "Unsupported" in reason or "GLOBAL" in reason or "weights_only" in reason
        problem = "holds more than weights and was refused" if refused else "cannot be read"
        raise ModelError(
            f"{path} {problem}: {type(error).__name__} {_short(reason)}",
            "Nothing was loaded and nothing in the file was run.",
            "Use weights from a source you trust, as safetensors if there are any.",
        ) from None
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ModelError(
            f"{path} holds a {type(value).__name__}; allowed: a dict of named weights.",
            "Nothing was loaded.",
            "Give the state dict of a model.",
        )
    return value


def _short(reason: str) -> str:
    return reason if len(reason) <= 160 else reason[:157] + "..."
