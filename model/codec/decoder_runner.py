"""The tone codec's decoder as streams run it: the same function as its modules, linear layers packed.

A frame at a time, its cost is reading weights: they are kept in half precision (see lm/linear.py), for whole
decodes too, so that a stream and a whole decode are one function of the codes. Knows nothing about training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from descant.model.lm.linear import TorchKernel, packed_linear

if TYPE_CHECKING:
    from descant.model.codec.tone_synthesis import ToneSynthesis
    from descant.model.codec.tonebank import CausalBlock, CausalStack


class BlockRunner:
    """A CausalBlock's weights, packed."""

    def __init__(self, block: CausalBlock, kernel: TorchKernel) -> None:
        self.depthwise = block.depthwise.detach().clone()
        self.norm = (block.norm.weight.detach().clone(), block.norm.bias.detach().clone())
        self.eps = block.norm.eps
        self.scale = block.scale.detach().clone()
        self.up = packed_linear(block.up.weight.t(), block.up.bias, kernel)
        self.down = packed_linear(block.down.weight, block.down.bias, kernel)

    def run(self, x: Tensor, history: Tensor) -> tuple[Tensor, Tensor]:
        """As CausalBlock.forward."""
        batch, n, width = x.shape
        joined = torch.cat([history, x], dim=1)
        if n == 1:
            y = (joined * self.depthwise).sum(dim=1)
        else:  # as a 2-D convolution: the fast path on CPUs
            kernel = self.depthwise.t()[:, None, None]
            y = F.conv2d(joined.transpose(1, 2).unsqueeze(2), kernel, groups=width)
            y = y[:, :, 0].transpose(1, 2).reshape(-1, width)
        y = torch.layer_norm(y, (width,), *self.norm, self.eps)
        y = self.down(F.gelu(self.up(y)))
        return torch.addcmul(x, self.scale, y.view(batch, n, width)), joined[:, n:].clone()


class DecoderRunner:
    """All the decoder's layers and the head of the synthesis."""

    def __init__(self, stack: CausalStack, synthesis: ToneSynthesis, kernel: TorchKernel) -> None:
        self.inlet = packed_linear(stack.inlet.weight, stack.inlet.bias, kernel)
        self.blocks = [BlockRunner(block, kernel) for block in stack.causal_blocks]
        self.norm = (stack.norm.weight.detach().clone(), stack.norm.bias.detach().clone())
        self.eps = stack.norm.eps
        self.head = packed_linear(synthesis.head.weight.t(), synthesis.head.bias, kernel)

    def run(self, latent: Tensor, histories: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """latent [B, n, latent_dim], each block's history -> what the head says [B, n, -1], new histories."""
        batch, n, _ = latent.shape
        x, after = self.inlet(latent.flatten(0, 1)).view(batch, n, -1), []
        for block, history in zip(self.blocks, histories, strict=True):
            x, history = block.run(x, history)
            after.append(history)
        y = torch.layer_norm(x.flatten(0, 1), x.shape[-1:], *self.norm, self.eps)
        return self.head(y).view(batch, n, -1), after
