"""CLAP's text tower against transformers', its quantized token, and what is no CLAP."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import ClapTextConfig, ClapTextModelWithProjection

from descant.model.codec.quantizer import ResidualVectorQuantizer
from descant.model.conditions.clap import ClapText, clap_spec
from descant.model.errors import ModelError

TINY: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 90,
    "projection_dim": 8,
}


def pair(
    seed: int = 0, quantizer: ResidualVectorQuantizer | None = None, **config: Any
) -> tuple[Any, ClapText]:
    torch.manual_seed(seed)
    theirs = ClapTextModelWithProjection(ClapTextConfig(**{**TINY, **config})).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return theirs, ClapText(clap_spec(theirs.config.to_dict()), theirs.state_dict(), quantizer)


def prompt(length: int) -> torch.Tensor:
    tokens = torch.randint(3, TINY["vocab_size"], (length,), generator=torch.Generator().manual_seed(length))
    tokens[0], tokens[-1] = 0, 2
    return tokens


@pytest.mark.parametrize("length", [2, 3, 10, 77])
@pytest.mark.parametrize(
    "config", [{}, {"projection_dim": 15, "num_attention_heads": 1, "layer_norm_eps": 1e-5, "hidden_size": 7}]
)
def test_the_embedding_is_that_of_transformers_of_length_one(config, length):
    theirs, ours = pair(**config)
    with torch.inference_mode():
        expected = F.normalize(theirs(prompt(length)[None]).text_embeds[0], dim=-1)
    torch.testing.assert_close(ours.embedding(prompt(length)), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.states(prompt(length)), expected[None], rtol=1e-5, atol=1e-5)
    assert float(ours.embedding(prompt(length)).norm()) == pytest.approx(1.0, abs=1e-6)


def test_a_padding_token_that_a_prompt_spells_out_has_no_position():
    theirs, ours = pair()
    tokens = prompt(9)
    tokens[4] = 1
    with torch.inference_mode():
        expected = F.normalize(theirs(tokens[None], attention_mask=torch.ones(1, 9)).text_embeds[0], dim=-1)
    torch.testing.assert_close(ours.embedding(tokens), expected, rtol=1e-5, atol=1e-5)


def test_the_token_is_the_sum_of_the_nearest_entries_left_over():
    quantizer = ResidualVectorQuantizer(12, 64, 8, trainable=False)
    generator = torch.Generator().manual_seed(1)
    for k in range(12):
        quantizer.codebooks[k] = torch.randn(64, 8, generator=generator) * 0.35 * 0.7**k
    _, plain = pair()
    _, ours = pair(quantizer=quantizer)
    for length in (2, 5, 30):
        point = plain.embedding(prompt(length))
        left, total = point.clone(), torch.zeros(8)
        for k in range(12):
            entry = quantizer.codebooks[k][(left[None] - quantizer.codebooks[k]).norm(dim=1).argmin()]
            left, total = left - entry, total + entry
        token = ours.states(prompt(length))
        assert token.shape == (1, 8)
        torch.testing.assert_close(token[0], total)
        assert 0 < float((token[0] - point).norm()) < 0.3


def test_a_quantizer_of_another_width_is_refused():
    with pytest.raises(ModelError, match="quantizer is 9 wide; allowed: 8"):
        pair(quantizer=ResidualVectorQuantizer(2, 4, 9, trainable=False))


def test_the_whole_config_gives_the_towers_spec():
    text = ClapTextConfig(**{**TINY, "projection_dim": 512}).to_dict()
    spec = clap_spec({"model_type": "clap", "text_config": text, "projection_dim": 33})
    assert (spec.dim, spec.hidden, spec.max_tokens) == (33, 12, 77)
    assert clap_spec({"model_type": "clap", "text_config": {}}).dim == 512
    assert clap_spec({**text, "max_position_embeddings": 20}).max_tokens == 18


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "t5"},
        {},
        {"model_type": "clap"},
        {"model_type": "clap", "text_config": {}, "projection_hidden_act": "gelu"},
        {"model_type": "clap_text_model", "hidden_act": "relu"},
        {"model_type": "clap_text_model", "num_attention_heads": 5},
        {"model_type": "clap_text_model", "vocab_size": -1},
        {"model_type": "clap_text_model", "pad_token_id": None},
        {"model_type": "clap_text_model", "layer_norm_eps": "small"},
    ],
)
def test_what_is_no_clap_is_named(config):
    with pytest.raises(ModelError, match="allowed: "):
        clap_spec(config)
