"""An EnCodec from a config and stored tensors, as transformers or audiocraft spell them, checked first.

Knows nothing about folders. Both spellings of weight norm are read, and weights without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

import torch
from torch import Tensor

from descant.model.checkpoints.config_tree import ConfigTree
from descant.model.checkpoints.tensors import StoredTensors, check_shapes, checked, shapes_of
from descant.model.codec.chunked import ChunkedEncodec, build_encodec
from descant.model.codec.encodec import Encodec
from descant.model.codec.encodec_keys import encodec_spec, encodec_state
from descant.model.codec.encodec_spec import EncodecSpec
from descant.model.errors import ModelError

# what transformers' EncodecConfig says where a file says nothing
_DEFAULTS: dict[str, Any] = {
    "target_bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0],
    "sampling_rate": 24_000,
    "audio_channels": 1,
    "normalize": False,
    "chunk_length_s": None,
    "overlap": None,
    "hidden_size": 128,
    "num_filters": 32,
    "num_residual_layers": 1,
    "upsampling_ratios": [8, 5, 4, 2],
    "norm_type": "weight_norm",
    "kernel_size": 7,
    "last_kernel_size": 7,
    "residual_kernel_size": 3,
    "dilation_growth_rate": 2,
    "use_causal_conv": True,
    "pad_mode": "reflect",
    "compress": 2,
    "num_lstm_layers": 2,
    "trim_right_ratio": 1.0,
    "codebook_size": 1024,
    "use_conv_shortcut": True,
}
# least and most of its whole numbers
_RANGES: dict[str, tuple[int, int]] = {
    "sampling_rate": (1, 1_000_000),
    "audio_channels": (1, 2),
    "num_filters": (1, 10_000),
    "hidden_size": (1, 100_000),
    "codebook_size": (2, 1_000_000),
    "num_residual_layers": (1, 100),
    "num_lstm_layers": (0, 100),
    "kernel_size": (1, 1000),
    "last_kernel_size": (1, 1000),
    "residual_kernel_size": (1, 1000),
    "dilation_growth_rate": (1, 1000),
    "compress": (1, 10_000),
}
_MOST_STAGES = 16
_MORE = ("quantizer.",)  # codebooks beyond those that are used, training averages
# audiocraft's names, turned into transformers' in this order
_AUDIOCRAFT = (
    (re.compile(r"^(encoder|decoder)\.model\."), r"\1.layers."),
    (re.compile(r"\.(conv\.conv|convtr\.convtr)\.(?=weight|bias|parametrizations)"), ".conv."),
    (re.compile(r"\.(conv|convtr)\.norm\."), ".norm."),
    (re.compile(r"^quantizer\.vq\.layers\.(\d+)\._codebook\."), r"quantizer.layers.\1.codebook."),
)
_WEIGHT_NORM = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}
_OUR_CONV = re.compile(r"^((?:encoder|decoder)\.stages\.[\w.]*?)(weight|bias)$")


def codec_shape(
    config: ConfigTree, at: str = "", n_codebooks: int | None = None, bandwidth: float | None = None
) -> EncodecSpec:
    """The EnCodec that a config in transformers' form describes. Raises ModelError.

    at: dotted name of the part that is the codec's, "" if all is. n_codebooks, bandwidth: see encodec_spec.
    """
    inside = f"{at}." if at else ""
    config.only(f"{inside}model_type", "encodec")
    for name, (least, most) in _RANGES.items():
        config.number(inside + name, _DEFAULTS[name], least, most)
    for name in ("normalize", "use_causal_conv", "use_conv_shortcut"):
        config.flag(inside + name, _DEFAULTS[name])
    for name in ("trim_right_ratio", "chunk_length_s", "overlap"):
        if config.get(inside + name, None) not in (None, 0, 0.0):
            config.real(inside + name, most=1000.0 if name == "chunk_length_s" else 1.0)
    ratios = config.numbers(f"{inside}upsampling_ratios", _DEFAULTS["upsampling_ratios"], least=1)
    if not 1 <= len(ratios) <= _MOST_STAGES:
        raise config.bad(f"has {len(ratios)} upsampling_ratios; allowed: 1 to {_MOST_STAGES}")
    return encodec_spec(codec_config(config, at), n_codebooks, bandwidth=bandwidth)


def codec_config(config: ConfigTree, at: str = "") -> dict[str, Any]:
    """A codec's config in transformers' form, unchecked, with what it leaves out as transformers means it."""
    inside = f"{at}." if at else ""
    return {name: config.get(inside + name, default) for name, default in _DEFAULTS.items()}


def build_codec(
    shape: EncodecSpec,
    stored: StoredTensors,
    spelled: Callable[[str], str | None],
    source: str,
    again: Callable[[], StoredTensors] | None = None,
) -> Encodec | ChunkedEncodec:
    """A codec with the tensors that are its own, frozen. Raises ModelError listing what does not fit.

    spelled: a stored name as transformers' EncodecModel spells it, or None for what is not the codec's.
    again: opens the same tensors another time; then the encoder's are read when it is first used.
    """
    names: dict[str, str] = {}
    for name in stored:
        theirs = spelled(name)
        if theirs is not None:
            names[_old_weight_norm(theirs)] = name
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            ours = shapes_of(build_encodec(shape))
    except (RuntimeError, ValueError, ZeroDivisionError, TypeError) as error:
        raise ModelError(
            f"The config of {source} describes no EnCodec that can be built: {str(error).splitlines()[0]}.",
            "Nothing was loaded.",
            "Use weights and config that belong together.",
        ) from error
    found = {theirs: stored.shapes[name] for theirs, name in names.items()}
    wanted = _their_shapes(ours, shape, set(found))
    check_shapes(found, wanted, source, _MORE)

    def read(tensors: StoredTensors, encoder: bool) -> dict[str, Tensor]:
        """Our tensors of the encoder, or of all else."""
        theirs = [name for name in wanted if name.startswith("encoder.") == encoder]
        found = {name: tensors[names[name]] for name in theirs}
        state = encodec_state(found, 0 if encoder else shape.n_codebooks)
        return {name: value for name, value in state.items() if name.startswith("encoder.") == encoder}

    def read_again() -> dict[str, Tensor]:
        assert again is not None
        with closing(again()) as tensors:
            there = {theirs: tensors.shapes.get(name, ()) for theirs, name in names.items()}
            check_shapes(there, wanted, source, _MORE)
            return {name.removeprefix("encoder."): value for name, value in read(tensors, True).items()}

    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        codec = build_encodec(shape)
    state = read(stored, False) | (read(stored, True) if again is None else {})
    here = {name: size for name, size in ours.items() if again is None or not name.startswith("encoder.")}
    codec.load_state_dict(checked(state, here, source), strict=again is None, assign=True)
    codec.late_encoder = None if again is None else read_again
    codec.eval().requires_grad_(False)
    return codec


def from_audiocraft(name: str) -> str:
    """A tensor's name in audiocraft's EncodecModel as transformers' EncodecModel has it."""
    for pattern, theirs in _AUDIOCRAFT:
        name = pattern.sub(theirs, name)
    return name


def _old_weight_norm(name: str) -> str:
    for new, old in _WEIGHT_NORM.items():
        if name.endswith(new):
            return name.removesuffix(new) + old
    return name


def _their_shapes(
    ours: dict[str, tuple[int, ...]], shape: EncodecSpec, found: set[str]
) -> dict[str, tuple[int, ...]]:
    """Name -> shape of what must be stored, in transformers' spelling, for our state dict's."""
    result: dict[str, tuple[int, ...]] = {}
    for name, size in ours.items():
        if name == "quantizer.codebooks":
            for k in range(shape.n_codebooks):
                result[f"quantizer.layers.{k}.codebook.embed"] = size[1:]
            continue
        match = _OUR_CONV.match(name)
        is_conv = match is not None and not match[1].endswith((".norm.", ".lstm."))
        if match is not None and is_conv:
            name = f"{match[1]}conv.{match[2]}"
        name = name.replace(".stages.", ".layers.", 1).replace(".branch.stages.", ".block.")
        name = name.replace(".skip.", ".shortcut.")
        if is_conv and name.endswith(".weight") and shape.norm == "weight" and name not in found:
            result[f"{name}_g"] = (size[0], *(1 for _ in size[1:]))
            result[f"{name}_v"] = size
        else:
            result[name] = size
    return result
