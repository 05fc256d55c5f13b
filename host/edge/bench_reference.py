"""The reference in a race: transformers' MusicGen decoder, a step of its `generate` at a time, fp32 or bf16.

Its own decoder, its own growing cache, its own guidance and top-k; only the loop around them is ours, so that
steps of others can come between and a context can be had without playing up to it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from descant.host.edge import parity_oracle as oracle
from descant.host.edge.parity_sizes import Size
from descant.model.sampling import Sampling


class Reference:
    """transformers' decoder with random weights, the guidance pair in a batch, ready at any context."""

    def __init__(self, size: Size, dtype: torch.dtype, text_tokens: int, sampling: Sampling) -> None:
        hf = oracle.library()
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with oracle.quiet(), torch.random.fork_rng(devices=[]):
                config = hf.MusicgenDecoderConfig(**oracle.configs(size)["decoder"])
                self._model: Any = hf.MusicgenForCausalLM(config).eval().requires_grad_(False)
        finally:
            torch.set_default_dtype(before)
        self._size, self._dtype = size, dtype
        states = torch.randn(1, text_tokens, size.dim, generator=torch.Generator().manual_seed(0)).to(dtype)
        self._text = torch.cat([states, torch.zeros_like(states)])  # as generate gives the null text
        self._mask = torch.ones(2, text_tokens, dtype=torch.long)
        self._mask[1] = 0
        self._guide = hf.ClassifierFreeGuidanceLogitsProcessor(sampling.guidance)
        self._warp = hf.TopKLogitsWarper(sampling.top_k)
        self._cache: Any = None
        self._column = torch.zeros(4, 1, dtype=torch.long)

    @torch.inference_mode()
    def at(self, context: int) -> None:
        """Be where `context - 1` columns have been run: the next step sees `context`."""
        hf = oracle.library()
        shape = (2, self._size.heads, context - 1, self._size.dim // self._size.heads)
        layer = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self._dtype)
        remembered = hf.DynamicCache()
        for index in range(self._size.layers):
            remembered.update(layer.clone(), layer.clone(), index)
        self._cache = hf.EncoderDecoderCache(remembered, hf.DynamicCache())
        self.step()  # what is remembered of the text
        self.back()

    @torch.inference_mode()
    def step(self) -> Tensor:
        """A column of both branches, guided, sampled: [K, 1]."""
        out = self._model(
            input_ids=self._column.repeat(2, 1),
            encoder_hidden_states=self._text,
            encoder_attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
        )
        logits = out.logits[:, -1, :].float()
        scores = self._warp(self._column, self._guide(self._column, logits))
        return torch.multinomial(scores.softmax(dim=-1), 1)

    def back(self) -> None:
        """Forget the last column: the next step sees as many as the last one did."""
        self._cache.self_attention_cache.crop(-1)
