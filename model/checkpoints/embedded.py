"""The model that ships in the package: config.json, codec.safetensors, lm.safetensors, checked and built."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch

from descant.model.checkpoints.minilm_files import load_minilm
from descant.model.checkpoints.stored import kernel_named
from descant.model.checkpoints.tensors import file_hash, fill, read_tensors
from descant.model.codec.tonebank import TonebankCodec, TonebankSpec
from descant.model.errors import ModelError
from descant.model.kernels.build import load, ready
from descant.model.lm.music_lm import MusicLm
from descant.model.music_model import MusicModel
from descant.model.spec import ControlSpec, LmSpec, ModelSpec

EMBEDDED = Path(__file__).resolve().parent.parent / "embedded"
QUICK_KERNEL, PLAIN_KERNEL = (
    "native-fp16",
    "fp16",
)  # the weights ship in half precision: both are exact in them
Spec = TypeVar("Spec", TonebankSpec, LmSpec, ControlSpec)


def load_folder(folder: Path, kernel: str | None = None) -> MusicModel:
    """The model in a folder of this form. Raises ModelError, and then nothing is half loaded.

    kernel: see load_model.
    """
    kernel = kernel_named(kernel, default_kernels()[0])
    config_path, codec_path, lm_path = (
        folder / name for name in ("config.json", "codec.safetensors", "lm.safetensors")
    )
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _bad(config_path, f"cannot be read: {error}") from error
    if not isinstance(config, dict) or not all(isinstance(config.get(k), dict) for k in ("codec", "lm")):
        raise _bad(config_path, 'lacks "codec" or "lm"')
    codec_config = dict(config["codec"])
    kind = codec_config.pop("kind", None)
    if kind != "tonebank":
        raise _bad(config_path, f'has a codec of kind {kind!r}; allowed: "tonebank"')
    lm_config = dict(config["lm"])
    controls = [_spec(ControlSpec, control, config_path) for control in lm_config.pop("controls", [])]
    lm_config |= {"controls": tuple(controls), "delays": tuple(lm_config.get("delays", ()))}
    if lm_config.get("flattening") is not None:
        lm_config["flattening"] = tuple(lm_config["flattening"])
    codec_spec = _spec(TonebankSpec, codec_config, config_path)
    lm_spec = _spec(LmSpec, lm_config, config_path)
    if (codec_spec.n_codebooks, codec_spec.cardinality) != (lm_spec.n_codebooks, lm_spec.cardinality):
        raise _bad(config_path, "gives the codec and the language model different codebooks")
    with torch.random.fork_rng(
        devices=[]
    ):  # building draws first weights: leave the caller's generator alone
        codec, lm = TonebankCodec(codec_spec), MusicLm(lm_spec)
    fill(codec, read_tensors(codec_path), str(codec_path))
    fill(lm, read_tensors(lm_path), str(lm_path))
    text = load_minilm() if lm_spec.text_dim else None
    spec = ModelSpec(str(config.get("name", folder.name)), codec_spec, lm_spec)
    codec.eval().requires_grad_(False)
    lm.eval().requires_grad_(False)
    codec.use_kernel(kernel)
    lm.use_kernel(kernel)
    return MusicModel(spec, codec, lm, text, file_hash([config_path, codec_path, lm_path]))


def default_kernels() -> list[str]:
    """What models of this form may run with unless told otherwise, the one they do first.

    Native where the library is there already: nobody waits for a compiler before the first sound.
    """
    if ready() and load().handle is not None:
        return [QUICK_KERNEL, PLAIN_KERNEL]
    return [PLAIN_KERNEL]


def _spec(kind: type[Spec], values: Any, path: Path) -> Spec:
    """A spec from the config's numbers, or a ModelError that names what is wrong."""
    known = {field.name for field in fields(kind)}
    if not isinstance(values, dict) or set(values) - known:
        strange = sorted(set(values) - known) if isinstance(values, dict) else values
        raise _bad(path, f"has fields that {kind.__name__} does not know: {strange}")
    try:
        return kind(**values)
    except TypeError as error:
        raise _bad(path, f"does not describe a {kind.__name__}: {error}") from error


def _bad(path: Path, problem: str) -> ModelError:
    return ModelError(
        f"{path} {problem}.", "Nothing was loaded.", "Install the package again, or use another model."
    )
