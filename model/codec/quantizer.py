"""The residual vector quantizer: latent vectors to K codes per frame and back, coarse first.

Knows nothing about audio. Shared by EnCodec and by our own trained codec; how the codebooks learn is in
`quantizer_training`. B batch, D latent width, K codebooks, F frames, N cardinality.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from descant.model.codec.quantizer_training import EmaCodebooks
from descant.model.errors import ModelError


def nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """vectors [n, D], codebook [N, D] -> [n] int64: each vector's nearest row, the first on a tie."""
    # |v - e|^2 = (|v|^2 - 2 v.e) + |e|^2, rounded in this order as EnCodec's reference: near ties agree.
    distances = (2.0 * vectors) @ codebook.t()
    torch.sub(vectors.square().sum(-1, keepdim=True), distances, out=distances)
    return distances.add_(codebook.square().sum(-1)).argmin(-1)


class ResidualVectorQuantizer(nn.Module):
    """K codebooks in turn, each coding what the ones before left over.

    `codebooks` [K, N, D] is a buffer: it is learned by moving averages in `forward_train`, never by gradient.
    trainable=False leaves out the averages (inference weights then hold the codebooks only).
    """

    codebooks: Tensor

    def __init__(self, n_codebooks: int, cardinality: int, dim: int, *, trainable: bool = True) -> None:
        super().__init__()
        self.n_codebooks, self.cardinality, self.dim = n_codebooks, cardinality, dim
        self.register_buffer("codebooks", torch.zeros(n_codebooks, cardinality, dim))
        self.ema = EmaCodebooks(n_codebooks, cardinality, dim) if trainable else None

    @torch.no_grad()
    def encode(self, latent: Tensor, n_used: int | None = None) -> Tensor:
        """latent [B, D, F] -> codes [B, n_used, F] int64, each 0..N-1. n_used: 1..K, default K."""
        batch, dim, n_frames = latent.shape
        residual = latent.transpose(1, 2).reshape(batch * n_frames, dim)
        rows = []
        for codebook in self.codebooks[: self._check_used(n_used)]:
            index = nearest(residual, codebook)
            residual = residual - F.embedding(index, codebook)
            rows.append(index.view(batch, n_frames))
        return torch.stack(rows, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, k, F] int64, 1 <= k <= K -> latent [B, D, F]: the sum of k codebooks' entries."""
        self._check_used(codes.shape[1])
        total = F.embedding(
            codes[:, 0], self.codebooks[0]
        )  # [B, F, D]; summed in codebook order, as the reference
        for k in range(1, codes.shape[1]):
            total = total + F.embedding(codes[:, k], self.codebooks[k])
        return total.transpose(1, 2)

    def forward_train(
        self, latent: Tensor, n_used: int | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize and, in training mode, learn: latent [B, D, F] -> (quantized, codes, loss).

        n_used: use (and update) only the first n_used codebooks (quantizer dropout); default K.
        quantized [B, D, F] passes its gradient straight to latent. codes: [B, n_used, F] int64.
        loss (commitment): scalar, the mean squared distance of each residual to its fixed code.
        The first batch in training mode starts the codebooks. generator: draws starts and revivals.
        """
        if self.ema is None:
            raise ModelError(
                "Training was asked of a quantizer built with trainable=False.",
                "It still encodes and decodes.",
                "Build it with trainable=True to train it.",
            )
        batch, dim, n_frames = latent.shape
        with torch.autocast(latent.device.type, enabled=False):
            start = latent.float().transpose(1, 2).reshape(batch * n_frames, dim)
            residual, rows, losses = start, [], []
            for k in range(self._check_used(n_used)):
                vectors = residual.detach()
                with torch.no_grad():
                    if self.training:
                        self.ema.start(k, self.codebooks[k], vectors, generator)
                    index = nearest(vectors, self.codebooks[k])
                    code = F.embedding(index, self.codebooks[k])
                    if self.training:
                        self.ema.update(k, self.codebooks[k], vectors, index, generator)
                losses.append(F.mse_loss(residual, code))
                residual = residual - code
                rows.append(index.view(batch, n_frames))
            # start - residual is the sum of the codes; the gradient is that of the identity.
            quantized = start + (-residual).detach()
        quantized = quantized.view(batch, n_frames, dim).transpose(1, 2).to(latent.dtype)
        return quantized, torch.stack(rows, 1), torch.stack(losses).mean()

    def _check_used(self, n_used: int | None) -> int:
        used = self.n_codebooks if n_used is None else n_used
        if not 1 <= used <= self.n_codebooks:
            raise ModelError(
                f"{used} codebooks were asked for; 1..{self.n_codebooks} are allowed.",
                "The quantizer is unchanged.",
                f"Use 1 to {self.n_codebooks} codebooks.",
            )
        return used
