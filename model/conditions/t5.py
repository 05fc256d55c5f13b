"""T5's encoder: token ids in, token states out, for T5, T5 v1.1 and FLAN-T5. Frozen: weights are given.

Knows nothing about tokenizers, files or prompts. Equal to transformers' `T5EncoderModel` (last hidden state):
pre-norm layers without biases, queries that are not scaled, and one table of relative position biases, held
by the first layer and used by all. B prompts, L tokens, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from descant.model.errors import ModelError

MAX_TOKENS = 512  # of a prompt, the end mark included: what T5 was trained on; audiocraft cuts nowhere
_MOST, _MOST_LAYERS = 1_000_000, 1000  # of what a config counts


@dataclass(frozen=True)
class T5Spec:
    """dim: width of a token state. head_dim * n_heads need not be dim. gated: T5 v1.1 and FLAN-T5 (a gate of
    tanh-GELU), else ReLU. vocabulary: rows of the token table, some of which no tokenizer uses.

    buckets: of relative positions, both directions together. max_distance: tokens, from which on all is
    equally far. end_token: the id that ends every prompt. The defaults are t5-base.
    """

    dim: int = 768
    n_layers: int = 12
    n_heads: int = 12
    head_dim: int = 64
    ffn_dim: int = 3072
    gated: bool = False
    vocabulary: int = 32128
    buckets: int = 32
    max_distance: int = 128
    norm_eps: float = 1e-6
    end_token: int = 1


class T5:
    """tensors: as transformers names them; the token table is "shared.weight". Matrices may lie in half
    precision, to take half the room: sums are float32 all the same.

    let_go: called when a layer has been used, for tensors that are in memory only while they are read.
    """

    def __init__(
        self, spec: T5Spec, tensors: Mapping[str, Tensor], let_go: Callable[[], None] | None = None
    ) -> None:
        self.spec = spec
        self._let_go = let_go or (lambda: None)
        self._tensors = {name: tensors[name] for name in expected_shapes(spec)}

    def states(self, tokens: Tensor) -> Tensor:
        """tokens: [L] int64, L >= 1, the end mark last. Result: [L, dim] float32."""
        return self.batch_states(tokens[None])[0]

    @torch.inference_mode()
    def batch_states(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """tokens: [B, L] int64. mask: [B, L] bool, False where a row is padded; None: nowhere.

        Result: [B, L, dim] float32, zeros where padded.
        """
        spec, weights = self.spec, self._tensors
        batch, length = tokens.shape
        table = weights["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        bias = table[relative_buckets(length, spec.buckets, spec.max_distance)].permute(2, 0, 1)[None]
        if mask is not None:
            bias = bias.masked_fill(~mask[:, None, None], torch.finfo(bias.dtype).min)

        def norm(x: Tensor, name: str) -> Tensor:
            scaled = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + spec.norm_eps)
            return weights[f"{name}.weight"] * scaled

        def linear(x: Tensor, name: str) -> Tensor:
            return F.linear(x, weights[f"{name}.weight"].to(torch.float32))

        x = weights["shared.weight"][tokens].to(torch.float32)
        for i in range(spec.n_layers):
            layer = f"encoder.block.{i}.layer.0"
            y = norm(x, f"{layer}.layer_norm")
            q, k, v = (
                linear(y, f"{layer}.SelfAttention.{part}").view(batch, length, spec.n_heads, -1)
                for part in ("q", "k", "v")
            )
            y = F.scaled_dot_product_attention(
                q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=bias, scale=1.0
            )
            x = x + linear(y.transpose(1, 2).flatten(2), f"{layer}.SelfAttention.o")
            layer = f"encoder.block.{i}.layer.1"
            y = norm(x, f"{layer}.layer_norm")
            layer = f"{layer}.DenseReluDense"
            if spec.gated:
                gate = F.gelu(linear(y, f"{layer}.wi_0"), approximate="tanh")
                y = gate * linear(y, f"{layer}.wi_1")
            else:
                y = F.relu(linear(y, f"{layer}.wi"))
            x = x + linear(y, f"{layer}.wo")
            self._let_go()
        x = norm(x, "encoder.final_layer_norm")
        return x if mask is None else x * mask[..., None]


def relative_buckets(length: int, buckets: int, max_distance: int) -> Tensor:
    """The bucket of each key (column) as each query (row) sees it: [length, length] int64, 0..buckets-1.

    Half of them for keys at or before the query, half for those after; half of each half for exact distances,
    the rest logarithmic up to max_distance (transformers' `T5Attention._relative_position_bucket`).
    """
    side = buckets // 2
    exact = side // 2
    distance = torch.arange(length)
    far = torch.log(distance.float() / exact) / math.log(max_distance / exact) * (side - exact)
    far = (exact + far.clamp(min=0).long()).clamp(max=side - 1)
    bucket = torch.where(distance < exact, distance, far)
    offset = distance[None] - distance[:, None]
    return bucket[offset.abs()] + side * (offset > 0)


def expected_shapes(spec: T5Spec) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor the encoder needs, in transformers' names."""
    inner = spec.n_heads * spec.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "shared.weight": (spec.vocabulary, spec.dim),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (spec.buckets, spec.n_heads),
        "encoder.final_layer_norm.weight": (spec.dim,),
    }
    for i in range(spec.n_layers):
        attention, dense = (f"encoder.block.{i}.layer.{part}" for part in (0, 1))
        shapes[f"{attention}.layer_norm.weight"] = shapes[f"{dense}.layer_norm.weight"] = (spec.dim,)
        for part in ("q", "k", "v"):
            shapes[f"{attention}.SelfAttention.{part}.weight"] = (inner, spec.dim)
        shapes[f"{attention}.SelfAttention.o.weight"] = (spec.dim, inner)
        for part in ("wi_0", "wi_1") if spec.gated else ("wi",):
            shapes[f"{dense}.DenseReluDense.{part}.weight"] = (spec.ffn_dim, spec.dim)
        shapes[f"{dense}.DenseReluDense.wo.weight"] = (spec.dim, spec.ffn_dim)
    return shapes


def t5_spec(config: Mapping[str, Any]) -> T5Spec:
    """A T5's Hugging Face config (of a folder of its own, or "text_encoder" of MusicGen's) as a spec.

    What it leaves out is as transformers' T5Config has it. Raises ModelError for another architecture.
    """
    kind = config.get("model_type")
    if kind != "t5":
        raise _bad("model_type", kind, '"t5" (T5, T5 v1.1, FLAN-T5)')
    form = config.get("feed_forward_proj", "relu")
    if form not in ("relu", "gated-gelu", "gated-gelu_new"):
        raise _bad("feed_forward_proj", form, '"relu", "gated-gelu"')
    gated = form != "relu"
    activation = "gelu_new" if gated else "relu"
    if config.get("dense_act_fn", activation) != activation:
        raise _bad("dense_act_fn", config["dense_act_fn"], f'"{activation}" with feed_forward_proj "{form}"')
    eps = config.get("layer_norm_epsilon", 1e-6)
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0 < eps < 1:
        raise _bad("layer_norm_epsilon", eps, "above 0, below 1")
    end = config.get("eos_token_id", 1)
    vocabulary = _count(config, "vocab_size", 32128)
    if isinstance(end, bool) or not isinstance(end, int) or not 0 <= end < vocabulary:
        raise _bad("eos_token_id", end, f"0 to {vocabulary - 1}")
    buckets = _count(config, "relative_attention_num_buckets", 32, least=4)
    return T5Spec(
        dim=_count(config, "d_model", 512),
        n_layers=_count(config, "num_layers", 6, most=_MOST_LAYERS),
        n_heads=_count(config, "num_heads", 8),
        head_dim=_count(config, "d_kv", 64),
        ffn_dim=_count(config, "d_ff", 2048),
        gated=gated,
        vocabulary=vocabulary,
        buckets=buckets,
        max_distance=_count(config, "relative_attention_max_distance", 128, least=buckets // 4 + 1),
        norm_eps=float(eps),
        end_token=end,
    )


def _count(config: Mapping[str, Any], name: str, default: int, least: int = 1, most: int = _MOST) -> int:
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _bad(name, value, f"whole numbers from {least} to {most}")
    return value


def _bad(name: str, value: object, allowed: str) -> ModelError:
    return ModelError(
        f"The text encoder's config has {name} {value!r}; allowed: {allowed}.",
        "Nothing was loaded.",
        "Give the config.json and weights of a T5, T5 v1.1 or FLAN-T5 encoder.",
    )
