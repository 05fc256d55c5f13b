"""Blended prompts: attention as if each token counted as often as its prompt's weight says."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from descant.model.conditions.text import TextStates, pad_states, pad_weights
from descant.model.conditions.text_blend import blend
from descant.model.errors import ModelError


def prompt(length: int, seed: int = 0, dim: int = 6) -> TextStates:
    states = torch.randn(length, dim, generator=torch.Generator().manual_seed(seed))
    return TextStates(f"{seed}", states)


def attended(text: TextStates, query: torch.Tensor) -> torch.Tensor:
    """What a head reads of a prompt: states as keys and values, weights added to its scores."""
    mask = None if text.weights is None else text.weights[None, None, None]
    return F.scaled_dot_product_attention(
        query, text.states[None, None], text.states[None, None], attn_mask=mask
    )


QUERY = torch.randn(1, 1, 3, 6, generator=torch.Generator().manual_seed(9))


def test_states_follow_each_other_with_the_logs_of_their_shares():
    a, b = prompt(2, 1), prompt(3, 2)
    mixed = blend([(a, 3), (b, 1.0)])
    assert mixed.text is None and torch.equal(mixed.states, torch.cat([a.states, b.states]))
    each = [0.75 / 2] * 2 + [0.25 / 3] * 3  # a prompt's weight is divided among its tokens
    torch.testing.assert_close(mixed.weights.exp(), torch.tensor(each))
    assert mixed.weights.dtype == torch.float32


def test_a_single_prompt_stays_itself_and_weightless_ones_are_left_out():
    a, b = prompt(2, 1), prompt(3, 2)
    assert blend([(a, 0.2)]) is a
    assert blend([(a, 0.0), (b, 1e-300), (a, 0)]) is b
    mixed = blend([(a, 1.0), (b, 0.0), (a, 1.0)])
    assert mixed.states.shape[0] == 4 and mixed.weights.exp().tolist() == pytest.approx([0.25] * 4)


@given(st.lists(st.floats(0, 1e9) | st.floats(0, 1e-300), min_size=1, max_size=5), st.integers(1, 7))
def test_a_prompt_blended_with_itself_is_itself(weights, length):
    a = prompt(length)
    if not any(weights):
        with pytest.raises(ModelError, match="has a weight"):
            blend([(a, weight) for weight in weights])
        return
    mixed = blend([(a, weight) for weight in weights])
    assert mixed.weights is None or bool(torch.isfinite(mixed.weights).all())
    torch.testing.assert_close(attended(mixed, QUERY), attended(a, QUERY), rtol=1e-4, atol=1e-5)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_whole_weights_count_prompts_whatever_their_length(times_a, times_b, length):
    a, b = prompt(length, 1), prompt(3, 2)
    # as many tokens of each prompt, times its weight
    repeated = TextStates(None, torch.cat([a.states] * (3 * times_a) + [b.states] * (length * times_b)))
    mixed = blend([(a, float(times_a)), (b, times_b)])
    torch.testing.assert_close(attended(mixed, QUERY), attended(repeated, QUERY), rtol=1e-4, atol=1e-5)


def test_a_blend_of_blends_is_the_blend_of_their_products():
    a, b, c = prompt(2, 1), prompt(3, 2), prompt(1, 3)
    nested = blend([(blend([(a, 1), (b, 3)]), 0.5), (c, 0.5)])
    flat = blend([(a, 0.125), (b, 0.375), (c, 0.5)])
    assert torch.equal(nested.states, flat.states)
    torch.testing.assert_close(nested.weights, flat.weights)
    kept = blend([(a, 1), (b, 3)])
    assert blend([(kept, 7.0), (c, 0.0)]) is kept


def test_weights_are_padded_beside_states():
    a, b = prompt(2, 1), prompt(3, 2)
    rows = [a, None, blend([(a, 1), (b, 1)])]
    states, mask = pad_states(rows, 6)
    weights = pad_weights(rows)
    assert weights.shape == states.shape[:2] and mask.sum(dim=1).tolist() == [2, 0, 5]
    assert not weights[:2].any() and weights[2].tolist() == pytest.approx(
        [math.log(0.5 / 2)] * 2 + [math.log(0.5 / 3)] * 3
    )
    assert pad_weights([a, None]) is None and pad_weights([None]) is None


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf, True, "1", None])
def test_a_bad_weight_is_named(weight):
    with pytest.raises(ModelError) as error:
        blend([(prompt(2), 1.0), (prompt(2), weight)])
    assert repr(weight) in error.value.what and "allowed: " in error.value.what


def test_what_cannot_be_blended_is_named():
    with pytest.raises(ModelError, match="None of 0 prompts"):
        blend([])
    with pytest.raises(ModelError, match="is None; allowed: encoded prompts"):
        blend([(prompt(2), 1.0), (None, 1.0)])
    with pytest.raises(ModelError, match=r"\[5, 6\] wide"):
        blend([(prompt(2), 1.0), (prompt(2, dim=5), 1.0)])
