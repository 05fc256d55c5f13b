"""Several text encoders side by side: one projection of the joined states is each one's own projection."""

import pytest
import torch
import torch.nn.functional as F

from descant.model.checkpoints.minilm_files import load_minilm
from descant.model.conditions.joined_text import JoinedTextEncoder, joined_projection
from descant.model.conditions.t5 import T5, T5Spec, expected_shapes
from descant.model.conditions.text import TextEncoder, TextStates
from descant.model.errors import ModelError


class Letters:
    """A tokenizer of a letter a token, with T5's end mark."""

    def encode(self, sequence):
        return type("Ids", (), {"ids": [2 + ord(letter) % 30 for letter in sequence] + [1]})()


def small_t5(dim: int, max_tokens: int = 512) -> TextEncoder:
    spec = T5Spec(dim=dim, n_layers=1, n_heads=2, head_dim=3, ffn_dim=7, vocabulary=32)
    generator = torch.Generator().manual_seed(dim)
    weights = {name: torch.randn(shape, generator=generator) for name, shape in expected_shapes(spec).items()}
    return TextEncoder(Letters(), T5(spec, weights), max_tokens)


@pytest.fixture(scope="module")
def encoders():
    return [small_t5(9), load_minilm(), small_t5(4)]


def test_one_projection_is_the_separate_ones_over_all_tokens(encoders):
    torch.manual_seed(0)
    joined = JoinedTextEncoder(encoders)
    assert joined.dim == 9 + 384 + 4 + 3
    projections = [(torch.randn(11, encoder.dim), torch.randn(11)) for encoder in encoders]
    weight, bias = joined_projection(projections)
    assert weight.shape == (11, joined.dim) and bias.shape == (11,) and not bias.any()
    text = joined.encode("  warm piano ")
    separate = [F.linear(e.encode("warm piano").states, w, b) for e, (w, b) in zip(encoders, projections)]
    assert text.text == "warm piano" and text.weights is None
    torch.testing.assert_close(F.linear(text.states, weight, bias), torch.cat(separate), rtol=1e-5, atol=1e-5)


def test_a_blank_prompt_is_null_for_all_and_one_encoder_may_read_nothing(encoders):
    joined = JoinedTextEncoder(encoders)
    assert joined.encode(" \n") is None and joined.encode_each([None, "", " "]) is None
    part = joined.encode_each(["la", None, "high"])
    assert part.states.shape == (3 + 5, joined.dim)
    assert part.states[:, -3:].tolist() == [[1, 0, 0]] * 3 + [[0, 0, 1]] * 5
    assert torch.equal(part.states[:3, :9], encoders[0].encode("la").states)
    assert not part.states[:3, 9:-3].any() and not part.states[3:, : 9 + 384].any()


def test_the_longest_prompt_keeps_its_end_mark():
    encoder = small_t5(9, max_tokens=5)
    assert encoder.encode("a" * 100).states.shape == (5, 9)
    torch.testing.assert_close(encoder.encode("a" * 100).states, encoder.encode("aaaa").states)


def test_what_cannot_be_joined_is_named(encoders):
    joined = JoinedTextEncoder(encoders)
    with pytest.raises(ModelError, match="2 prompts were given; allowed: 3"):
        joined.encode_each(["a", "b"])
    with pytest.raises(ModelError, match="must be text, not int"):
        joined.encode(5)
    with pytest.raises(ModelError, match="allowed: one or more"):
        JoinedTextEncoder([])
    with pytest.raises(ModelError, match="none; allowed: one or more"):
        joined_projection([])
    with pytest.raises(ModelError, match=r"\[4, n\] and \[4\]"):
        joined_projection([(torch.ones(4, 3), torch.ones(4)), (torch.ones(5, 3), torch.ones(5))])
    assert isinstance(encoders[0].encode("la"), TextStates)
