"""The tone codec's decoder in the native library: frames in one call, by the thread that asks for them.

The same doors as DecoderRunner. Weights are packed once and shared; a stream's histories are its own. Knows
nothing about what the head's numbers sound like.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from descant.model.errors import ModelError
from descant.model.kernels.build import load
from descant.model.lm.linear import FP16_MAX

if TYPE_CHECKING:
    from descant.model.codec.tone_synthesis import ToneSynthesis
    from descant.model.codec.tonebank import CausalStack

_LANES = 16
_FP32, _FP16 = range(2)


class _Linear(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weights", "bias")),
        *((name, ctypes.c_int32) for name in ("ins", "outs")),
    ]


class _Block(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("depthwise", "norm_weight", "norm_bias", "scale")),
        *((name, _Linear) for name in ("up", "down")),
    ]


class _Tones(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("block", "norm_weight", "norm_bias")),
        *((name, _Linear) for name in ("inlet", "head")),
        *((name, ctypes.c_int32) for name in ("blocks", "width", "inner", "reach", "format")),
        ("eps", ctypes.c_float),
    ]


def fits(stack: CausalStack) -> bool:
    """Whether the library runs a decoder of these widths: whole sixteens."""
    sizes = [*stack.inlet.weight.shape, *(block.up.weight.shape[1] for block in stack.causal_blocks)]
    return bool(stack.causal_blocks) and all(size % _LANES == 0 for size in sizes)


class TonesRunner:
    """All the decoder's layers and the head of the synthesis, packed. half: weights in half precision.

    Raises ModelError if the library is not to be had here; see `fits`.
    """

    def __init__(self, stack: CausalStack, synthesis: ToneSynthesis, half: bool) -> None:
        library = load()
        if library.handle is None:
            raise ModelError(
                f"The codec's native decoder is not available on this machine: {library.reason}.",
                "The model runs with fp32 or fp16.",
                "Install a C compiler (gcc or clang), or choose one of these kernels.",
            )
        self._library = _declared(library.handle)
        blocks = stack.causal_blocks
        weights = [stack.inlet.weight, synthesis.head.weight]
        weights += [weight for block in blocks for weight in (block.up.weight, block.down.weight)]
        half = half and all(bool(weight.abs().max() <= FP16_MAX) for weight in weights)
        self._dtype = torch.float16 if half else torch.float32
        self._kept: list[Tensor] = []  # what the library has addresses of
        self._blocks = (_Block * len(blocks))(
            *(
                _Block(
                    *(
                        self._keep(p)
                        for p in (block.depthwise, block.norm.weight, block.norm.bias, block.scale)
                    ),
                    self._linear(block.up.weight.t(), block.up.bias),
                    self._linear(block.down.weight, block.down.bias),
                )
                for block in blocks
            )
        )
        self._width, self._reach = stack.inlet.weight.shape[0], blocks[0].depthwise.shape[0] - 1
        self._outs = synthesis.head.weight.shape[1]
        self._tones = _Tones(
            ctypes.addressof(self._blocks),
            self._keep(stack.norm.weight),
            self._keep(stack.norm.bias),
            self._linear(stack.inlet.weight, stack.inlet.bias),
            self._linear(synthesis.head.weight.t(), synthesis.head.bias),
            *(len(blocks), self._width, blocks[0].up.weight.shape[1], self._reach, _FP16 if half else _FP32),
            stack.norm.eps,
        )
        self._tones_at = ctypes.byref(self._tones)
        self._desk_size = int(self._library.descant_tones_desk(self._tones_at))

    def run(self, latent: Tensor, histories: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """latent [B, n, latent_dim], each block's history -> what the head says [B, n, -1], new histories."""
        batch, n, _ = latent.shape
        latent = latent.detach().to(torch.float32).contiguous()
        after = torch.stack(histories, dim=1)  # [B, blocks, reach, width]
        out, desk = torch.empty(batch, n, self._outs), torch.empty(self._desk_size)
        for b in range(batch):
            places = latent[b].data_ptr(), n, after[b].data_ptr(), out[b].data_ptr(), desk.data_ptr()
            self._library.descant_tones(self._tones_at, *places)
        return out, list(after.unbind(dim=1))

    def _keep(self, value: Tensor) -> int:
        value = value.detach().to("cpu", torch.float32).contiguous().clone()
        self._kept.append(value)
        return value.data_ptr()

    def _linear(self, weight: Tensor, bias: Tensor) -> _Linear:
        """weight [outs, ins], bias [outs], padded to whole tiles."""
        outs, ins = weight.shape
        padded = -(-outs // _LANES) * _LANES
        tiles, room = torch.zeros(padded, ins), torch.zeros(padded)
        tiles[:outs], room[:outs] = weight.detach().float(), bias.detach().float()
        packed = tiles.view(-1, _LANES, ins).transpose(1, 2).contiguous().to(self._dtype)
        self._kept += [packed, room]
        return _Linear(packed.data_ptr(), room.data_ptr(), ins, outs)


def _declared(library: ctypes.CDLL) -> Any:
    """The library with the types of its functions (see tones.c)."""
    pointer = ctypes.c_void_p
    library.descant_tones_desk.restype, library.descant_tones_desk.argtypes = ctypes.c_int64, [pointer]
    library.descant_tones.restype = None
    library.descant_tones.argtypes = [pointer, pointer, ctypes.c_int32, pointer, pointer, pointer]
    return library
