"""How codebooks learn: moving averages of the vectors nearest to each code, started and revived from data.

Knows nothing about losses or audio; `quantizer` calls it layer by layer. N cardinality, D width, n vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# A revived code starts this share of the way from its neighbour to one of the neighbour's vectors: in 64
# dimensions a third of them are then nearer to it.
SPLIT = 0.1


class EmaCodebooks(nn.Module):
    """Exponential moving averages of K codebooks, one step per batch.

    usage [K, N]: vectors per batch that chose the code; sums [K, N, D]: their sum; a code is sums / usage.
    decay: share of the past kept by each batch. dead_below: a code chosen less than this share of the mean
    use is moved beside a busy one, with its sum and usage, so that it stays where it was put.
    """

    usage: Tensor
    sums: Tensor
    started: Tensor

    def __init__(
        self, n_codebooks: int, cardinality: int, dim: int, decay: float = 0.99, dead_below: float = 0.1
    ) -> None:
        super().__init__()
        self.decay, self.dead_below = decay, dead_below
        self.register_buffer("usage", torch.zeros(n_codebooks, cardinality))
        self.register_buffer("sums", torch.zeros(n_codebooks, cardinality, dim))
        self.register_buffer("started", torch.zeros(n_codebooks, dtype=torch.bool))

    @torch.no_grad()
    def start(self, k: int, codebook: Tensor, vectors: Tensor, generator: torch.Generator | None) -> None:
        """On the first call for layer k: k-means of vectors [n, D] into codebook [N, D], in place."""
        if bool(self.started[k]):
            return
        centres, counts = k_means(vectors, codebook.shape[0], generator=generator)
        codebook.copy_(centres)
        self.usage[k] = counts
        self.sums[k] = centres * counts[:, None]
        self.started[k] = True

    @torch.no_grad()
    def update(
        self, k: int, codebook: Tensor, vectors: Tensor, index: Tensor, generator: torch.Generator | None
    ) -> None:
        """One step: vectors [n, D] chose index [n] of layer k; codebook [N, D] is moved in place."""
        usage, sums = self.usage[k], self.sums[k]
        counts, batch_sums = group(vectors, index, codebook.shape[0])
        usage.lerp_(counts, 1.0 - self.decay)
        sums.lerp_(batch_sums, 1.0 - self.decay)
        alive = usage > 1e-6  # below, the quotient is noise: the code stays where it is until it is replaced
        torch.where(alive[:, None], sums / usage.clamp(min=1e-6)[:, None], codebook, out=codebook)
        self._revive(usage, sums, codebook, vectors, index, generator)

    def _revive(
        self,
        usage: Tensor,
        sums: Tensor,
        codebook: Tensor,
        vectors: Tensor,
        index: Tensor,
        generator: torch.Generator | None,
    ) -> None:
        """Put each dead code beside a code that fits its vectors badly, so that the two share them.

        Put on a vector itself it would stay unused: in many dimensions no other vector comes near.
        """
        mean_usage = usage.mean()
        dead = (usage < self.dead_below * mean_usage).nonzero().squeeze(-1)
        if dead.numel() == 0:
            return
        offsets = vectors - codebook[index]
        errors = offsets.square().sum(-1)
        if float(errors.sum()) <= 0.0:
            return  # every vector has its code: there is nothing to gain
        chosen = torch.multinomial(errors, dead.numel(), replacement=True, generator=generator)
        codebook[dead] = codebook[index[chosen]] + SPLIT * offsets[chosen]
        usage[dead] = 0.5 * mean_usage
        sums[dead] = 0.5 * mean_usage * codebook[dead]


def group(vectors: Tensor, index: Tensor, n_groups: int) -> tuple[Tensor, Tensor]:
    """Per group of vectors [n, D] by index [n]: how many [N] and their sum [N, D]."""
    counts = torch.bincount(index, minlength=n_groups).to(vectors.dtype)
    return counts, vectors.new_zeros(n_groups, vectors.shape[1]).index_add_(0, index, vectors)


def k_means(
    vectors: Tensor, n_centres: int, n_rounds: int = 10, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Lloyd's rounds from random vectors: vectors [n, D], n >= 1 -> centres [N, D], how many each [N]."""
    order = _permutation(vectors, generator)
    if order.numel() < n_centres:  # centres repeat; the spare ones are never chosen and revive later
        order = order.repeat(-(-n_centres // order.numel()))
    centres = vectors[order[:n_centres]].clone()
    counts = vectors.new_zeros(n_centres)
    for _ in range(n_rounds):
        scores = torch.addmm(centres.square().sum(-1), vectors, centres.t(), alpha=-2.0)
        counts, sums = group(vectors, scores.argmin(-1), n_centres)
        centres = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1.0)[:, None], centres)
    return centres, counts


def _permutation(vectors: Tensor, generator: torch.Generator | None) -> Tensor:
    device = vectors.device if generator is None else generator.device
    return torch.randperm(vectors.shape[0], generator=generator, device=device).to(vectors.device)
