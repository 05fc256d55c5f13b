"""Text encoders from Hugging Face files: T5 inside MusicGen's or in a folder of its own, CLAP's text tower.

A folder has config.json, weights (model.safetensors, or shards that model.safetensors.index.json lists) and
tokenizer.json. All or nothing: whatever is missing or does not fit is a ModelError.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from descant.model.checkpoints.mapped_halves import key_of, mapped
from descant.model.checkpoints.tensors import StoredTensors, check_shapes, file_hash
from descant.model.checkpoints.tokenizer_files import FolderTokenizer
from descant.model.codec.quantizer import ResidualVectorQuantizer
from descant.model.conditions import clap, t5
from descant.model.conditions.text import TextEncoder
from descant.model.errors import ModelError

MUSICGEN_PREFIX = "text_encoder."
_SHARED, _TIED = "shared.weight", "encoder.embed_tokens.weight"  # the same table; files hold either or both
_MOST_SHARDS = 1000


def musicgen_text(
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    folder: Path,
    digest: Callable[[], str] | None = None,
) -> TextEncoder:
    """The text encoder of a MusicGen as Hugging Face saves it.

    tensors: those of its model.safetensors, of which "text_encoder.*" are used (StoredTensors: no others are
    read). config: its whole config. folder: where its tokenizer lies. digest: gives that of the files; then
    matrices are in half precision and, where that can be, in a file (mapped_halves.py). Raises ModelError.
    """
    part = config.get("text_encoder")
    if not isinstance(part, Mapping):
        raise ModelError(
            f"The config of {folder} has text_encoder {part!r}; allowed: the config of a T5 encoder.",
            "Nothing was loaded.",
            "Fetch the model's config.json again.",
        )
    return _t5_encoder(tensors, part, folder, MUSICGEN_PREFIX, digest)


def load_t5(folder: Path, lean: bool = False) -> TextEncoder:
    """The encoder half of the T5, T5 v1.1 or FLAN-T5 in a folder. Raises ModelError.

    lean: matrices in half precision and, where that can be, in a file (mapped_halves.py).
    """
    config = _config(folder)
    t5.t5_spec(config)
    files = weight_files(folder)
    with StoredTensors(files, str(folder)) as tensors:
        return _t5_encoder(tensors, config, folder, "", partial(file_hash, files) if lean else None)


def load_clap(folder: Path, quantizer: ResidualVectorQuantizer | None = None) -> TextEncoder:
    """The text tower of the CLAP in a folder, its embedding through the quantizer if there is one.

    Raises ModelError.
    """
    spec = clap.clap_spec(_config(folder))
    with StoredTensors(weight_files(folder), str(folder)) as tensors:
        shapes = clap.expected_shapes(spec)
        buffers = ("text_model.embeddings.position_ids", "text_model.embeddings.token_type_ids")
        check_shapes(tensors.shapes, shapes, str(folder), (*buffers, "audio_", "logit_scale_"))
        tokenizer = FolderTokenizer(folder, spec.vocabulary, lambda ids: len(ids) == 2)
        network = clap.ClapText(spec, {name: _floats(tensors, name) for name in shapes}, quantizer)
    return TextEncoder(tokenizer, network, spec.max_tokens)


def audiocraft_quantizer(tensors: Mapping[str, Tensor], prefix: str) -> ResidualVectorQuantizer:
    """The quantizer of a CLAP conditioner in audiocraft's language model files.

    prefix: before "vq.layers.0._codebook.embed", such as
    "condition_provider.conditioners.description.quantizer.". Raises ModelError.
    """
    names: list[str] = []
    while (name := f"{prefix}vq.layers.{len(names)}._codebook.embed") in tensors:
        names.append(name)
    shapes = sorted({tuple(tensors[name].shape) for name in names})
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise ModelError(
            f"The text quantizer {prefix}* has codebooks of shapes {shapes}; allowed: one [entries, width].",
            "Nothing was loaded.",
            "Use the language model file of a MusicGen that was trained with CLAP.",
        )
    quantizer = ResidualVectorQuantizer(len(names), *shapes[0], trainable=False)
    quantizer.codebooks.copy_(torch.stack([tensors[name] for name in names]))
    return quantizer


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, one or the shards of its index. Raises ModelError."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise _bad(folder, "has no model.safetensors", "Fetch it, or convert what is there to safetensors.")
    again = "Fetch the index and its shards again."
    found = _json(index).get("weight_map")
    names = sorted(set(found.values())) if isinstance(found, dict) and _all_names(found.values()) else []
    if not 1 <= len(names) <= _MOST_SHARDS:
        raise _bad(index, "lists no weight files, or none that lie beside it", again)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise _bad(folder, f"lacks {', '.join(missing[:5])} ({len(missing)} of {len(names)} shards)", again)
    return [folder / name for name in names]


def _all_names(values: Any) -> bool:
    return all(
        isinstance(name, str) and name.endswith(".safetensors") and name == Path(name).name for name in values
    )


def _t5_encoder(
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    folder: Path,
    prefix: str,
    digest: Callable[[], str] | None = None,
) -> TextEncoder:
    spec = t5.t5_spec(config)
    stored = tensors if isinstance(tensors, StoredTensors) else StoredTensors(tensors, str(folder))
    found = {n.removeprefix(prefix): shape for n, shape in stored.shapes.items() if n.startswith(prefix)}
    table = _SHARED if _SHARED in found else _TIED
    if table == _TIED and _TIED in found:
        found[_SHARED] = found.pop(_TIED)
    shapes = t5.expected_shapes(spec)
    check_shapes(found, shapes, f"The text encoder of {folder}", (_TIED, "decoder.", "lm_head."))
    tokenizer = FolderTokenizer(folder, spec.vocabulary, lambda ids: ids == [spec.end_token])

    def read(name: str) -> Tensor:
        return _floats(stored, prefix + (table if name == _SHARED else name))

    wide = {name: shape for name, shape in shapes.items() if len(shape) == 2 and "bias" not in name}
    kept = None if digest is None else mapped(wide, read, key_of(wide, digest()))
    weights = {} if kept is None else dict(kept.tensors)
    for name in shapes:
        if name in weights:
            continue
        value = read(name)
        halved = value.to(torch.float16) if digest is not None and name in wide else value
        weights[name] = halved if bool(torch.isfinite(halved).all()) else value
    network = t5.T5(spec, weights, None if kept is None else kept.let_go)
    return TextEncoder(tokenizer, network, t5.MAX_TOKENS)


def _floats(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    value = tensors[name]
    if not value.is_floating_point():
        raise ModelError(
            f"The text encoder's {name} is stored as {value.dtype}; allowed: float32, float16, bfloat16.",
            "Nothing was loaded.",
            "Use weights that are not quantized.",
        )
    return value


def _config(folder: Path) -> dict[str, Any]:
    return _json(folder / "config.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _bad(path, f"cannot be read: {error}", "Fetch the file again.") from error
    if not isinstance(value, dict):
        raise _bad(path, "holds no JSON object", "Fetch the file again.")
    return value


def _bad(path: Path, problem: str, do: str) -> ModelError:
    return ModelError(f"{path} {problem}.", "Nothing was loaded.", do)
