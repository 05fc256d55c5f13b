"""Sampling: the drawn distribution, ties, greedy, guidance, and what bad settings say."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.model.errors import ModelError
from descant.model.sampling import Sampling, check_seed, column_seed, mix_guidance, probabilities, sample


def draw_many(logits, sampling, n=20000, seed=0):
    return sample(logits.expand(n, -1), sampling, torch.Generator().manual_seed(seed))


def test_draws_follow_the_distribution():
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05])
    counts = torch.bincount(draw_many(chances.log(), Sampling(top_k=0)), minlength=4) / 20000
    assert (counts - chances).abs().max() < 0.015
    cold = torch.bincount(draw_many(chances.log(), Sampling(temperature=0.5, top_k=0)), minlength=4) / 20000
    assert (cold - chances.square() / chances.square().sum()).abs().max() < 0.015


def test_top_k_keeps_all_that_tie_with_the_kth():
    logits = torch.tensor([2.0, 1.0, 1.0, 1.0, 0.5, 0.0])
    assert (probabilities(logits, Sampling(top_k=2)) > 0).tolist() == [True, True, True, True, False, False]
    assert (probabilities(logits, Sampling(top_k=1)) > 0).tolist() == [True] + [False] * 5
    assert set(draw_many(logits, Sampling(top_k=2)).tolist()) == {0, 1, 2, 3}


def test_top_p_keeps_the_likeliest_that_reach_it_and_overrides_top_k():
    logits = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()
    assert (probabilities(logits, Sampling(top_p=0.6, top_k=1)) > 0).tolist() == [False, True, False, True]
    assert (probabilities(logits, Sampling(top_p=0.4)) > 0).tolist() == [False, True, False, False]
    assert (probabilities(logits, Sampling(top_p=1.0)) > 0).all()


def test_temperature_0_is_greedy_and_draws_nothing():
    logits = torch.tensor([[0.0, 3.0, 3.0, 1.0], [5.0, 0.0, 0.0, 0.0]])
    draws = torch.Generator().manual_seed(1)
    before = draws.get_state()
    assert sample(logits, Sampling(temperature=0.0), draws).tolist() == [1, 0]
    assert torch.equal(draws.get_state(), before)
    assert probabilities(logits, Sampling(temperature=0.0)).argmax(dim=-1).tolist() == [1, 0]


def test_a_very_cold_draw_stays_finite():
    chances = probabilities(torch.tensor([1000.0, 999.0, -1000.0]), Sampling(temperature=1e-3))
    assert chances.tolist() == [1.0, 0.0, 0.0]


def test_a_row_does_not_depend_on_the_others():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    other = logits.clone()
    other[0] = 0.0
    first = sample(logits, Sampling(), torch.Generator().manual_seed(4))
    second = sample(other, Sampling(), torch.Generator().manual_seed(4))
    assert torch.equal(first[1:], second[1:])


@given(st.integers(0, 2**32), st.integers(1, 40), st.floats(0.0, 3.0), st.floats(0.0, 1.0))
@settings(max_examples=40, deadline=None)
def test_only_allowed_tokens_are_ever_drawn(seed, top_k, temperature, top_p):
    draws = torch.Generator().manual_seed(seed)
    logits = torch.randn(8, 40, generator=draws).round()  # many ties
    sampling = Sampling(temperature, top_k, top_p)
    chances = probabilities(logits, sampling)
    assert torch.allclose(chances.sum(dim=-1), torch.ones(8, dtype=torch.float64))
    tokens = sample(logits, sampling, draws)
    assert (chances.gather(-1, tokens[:, None]) > 0).all()


def test_guidance_is_linear_and_1_is_off():
    conditioned, null = torch.randn(2, 5), torch.randn(2, 5)
    assert torch.equal(mix_guidance(conditioned, null, 1.0), conditioned)
    assert torch.equal(mix_guidance(conditioned, null, 0.0), null)
    torch.testing.assert_close(mix_guidance(conditioned, null, 3.0), null + 3.0 * (conditioned - null))


def test_column_seeds_are_fixed_and_all_different():
    seeds = {column_seed(seed, column) for seed in range(50) for column in range(50)}
    assert len(seeds) == 2500 and all(0 <= seed < 2**63 for seed in seeds)
    assert (
        column_seed(0, 0) == 0x4104DA407D768D88 and column_seed(7, 123) == 0x6956644CB4ECEA09
    )  # takes rely on it
    assert column_seed(2**64 - 1, 10**9) < 2**63


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": "1"},
        {"top_k": -1},
        {"top_k": 2.5},
        {"top_p": 1.1},
        {"guidance": math.inf},
        {"guidance": True},
    ],
)
def test_values_out_of_bounds_are_refused_by_name(fields):
    with pytest.raises(ModelError) as error:
        Sampling(**fields)
    assert next(iter(fields)) in error.value.what and "allowed" in error.value.what
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "7", True])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ModelError, match="allowed"):
        check_seed(seed)
