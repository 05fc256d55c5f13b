"""From Hugging Face's EncodecModel to ours: its config to an EncodecSpec, its state dict to our names.

Slots have the same numbers on both sides. Weight norms (both spellings) are folded into plain weights here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from descant.model.codec.encodec_spec import EncodecSpec, PadMode
from descant.model.errors import ModelError

# (theirs, ours), applied in this order.
_RENAMES = (
    (re.compile(r"^(encoder|decoder)\.layers\."), r"\1.stages."),
    (re.compile(r"\.block\."), ".branch.stages."),
    (re.compile(r"\.shortcut\."), ".skip."),
    (re.compile(r"\.conv\.parametrizations\.weight\.original0$"), ".weight_g"),
    (re.compile(r"\.conv\.parametrizations\.weight\.original1$"), ".weight_v"),
    (re.compile(r"\.conv\.(weight_g|weight_v|weight|bias)$"), r".\1"),
)
_CODEBOOK = re.compile(r"^quantizer\.layers\.(\d+)\.codebook\.(\w+)$")


_NORMS: dict[str, Literal["weight", "group"]] = {"weight_norm": "weight", "time_group_norm": "group"}

_PADS: dict[str, PadMode] = {"reflect": "reflect", "constant": "constant", "replicate": "replicate"}


def bandwidth_codebooks(config: Mapping[str, Any]) -> dict[float, int]:
    """Each bandwidth (kbit/s) of a Hugging Face EnCodec config.json -> how many codebooks it takes."""
    bits = math.log2(config["codebook_size"]) * _frame_rate(config)  # each second, of each codebook
    return {float(kbit): max(1, math.floor(kbit * 1000 / bits)) for kbit in config["target_bandwidths"]}


def encodec_spec(
    config: Mapping[str, Any], n_codebooks: int | None = None, *, bandwidth: float | None = None
) -> EncodecSpec:
    """The EncodecSpec of a Hugging Face EnCodec config.json.

    n_codebooks: how many of the stored codebooks to use. bandwidth, instead of it: kbit/s, one of those the
    config names. Default: all codebooks, which is the highest bandwidth. Raises ModelError.
    """
    try:
        spec = _spec(config)
        by_bandwidth = bandwidth_codebooks(config)
        stored = _stored_codebooks(config)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError) as error:
        raise ModelError(
            f"This is no config of an EnCodec: {error!r}; allowed: a config.json as transformers saves it.",
            "Nothing was loaded.",
            "Fetch the codec's config.json again.",
        ) from error
    if bandwidth is not None:
        if n_codebooks is not None or bandwidth not in by_bandwidth:
            known = ", ".join(f"{kbit:g} ({count} codebooks)" for kbit, count in by_bandwidth.items())
            both = "" if n_codebooks is None else f" together with {n_codebooks} codebooks"
            raise ModelError(
                f"A bandwidth of {bandwidth} kbit/s{both} was asked for; allowed: {known}.",
                "Nothing was loaded.",
                "Ask for one of these bandwidths, or for a number of codebooks.",
            )
        n_codebooks = min(by_bandwidth[bandwidth], stored)
    used = stored if n_codebooks is None else n_codebooks
    if not 1 <= used <= stored:
        raise ModelError(
            f"{used} codebooks were asked for; this EnCodec holds {stored}, 1..{stored} are allowed.",
            "Nothing was loaded.",
            f"Ask for 1 to {stored}.",
        )
    return replace(spec, n_codebooks=used)


def _stored_codebooks(config: Mapping[str, Any]) -> int:
    """How many the weights hold; transformers counts whole bits here, but not for each bandwidth."""
    bits = (config["codebook_size"] - 1).bit_length() * _frame_rate(config)
    return int(1000 * config["target_bandwidths"][-1] // bits)


def _frame_rate(config: Mapping[str, Any]) -> int:
    return int(-(-config["sampling_rate"] // math.prod(config["upsampling_ratios"])))


def _spec(config: Mapping[str, Any]) -> EncodecSpec:
    return EncodecSpec(
        sample_rate=config["sampling_rate"],
        channels=config["audio_channels"],
        n_codebooks=1,
        cardinality=config["codebook_size"],
        causal=config["use_causal_conv"],
        ratios=tuple(config["upsampling_ratios"]),
        n_filters=config["num_filters"],
        latent_dim=config["hidden_size"],
        n_lstm_layers=config["num_lstm_layers"],
        kernel_size=config["kernel_size"],
        last_kernel_size=config["last_kernel_size"],
        residual_kernel_size=config["residual_kernel_size"],
        n_residual_layers=config["num_residual_layers"],
        dilation_growth=config["dilation_growth_rate"],
        compress=config["compress"],
        conv_shortcut=config.get("use_conv_shortcut", True),
        pad_mode=_PADS[config["pad_mode"]],
        trim_right_ratio=config["trim_right_ratio"],
        norm=_NORMS[config["norm_type"]],
        normalize=config["normalize"],
        chunk_seconds=config["chunk_length_s"],
        overlap=config["overlap"] or 0.0,
    )


def encodec_state(theirs: Mapping[str, Tensor], n_codebooks: int) -> dict[str, Tensor]:
    """Our state dict from a Hugging Face EncodecModel's, with the first n_codebooks codebooks, or none.

    Names that are none of ours come through as they are, so that a strict load names them.
    """
    ours: dict[str, Tensor] = {}
    codebooks: dict[int, Tensor] = {}
    for name, value in theirs.items():
        found = _CODEBOOK.match(name)
        if found:
            if found[2] == "embed":  # the others are its training averages
                codebooks[int(found[1])] = value
            continue
        for theirs_pattern, our_name in _RENAMES:
            name = theirs_pattern.sub(our_name, name)
        ours[name] = value
    for name in [name for name in ours if name.endswith(".weight_g")]:
        stem = name.removesuffix("_g")
        if stem + "_v" not in ours:
            raise ModelError(
                f"The weights hold {name} but not its direction {stem}_v.",
                "Nothing was loaded.",
                "Fetch the weights again: the file is incomplete.",
            )
        ours[stem] = fold_weight_norm(ours.pop(name), ours.pop(stem + "_v"))
    missing = [k for k in range(n_codebooks) if k not in codebooks]
    if missing:
        raise ModelError(
            f"The weights hold {len(codebooks)} codebooks; {n_codebooks} are needed.",
            "Nothing was loaded.",
            "Ask for fewer codebooks, or fetch the weights again.",
        )
    if n_codebooks:
        ours["quantizer.codebooks"] = torch.stack([codebooks[k] for k in range(n_codebooks)])
    return ours


def fold_weight_norm(gain: Tensor, direction: Tensor) -> Tensor:
    """gain * direction / |direction|, norms over all but dimension 0 (a transposed one's inputs)."""
    return torch._weight_norm(direction, gain, 0)
