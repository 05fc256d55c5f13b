"""MiniLM: a small BERT encoder, token ids in, token states out. Frozen: weights are given, not learned.

Knows nothing about tokenizers, files or prompts. Equal to transformers' `BertModel` (last hidden state).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class MiniLmSpec:
    """dim: width of a token state. max_tokens: positions learned."""

    dim: int = 384
    n_layers: int = 6
    n_heads: int = 12
    ffn_dim: int = 1536
    vocabulary: int = 30522
    max_tokens: int = 512
    norm_eps: float = 1e-12


class MiniLm:
    """Post-norm BERT without pooling. tensors: as transformers names them, float32."""

    def __init__(self, spec: MiniLmSpec, tensors: Mapping[str, Tensor]) -> None:
        self.spec = spec
        self._tensors = {name: tensors[name] for name in expected_shapes(spec)}

    @torch.inference_mode()
    def states(self, tokens: Tensor) -> Tensor:
        """tokens: [L] int64, 1 <= L <= max_tokens, [CLS] first and [SEP] last. Result: [L, dim] float32."""
        spec, weights = self.spec, self._tensors

        def norm(x: Tensor, name: str) -> Tensor:
            return F.layer_norm(
                x, (spec.dim,), weights[f"{name}.weight"], weights[f"{name}.bias"], spec.norm_eps
            )

        def linear(x: Tensor, name: str) -> Tensor:
            return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

        length = tokens.shape[0]
        x = weights["embeddings.word_embeddings.weight"][tokens]
        x = x + weights["embeddings.position_embeddings.weight"][:length]
        x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for i in range(spec.n_layers):
            layer = f"encoder.layer.{i}"
            q, k, v = (
                linear(x, f"{layer}.attention.self.{part}").view(length, spec.n_heads, -1).transpose(0, 1)
                for part in ("query", "key", "value")
            )
            y = (
                F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
                .transpose(0, 1)
                .reshape(length, -1)
            )
            x = norm(x + linear(y, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
            y = linear(F.gelu(linear(x, f"{layer}.intermediate.dense")), f"{layer}.output.dense")
            x = norm(x + y, f"{layer}.output.LayerNorm")
        return x


def expected_shapes(spec: MiniLmSpec) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor the encoder needs, in transformers' names."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (spec.vocabulary, spec.dim),
        "embeddings.position_embeddings.weight": (spec.max_tokens, spec.dim),
        "embeddings.token_type_embeddings.weight": (2, spec.dim),
    }
    linears: dict[str, tuple[int, int]] = {}
    norms = ["embeddings.LayerNorm"]
    for i in range(spec.n_layers):
        layer = f"encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linears[f"{layer}.attention.{part}"] = (spec.dim, spec.dim)
        linears[f"{layer}.intermediate.dense"] = (spec.ffn_dim, spec.dim)
        linears[f"{layer}.output.dense"] = (spec.dim, spec.ffn_dim)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, shape in linears.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, (shape[0],)
    for name in norms:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (spec.dim,)
    return shapes
