"""The residual vector quantizer codes what it can, and its codebooks learn without the known defects."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from descant.model.codec.quantizer import ResidualVectorQuantizer, nearest
from descant.model.codec.quantizer_training import EmaCodebooks, k_means
from descant.model.errors import ModelError


def random_quantizer(n_codebooks: int = 3, cardinality: int = 16, dim: int = 5) -> ResidualVectorQuantizer:
    torch.manual_seed(1)
    quantizer = ResidualVectorQuantizer(n_codebooks, cardinality, dim, trainable=False)
    scale = 0.3 ** torch.arange(n_codebooks).view(-1, 1, 1)
    quantizer.codebooks.copy_(torch.randn(n_codebooks, cardinality, dim) * scale)
    return quantizer


def clustered(n_frames: int, seed: int, batch: int = 4) -> Tensor:
    """[batch, 8, n_frames]: 20 clusters with smaller clusters inside, work for residual codebooks."""
    fixed = torch.Generator().manual_seed(0)
    coarse, fine = torch.randn(20, 8, generator=fixed) * 3, torch.randn(10, 8, generator=fixed)
    draw = torch.Generator().manual_seed(seed)
    n = batch * n_frames
    points = coarse[torch.randint(20, (n,), generator=draw)] + fine[torch.randint(10, (n,), generator=draw)]
    points = points + 0.05 * torch.randn(n, 8, generator=draw)
    return points.view(batch, n_frames, 8).transpose(1, 2)


def test_nearest_is_brute_force_nearest() -> None:
    torch.manual_seed(0)
    vectors, codebook = torch.randn(200, 7), torch.randn(33, 7)
    assert torch.equal(nearest(vectors, codebook), torch.cdist(vectors, codebook).argmin(-1))


@given(st.integers(1, 3), st.integers(1, 9), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_codes_of_one_codebook_round_trip(batch: int, n_frames: int, seed: int) -> None:
    quantizer = random_quantizer()
    codes = torch.randint(16, (batch, 1, n_frames), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(quantizer.encode(quantizer.decode(codes), n_used=1), codes)


def test_shapes_and_codebook_order() -> None:
    quantizer = random_quantizer()
    latent = torch.randn(2, 5, 11)
    codes = quantizer.encode(latent)
    assert codes.shape == (2, 3, 11) and codes.dtype == torch.int64
    expected = sum(quantizer.codebooks[k][codes[:, k]] for k in range(3))
    assert isinstance(expected, Tensor)
    assert torch.allclose(quantizer.decode(codes), expected.transpose(1, 2))
    assert torch.equal(quantizer.encode(latent, n_used=2), codes[:, :2])


@pytest.mark.parametrize("n_used", [0, 4, -1])
def test_a_wrong_number_of_codebooks_is_refused(n_used: int) -> None:
    with pytest.raises(ModelError, match=r"1\.\.3"):
        random_quantizer().encode(torch.zeros(1, 5, 2), n_used)


def test_inference_form_holds_codebooks_only() -> None:
    quantizer = random_quantizer()
    assert list(quantizer.state_dict()) == ["codebooks"]
    with pytest.raises(ModelError, match="trainable"):
        quantizer.forward_train(torch.zeros(1, 5, 2))


def test_training_form_carries_its_averages_in_the_state_dict() -> None:
    trained = ResidualVectorQuantizer(2, 8, 8)
    trained.forward_train(clustered(64, 0))
    other = ResidualVectorQuantizer(2, 8, 8)
    other.load_state_dict(trained.state_dict())
    for quantizer in (trained, other):
        quantizer.forward_train(clustered(64, 1), generator=torch.Generator().manual_seed(3))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in trained.state_dict().items())


def test_gradient_is_straight_through_and_commitment_pulls_to_the_codes() -> None:
    quantizer = ResidualVectorQuantizer(2, 8, 8)
    latent = clustered(64, 0).requires_grad_()
    quantized, codes, loss = quantizer.forward_train(latent)
    assert codes.shape == (4, 2, 64)
    weights = torch.randn_like(quantized)
    (gradient,) = torch.autograd.grad((quantized * weights).sum(), latent, retain_graph=True)
    assert torch.equal(gradient, weights)
    (pull,) = torch.autograd.grad(loss, latent)
    step = latent.detach() - 50 * pull
    assert (step - quantized).square().mean() < (latent - quantized).square().mean()


def test_training_reduces_the_error_on_unseen_vectors() -> None:
    torch.manual_seed(0)
    quantizer = ResidualVectorQuantizer(2, 24, 8)
    unseen, errors = clustered(256, 999), []
    for step in range(300):
        quantizer.forward_train(clustered(64, step))
        if step in (0, 299):
            errors.append(float((quantizer.decode(quantizer.encode(unseen)) - unseen).square().mean()))
    assert errors[1] < 0.9 * errors[0]
    assert errors[1] < 0.03 * float(unseen.square().mean())


def test_quantized_in_training_is_the_decode_of_its_codes_and_eval_changes_nothing() -> None:
    quantizer = ResidualVectorQuantizer(3, 16, 8)
    quantizer.forward_train(clustered(64, 0))
    quantizer.eval()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantized, codes, _ = quantizer.forward_train(clustered(64, 1))
    assert torch.equal(codes, quantizer.encode(clustered(64, 1)))
    assert (quantized - quantizer.decode(codes)).abs().max() < 1e-5
    assert all(torch.equal(value, before[name]) for name, value in quantizer.state_dict().items())


def test_quantizer_dropout_leaves_later_codebooks_alone() -> None:
    quantizer = ResidualVectorQuantizer(3, 16, 8)
    quantized, codes, _ = quantizer.forward_train(clustered(64, 0), n_used=2)
    assert codes.shape[1] == 2
    assert quantizer.codebooks[:2].abs().sum() > 0 and quantizer.codebooks[2].abs().sum() == 0
    assert quantized.shape == (4, 8, 64)


def test_first_steps_do_not_shrink_the_codes() -> None:
    """Sums start as code * usage: feeding the same batch again leaves k-means' centres in place."""
    vectors = clustered(256, 0).transpose(1, 2).reshape(-1, 8)
    ema = EmaCodebooks(1, 16, 8, dead_below=0.0)
    codebook = torch.zeros(16, 8)
    ema.start(0, codebook, vectors, torch.Generator().manual_seed(0))
    before = codebook.norm(dim=-1)
    for _ in range(20):
        ema.update(0, codebook, vectors, nearest(vectors, codebook), None)
    assert (codebook.norm(dim=-1) / before).min() > 0.9


def test_dead_codes_revive_and_stay_where_they_were_put() -> None:
    torch.manual_seed(0)
    quantizer = ResidualVectorQuantizer(1, 32, 8)
    assert quantizer.ema is not None
    quantizer.forward_train(clustered(256, 0))
    quantizer.codebooks[0, 5:] = 1e3  # out of reach of every vector
    quantizer.ema.usage[0, 5:] = 0.0
    quantizer.ema.sums[0, 5:] = 0.0
    for step in range(30):
        quantizer.forward_train(clustered(256, step + 1))
    assert quantizer.codebooks.abs().max() < 20
    used = torch.bincount(quantizer.encode(clustered(512, 77)).flatten(), minlength=32)
    assert int((used > 0).sum()) >= 24  # of 32; 5 were alive


def test_k_means_settles() -> None:
    vectors = clustered(512, 0).transpose(1, 2).reshape(-1, 8)

    def spread(n_rounds: int) -> float:
        centres, _ = k_means(vectors, 20, n_rounds, torch.Generator().manual_seed(0))
        return float((vectors - centres[nearest(vectors, centres)]).square().mean())

    assert spread(10) < 0.9 * spread(1)


def test_k_means_with_fewer_vectors_than_centres() -> None:
    centres, counts = k_means(torch.randn(3, 2), 8)
    assert centres.shape == (8, 2) and int(counts.sum()) == 3 and bool(centres.isfinite().all())
