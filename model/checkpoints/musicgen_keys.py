"""Which of our tensors holds which of MusicGen's: by Hugging Face's names and by audiocraft's.

Knows nothing about files. A table says for each of our names whose rows it is made of; from it follow the
names and shapes that a file must have. audiocraft's names are those of its LMModel, Hugging Face's those of
its composite models (MusicgenForConditionalGeneration, MusicgenMelodyForConditionalGeneration).
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descant.model.spec import LmSpec

# ours, theirs (a tuple is joined along the rows, in this order)
LAYER_KEYS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "attention.qkv.weight",
        ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    ),
    ("attention.out.weight", ("self_attn.out_proj.weight",)),
    ("norm_self.weight", ("self_attn_layer_norm.weight",)),
    ("norm_self.bias", ("self_attn_layer_norm.bias",)),
    ("ffn_in.weight", ("fc1.weight",)),
    ("ffn_out.weight", ("fc2.weight",)),
    ("norm_ffn.weight", ("final_layer_norm.weight",)),
    ("norm_ffn.bias", ("final_layer_norm.bias",)),
)
CROSS_KEYS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("cross.q.weight", ("encoder_attn.q_proj.weight",)),
    ("cross.kv.weight", ("encoder_attn.k_proj.weight", "encoder_attn.v_proj.weight")),
    ("cross.out.weight", ("encoder_attn.out_proj.weight",)),
    ("norm_cross.weight", ("encoder_attn_layer_norm.weight",)),
    ("norm_cross.bias", ("encoder_attn_layer_norm.bias",)),
)
# what composite models hold beside the language model, and what old ones saved though it is computed
COMPOSITE_IGNORED = ("text_encoder.", "audio_encoder.", "decoder.model.decoder.embed_positions.")
AUDIOCRAFT_IGNORED = ("condition_provider.conditioners.self_wav.chroma.",)
_CONDITIONER = re.compile(r"condition_provider\.conditioners\.(\w+)\.output_proj\.weight")
_ATTENTION = re.compile(r"(\.(?:self_attn|cross_attention)\.)")


@dataclass(frozen=True)
class Rows:
    """Theirs joined along the rows; of the result, cut into `parts`, those from first to last - 1."""

    names: tuple[str, ...]
    first: int = 0
    last: int = 1
    parts: int = 1


Table = Mapping[str, Rows]


def key_table(spec: LmSpec) -> dict[str, tuple[str, ...]]:
    """Our key -> those of Hugging Face's MusicgenForCausalLM, to be joined along the rows.

    The projections of text and melody are not among them, see `composite_table`.
    """
    codebooks = range(spec.n_codebooks)
    table: dict[str, tuple[str, ...]] = {
        "embedding": tuple(f"model.decoder.embed_tokens.{k}.weight" for k in codebooks),
        "heads.weight": tuple(f"lm_heads.{k}.weight" for k in codebooks),
        "norm.weight": ("model.decoder.layer_norm.weight",),
        "norm.bias": ("model.decoder.layer_norm.bias",),
    }
    for i in range(spec.n_layers):
        for ours, theirs in LAYER_KEYS + (CROSS_KEYS if spec.crosses else ()):
            table[f"layers.{i}.{ours}"] = tuple(f"model.decoder.layers.{i}.{name}" for name in theirs)
    return table


def from_musicgen(tensors: Mapping[str, Tensor], spec: LmSpec) -> dict[str, Tensor]:
    """Their tensors as ours. Raises KeyError for a missing one; what is not in the table is left out."""
    return {ours: torch.cat([tensors[name] for name in theirs]) for ours, theirs in key_table(spec).items()}


def composite_table(spec: LmSpec) -> dict[str, Rows]:
    """Our key -> those of Hugging Face's composite models, the projections of text and melody included.

    They have no projection where it would not change the width: leave those out with `without`.
    """
    table = {
        ours: Rows(tuple(f"decoder.{name}" for name in theirs)) for ours, theirs in key_table(spec).items()
    }
    for part in ("weight", "bias"):
        if spec.text_dim:
            table[f"text_proj.{part}"] = Rows((f"enc_to_dec_proj.{part}",))
        for control in spec.prefix_controls:
            table[f"prefix_proj.{control.name}.{part}"] = Rows((f"audio_enc_to_dec_proj.{part}",))
    return table


def audiocraft_table(spec: LmSpec, text: str | None) -> dict[str, Rows]:
    """Our key -> those of audiocraft's LMModel.

    text: the text conditioner's name, or None if there is not one only.
    """
    codebooks = range(spec.n_codebooks)
    table = {
        "embedding": Rows(tuple(f"emb.{k}.weight" for k in codebooks)),
        "heads.weight": Rows(tuple(f"linears.{k}.weight" for k in codebooks)),
        "norm.weight": Rows(("out_norm.weight",)),
        "norm.bias": Rows(("out_norm.bias",)),
    }
    for i in range(spec.n_layers):
        ours, theirs = f"layers.{i}.", f"transformer.layers.{i}."
        table[f"{ours}attention.qkv.weight"] = Rows((f"{theirs}self_attn.in_proj_weight",))
        table[f"{ours}attention.out.weight"] = Rows((f"{theirs}self_attn.out_proj.weight",))
        table[f"{ours}ffn_in.weight"] = Rows((f"{theirs}linear1.weight",))
        table[f"{ours}ffn_out.weight"] = Rows((f"{theirs}linear2.weight",))
        norms = {"norm_self": "norm1", "norm_ffn": "norm2"}
        if spec.crosses:
            fused = (f"{theirs}cross_attention.in_proj_weight",)
            table[f"{ours}cross.q.weight"] = Rows(fused, 0, 1, 3)
            table[f"{ours}cross.kv.weight"] = Rows(fused, 1, 3, 3)
            table[f"{ours}cross.out.weight"] = Rows((f"{theirs}cross_attention.out_proj.weight",))
            norms["norm_cross"] = "norm_cross"
        for mine, norm in norms.items():
            for part in ("weight", "bias"):
                table[f"{ours}{mine}.{part}"] = Rows((f"{theirs}{norm}.{part}",))
    projections = {f"prefix_proj.{control.name}": "self_wav" for control in spec.prefix_controls}
    if text is not None:
        projections["text_proj"] = text
    for mine, conditioner in projections.items():
        for part in ("weight", "bias"):
            name = f"condition_provider.conditioners.{conditioner}.output_proj.{part}"
            table[f"{mine}.{part}"] = Rows((name,))
    return table


def without(table: Table, *ours: str) -> dict[str, Rows]:
    """The table without our names that begin so."""
    return {name: rows for name, rows in table.items() if not name.startswith(ours)}


def legacy_names(table: Table, names: Container[str]) -> dict[str, Rows]:
    """audiocraft's table for a file with these names, its attentions in a module "mha" or not."""

    def spelled(name: str) -> str:
        old = _ATTENTION.sub(r"\1mha.", name)
        return old if old in names else name

    return {ours: replace(rows, names=tuple(map(spelled, rows.names))) for ours, rows in table.items()}


def conditioner_widths(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Of audiocraft's weights: the width of each conditioner's states, by its name."""
    found = ((_CONDITIONER.fullmatch(name), shape) for name, shape in shapes.items())
    return {match[1]: shape[1] for match, shape in found if match and len(shape) == 2}


def their_shapes(table: Table, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of what a file must hold for tensors of ours of these shapes (name -> shape)."""
    result: dict[str, tuple[int, ...]] = {}
    for ours, rows in table.items():
        height, *rest = shapes[ours]
        height = height * rows.parts // (rows.last - rows.first) // len(rows.names)
        result |= dict.fromkeys(rows.names, (height, *rest))
    return result


def taken(table: Table, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors made of theirs, which must be there and of the right shapes."""
    result: dict[str, Tensor] = {}
    for ours, rows in table.items():
        parts = [tensors[name] for name in rows.names]
        value = parts[0] if len(parts) == 1 else torch.cat(parts)
        if rows.parts > 1:
            height = value.shape[0] // rows.parts
            value = value[rows.first * height : rows.last * height].clone()
        result[ours] = value
    return result
