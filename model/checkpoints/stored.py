"""The weights of a folder, whatever form they are stored in, and a language model built around them.

safetensors first; a pickle only when that was asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from descant.model.checkpoints import packed_file
from descant.model.checkpoints.config_tree import read_json
from descant.model.checkpoints.musicgen_keys import Table, taken, their_shapes
from descant.model.checkpoints.tensors import StoredTensors, check_shapes, shapes_of
from descant.model.checkpoints.text_files import weight_files
from descant.model.checkpoints.weights_only import read_pickle
from descant.model.errors import ModelError
from descant.model.kernels.device import DeviceWeights
from descant.model.kernels.native import NativeWeights
from descant.model.lm.linear import (
    DeviceKernel,
    NativeKernel,
    check_kernel,
    is_device,
    is_native,
    runs_columns,
)
from descant.model.lm.music_lm import MusicLm
from descant.model.lm.transformer import Layer
from descant.model.spec import LmSpec

KERNEL_VARIABLE = "DESCANT_KERNEL"
PICKLE = "pytorch_model.bin"
_AGAIN = "Fetch the folder again."


def folder_weights(folder: Path, allow_pickle: bool) -> tuple[StoredTensors, list[Path]]:
    """The weights that transformers saved in a folder, and the files they lie in. Raises ModelError."""
    has_safetensors = any((folder / f"model.safetensors{end}").is_file() for end in ("", ".index.json"))
    pickles = [] if has_safetensors else _pickles(folder)
    if not pickles:
        files = weight_files(folder)
        return StoredTensors(files, str(folder)), files
    tensors: dict[str, Tensor] = {}
    for path in pickles:
        tensors |= only_tensors(read_pickle(path, allow_pickle), path)
    return StoredTensors(tensors, str(folder)), pickles


def only_tensors(values: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """A state dict, or a ModelError where something else stands among the tensors."""
    strange = sorted(name for name, value in values.items() if not isinstance(value, Tensor))
    if strange:
        raise ModelError(
            f"{path} holds more than tensors: {', '.join(strange[:5])}.",
            "Nothing was loaded.",
            "Give the state dict of a model.",
        )
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def build_lm(
    spec: LmSpec,
    table: Table,
    stored: StoredTensors,
    source: str,
    ignore: Sequence[str],
    extra: Mapping[str, Tensor] | None = None,
    kernel: str = "fp32",
    digest: str = "",
) -> MusicLm:
    """A frozen language model with the tensors a table takes from a file, all checked before one is read.

    ignore: beginnings of names that may be there and are left out. extra: tensors of ours that are in no
    table. kernel: how its steps run; a native or GPU one packs a layer at a time, and full weights are never
    there all at once. digest: of the files; what a native kernel packs of them is kept, see packed_file.py,
    but not without a digest. Raises ModelError.
    """
    with torch.device("meta"), torch.random.fork_rng(devices=[]):  # shapes alone: no first weights are drawn
        lm = MusicLm(spec)
    ours = shapes_of(lm)
    check_shapes(stored.shapes, their_shapes(table, ours), source, ignore)
    known = check_kernel(kernel)
    lm.row_offsets = torch.arange(spec.n_codebooks) * (spec.cardinality + 1)
    lm.eval().requires_grad_(False)
    if runs_columns(known):
        _pack(lm, known, table, stored, extra or {}, source, digest)
        return lm
    tensors = taken(table, stored) | dict(extra or {})
    check_shapes({name: tuple(value.shape) for name, value in tensors.items()}, ours, source)
    lm.load_state_dict(tensors, assign=True)
    lm.eval().requires_grad_(False)
    lm.use_kernel(known)
    return lm


def _pack(
    lm: MusicLm,
    kernel: NativeKernel | DeviceKernel,
    table: Table,
    stored: StoredTensors,
    extra: Mapping[str, Tensor],
    source: str,
    digest: str,
) -> None:
    """Fill a model without weights: its layers and heads packed one by one, the rest as it is."""

    def part(module: nn.Module, beginning: str) -> nn.Module:
        """A module with its tensors, whose names begin so."""
        wanted = {name for name in shapes_of(lm) if name.startswith(beginning)}
        found = taken({name: rows for name, rows in table.items() if name in wanted}, stored)
        found |= {name: value for name, value in extra.items() if name in wanted}
        short = {name.removeprefix(beginning): value for name, value in found.items()}
        check_shapes({name: tuple(value.shape) for name, value in short.items()}, shapes_of(module), source)
        module.load_state_dict(short, assign=True)
        return module.requires_grad_(False)

    weights: NativeWeights | DeviceWeights
    key, ready = "", False
    if is_device(kernel):
        weights = DeviceWeights(lm.spec, kernel)
    elif is_native(kernel):
        weights = NativeWeights(lm.spec, kernel)
        key = packed_file.key_of(lm.spec, kernel, digest) if digest else ""
        ready = bool(key) and packed_file.read(weights, key)
    for index in range(0 if ready else lm.spec.n_layers):
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            empty = Layer(lm.spec, index + 1)
        layer = part(empty, f"layers.{index}.")
        assert isinstance(layer, Layer)
        weights.put_layer(index, layer)
    part(lm.norm, "norm.")
    if not ready:
        with torch.device("meta"):
            heads = nn.Linear(lm.spec.dim, lm.heads.out_features, bias=False)
        part(heads, "heads.")
        weights.put_head(lm.norm, heads.weight)
        if key and isinstance(weights, NativeWeights):
            packed_file.write(weights, key)
    small = [name for name in shapes_of(lm) if not name.startswith(("layers.", "heads.", "norm."))]
    for name in small:
        found = extra[name] if name in extra else taken({name: table[name]}, stored)[name]
        owner, _, leaf = name.rpartition(".")
        setattr(lm.get_submodule(owner), leaf, nn.Parameter(found, requires_grad=False))
    lm.use_packed(weights)


def kernel_named(kernel: str | None, default: str) -> str:
    """The kernel asked for, else the one the environment names, else the default. Raises ModelError."""
    return check_kernel(kernel or os.environ.get(KERNEL_VARIABLE) or default)


def _pickles(folder: Path) -> list[Path]:
    """The pickles that transformers saved, one or the shards of an index."""
    if (folder / PICKLE).is_file():
        return [folder / PICKLE]
    index = folder / f"{PICKLE}.index.json"
    if not index.is_file():
        return []
    config = read_json(index, _AGAIN)
    shards = config.get("weight_map")
    names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
    if not names or not all(name == Path(name).name and name.endswith(".bin") for name in names):
        raise config.bad("lists no weight files, or none that lie beside it")
    return [folder / name for name in names]
