"""CLAP's text tower: token ids in, one point of the space that words and sounds share out. Frozen.

Knows nothing about tokenizers, files or prompts. Equal to transformers' `ClapTextModelWithProjection`
(RoBERTa, a pooler and two layers on top), normalised as `ClapModel` and audiocraft's CLAPEmbeddingConditioner
do; there a residual quantizer then turns it into the one token that cross-attention reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from descant.model.codec.quantizer import ResidualVectorQuantizer
from descant.model.errors import ModelError

MAX_TOKENS = 77  # of a prompt, begin and end marks included
_MOST, _MOST_LAYERS = 1_000_000, 1000  # of what a config counts


@dataclass(frozen=True)
class ClapSpec:
    """dim: width of the shared space. hidden: width of a token's state, a multiple of n_heads.

    positions: rows of the position table; a prompt uses those after padding_token's. padding_token: an id
    that has no position of its own, wherever it stands. The defaults are those of every published CLAP.
    """

    dim: int = 512
    hidden: int = 768
    n_layers: int = 12
    n_heads: int = 12
    ffn_dim: int = 3072
    vocabulary: int = 50265
    positions: int = 514
    token_types: int = 1
    padding_token: int = 1
    norm_eps: float = 1e-12

    @property
    def max_tokens(self) -> int:
        """The longest prompt, marks included."""
        return min(MAX_TOKENS, self.positions - self.padding_token - 1)


class ClapText:
    """tensors: as transformers names them, float32. quantizer: of width dim (12 x 1024 in the reference), its
    codebooks filled; None: the embedding goes through as it is.
    """

    def __init__(
        self, spec: ClapSpec, tensors: Mapping[str, Tensor], quantizer: ResidualVectorQuantizer | None = None
    ) -> None:
        if quantizer is not None and quantizer.dim != spec.dim:
            raise ModelError(
                f"The quantizer is {quantizer.dim} wide; allowed: {spec.dim}, the width of CLAP's embedding.",
                "Nothing was loaded.",
                "Use a text encoder and a quantizer that belong together.",
            )
        self.spec, self.quantizer = spec, quantizer
        self._tensors = {name: tensors[name] for name in expected_shapes(spec)}

    @torch.inference_mode()
    def states(self, tokens: Tensor) -> Tensor:
        """tokens as `embedding` takes them -> the one token of cross-attention: [1, dim] float32."""
        point = self.embedding(tokens)
        if self.quantizer is not None:
            point = self.quantizer.decode(self.quantizer.encode(point[None, :, None]))[0, :, 0]
        return point[None]

    @torch.inference_mode()
    def embedding(self, tokens: Tensor) -> Tensor:
        """tokens: [L] int64, 1 <= L <= spec.max_tokens, marks first and last. Result: [dim], of length 1."""
        spec, weights = self.spec, self._tensors

        def norm(x: Tensor, name: str) -> Tensor:
            weight, bias = weights[f"text_model.{name}.weight"], weights[f"text_model.{name}.bias"]
            return F.layer_norm(x, (spec.hidden,), weight, bias, spec.norm_eps)

        def linear(x: Tensor, name: str) -> Tensor:
            return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

        length = tokens.shape[0]
        real = (tokens != spec.padding_token).long()
        position = real.cumsum(0) * real + spec.padding_token
        x = weights["text_model.embeddings.word_embeddings.weight"][tokens]
        x = x + weights["text_model.embeddings.token_type_embeddings.weight"][0]
        x = norm(
            x + weights["text_model.embeddings.position_embeddings.weight"][position], "embeddings.LayerNorm"
        )
        for i in range(spec.n_layers):
            layer = f"text_model.encoder.layer.{i}"
            q, k, v = (
                linear(x, f"{layer}.attention.self.{part}").view(length, spec.n_heads, -1).transpose(0, 1)
                for part in ("query", "key", "value")
            )
            y = F.scaled_dot_product_attention(q[None], k[None], v[None])[0].transpose(0, 1).flatten(1)
            y = linear(y, f"{layer}.attention.output.dense")
            x = norm(x + y, f"encoder.layer.{i}.attention.output.LayerNorm")
            y = linear(F.gelu(linear(x, f"{layer}.intermediate.dense")), f"{layer}.output.dense")
            x = norm(x + y, f"encoder.layer.{i}.output.LayerNorm")
        pooled = torch.tanh(linear(x[0], "text_model.pooler.dense"))
        point = linear(F.relu(linear(pooled, "text_projection.linear1")), "text_projection.linear2")
        return F.normalize(point, dim=-1)


def expected_shapes(spec: ClapSpec) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor the tower needs, in transformers' names."""
    embeddings = "text_model.embeddings"
    shapes: dict[str, tuple[int, ...]] = {
        f"{embeddings}.word_embeddings.weight": (spec.vocabulary, spec.hidden),
        f"{embeddings}.position_embeddings.weight": (spec.positions, spec.hidden),
        f"{embeddings}.token_type_embeddings.weight": (spec.token_types, spec.hidden),
    }
    linears: dict[str, tuple[int, int]] = {
        "text_model.pooler.dense": (spec.hidden, spec.hidden),
        "text_projection.linear1": (spec.dim, spec.hidden),
        "text_projection.linear2": (spec.dim, spec.dim),
    }
    norms = [f"{embeddings}.LayerNorm"]
    for i in range(spec.n_layers):
        layer = f"text_model.encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linears[f"{layer}.attention.{part}"] = (spec.hidden, spec.hidden)
        linears[f"{layer}.intermediate.dense"] = (spec.ffn_dim, spec.hidden)
        linears[f"{layer}.output.dense"] = (spec.hidden, spec.ffn_dim)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, shape in linears.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, (shape[0],)
    for name in norms:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (spec.hidden,)
    return shapes


def clap_spec(config: Mapping[str, Any]) -> ClapSpec:
    """CLAP's Hugging Face config, whole or its "text_config", as a spec. Raises ModelError for another
    architecture; what it leaves out is as transformers' ClapTextConfig has it.
    """
    if config.get("model_type") == "clap":
        text = config.get("text_config")
        if not isinstance(text, Mapping):
            raise _bad("text_config", text, "the text tower's config")
        shared = {
            "projection_dim": 512,
            "projection_hidden_act": "relu",
        }  # the top level's hold for both towers
        shared = {name: config.get(name, value) for name, value in shared.items()}
        config = {"model_type": "clap_text_model", **text, **shared}
    for name, only in (
        ("model_type", "clap_text_model"),
        ("hidden_act", "gelu"),
        ("projection_hidden_act", "relu"),
    ):
        value = config.get(name, None if name == "model_type" else only)
        if value != only:
            raise _bad(name, value, f'"{only}"')
    hidden, heads = _count(config, "hidden_size", 768), _count(config, "num_attention_heads", 12)
    if hidden % heads:
        raise _bad("num_attention_heads", heads, f"what divides hidden_size {hidden}")
    eps = config.get("layer_norm_eps", 1e-12)
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0 < eps < 1:
        raise _bad("layer_norm_eps", eps, "above 0, below 1")
    padding = _count(config, "pad_token_id", 1, least=0)
    return ClapSpec(
        dim=_count(config, "projection_dim", 512),
        hidden=hidden,
        n_layers=_count(config, "num_hidden_layers", 12, most=_MOST_LAYERS),
        n_heads=heads,
        ffn_dim=_count(config, "intermediate_size", 3072),
        vocabulary=_count(config, "vocab_size", 50265, least=padding + 1),
        positions=_count(config, "max_position_embeddings", 514, least=padding + 4),
        token_types=_count(config, "type_vocab_size", 1),
        padding_token=padding,
        norm_eps=float(eps),
    )


def _count(config: Mapping[str, Any], name: str, default: int, least: int = 1, most: int = _MOST) -> int:
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _bad(name, value, f"whole numbers from {least} to {most}")
    return value


def _bad(name: str, value: object, allowed: str) -> ModelError:
    return ModelError(
        f"CLAP's config has {name} {value!r}; allowed: {allowed}.",
        "Nothing was loaded.",
        "Give the config.json and weights of a CLAP as transformers saves them.",
    )
