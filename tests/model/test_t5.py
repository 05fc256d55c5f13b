"""Our T5 encoder is transformers' T5EncoderModel: both flavours, odd shapes, near and far; what is no T5."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import T5Config, T5EncoderModel

from descant.model.conditions.t5 import T5, expected_shapes, relative_buckets, t5_spec
from descant.model.errors import ModelError

TINY: dict[str, Any] = {
    "vocab_size": 50,
    "d_model": 16,
    "d_kv": 4,
    "num_heads": 4,
    "d_ff": 24,
    "num_layers": 2,
}
FORMS: dict[str, dict[str, Any]] = {
    "T5": {},
    "T5, inner width above d_model": {"d_kv": 7, "num_heads": 5, "d_model": 9, "d_ff": 11, "num_layers": 3},
    "FLAN-T5": {"feed_forward_proj": "gated-gelu"},
    "FLAN-T5 small's ratios": {
        "feed_forward_proj": "gated-gelu",
        "d_model": 64,
        "num_heads": 3,
        "d_kv": 8,
        "d_ff": 5,
        "num_layers": 3,
    },
    "one head, other buckets": {
        "num_heads": 1,
        "d_kv": 3,
        "relative_attention_num_buckets": 10,
        "relative_attention_max_distance": 20,
        "layer_norm_epsilon": 1e-3,
    },
    "odd number of buckets": {"relative_attention_num_buckets": 13},
}


def pair(seed: int = 0, **config: Any) -> tuple[Any, T5]:
    """transformers' encoder with random weights, livelier than its first, and ours with the same."""
    torch.manual_seed(seed)
    theirs = T5EncoderModel(T5Config(**{**TINY, **config})).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "norm" in name:
                parameter.mul_(0.5 + torch.rand_like(parameter))
            elif "bias" in name:
                parameter.copy_(torch.randn_like(parameter))
            else:
                parameter.mul_(1.5)
    return theirs, T5(t5_spec(theirs.config.to_dict()), theirs.state_dict())


def prompt(length: int, seed: int = 0) -> torch.Tensor:
    tokens = torch.randint(2, TINY["vocab_size"], (length,), generator=torch.Generator().manual_seed(seed))
    tokens[-1] = 1
    return tokens


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("length", [1, 2, 3, 7, 9, 17, 64, 129, 300])
def test_states_are_those_of_transformers(form, length):
    theirs, ours = pair(**form)
    tokens = prompt(length)
    with torch.inference_mode():
        expected = theirs(tokens[None]).last_hidden_state[0]
    states = ours.states(tokens)
    assert states.dtype == torch.float32 and expected.std() > 0.1
    torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-5)


def test_t5_base_has_the_published_number_of_weights():
    spec = t5_spec({"model_type": "t5", "d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12})
    assert sum(torch.Size(shape).numel() for shape in expected_shapes(spec).values()) == 109_628_544


@pytest.mark.parametrize("form", ["T5", "FLAN-T5"])
def test_padded_rows_are_their_prompts_alone(form):
    theirs, ours = pair(**FORMS[form])
    lengths = [5, 1, 40]
    tokens, mask = torch.zeros(3, 40, dtype=torch.long), torch.zeros(3, 40, dtype=torch.bool)
    for row, length in enumerate(lengths):
        tokens[row, :length], mask[row, :length] = prompt(length, row), True
    states = ours.batch_states(tokens, mask)
    with torch.inference_mode():
        expected = theirs(tokens, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(states[mask], expected[mask], rtol=1e-5, atol=1e-5)
    assert not states[~mask].any()
    for row, length in enumerate(lengths):
        torch.testing.assert_close(
            states[row, :length], ours.states(prompt(length, row)), rtol=1e-5, atol=1e-5
        )


def test_buckets_are_exact_near_by_and_shared_far_away():
    bucket = relative_buckets(300, 32, 128)
    assert bucket[0, :8].tolist() == [0, *range(17, 24)]
    assert bucket[7, :8].tolist() == [*range(7, -1, -1)]
    assert bucket[0, 128:].unique().tolist() == [31] and bucket[128:, 0].unique().tolist() == [15]
    assert (bucket[0].diff() < 0).sum() == 0


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "bert"},
        {},
        {"model_type": "umt5"},
        {"model_type": "t5", "feed_forward_proj": "gated-silu"},
        {"model_type": "t5", "feed_forward_proj": "relu", "dense_act_fn": "silu"},
        {"model_type": "t5", "d_model": 0},
        {"model_type": "t5", "d_model": "512"},
        {"model_type": "t5", "num_layers": True},
        {"model_type": "t5", "num_layers": 10**9},
        {"model_type": "t5", "relative_attention_num_buckets": 2},
        {"model_type": "t5", "relative_attention_max_distance": 8},
        {"model_type": "t5", "layer_norm_epsilon": -1e-6},
        {"model_type": "t5", "eos_token_id": [1]},
    ],
)
def test_what_is_no_t5_is_named(config):
    with pytest.raises(ModelError) as error:
        t5_spec(config)
    name = [*config][-1] if config else "model_type"
    assert name in error.value.what and "allowed: " in error.value.what


def test_other_counts_of_t5s_family_are_read():
    spec = t5_spec({"model_type": "t5", "feed_forward_proj": "gated-gelu", "d_model": 4096, "num_heads": 64})
    assert (spec.gated, spec.dim, spec.n_heads, spec.head_dim, spec.end_token) == (True, 4096, 64, 64, 1)
