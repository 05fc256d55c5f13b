"""Scaled dot-product attention over whole sequences, by the form that is fastest where it runs.

Knows nothing about layers or caches. B batch, H heads, S queries, L keys, D head width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None, causal: bool = False) -> Tensor:
    """q [B, H, S, D], k and v [B, H, L, D] -> [B, H, S, D].

    visible: bool, or float to be added to the scores, broadcast to [B, H, S, L], or None: all keys. causal:
    query i sees keys 0..i; visible is then None.

    Training in bfloat16 on a CPU takes the plain products: there they are twice as fast as torch's fused
    form, whose backward pass works in float32.
    """
    q, k = q.to(v.dtype), k.to(v.dtype)  # under autocast, rotation has made them float32
    plain = q.dtype == torch.bfloat16 and q.device.type == "cpu" and torch.is_grad_enabled()
    if not plain:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=visible, is_causal=causal)
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
    if causal:
        visible = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
    if visible is not None and visible.dtype != torch.bool:
        scores = scores + visible
    elif visible is not None:
        scores = scores + torch.zeros_like(visible, dtype=scores.dtype).masked_fill(~visible, -1e9)
    return torch.matmul(scores.softmax(-1), v)
