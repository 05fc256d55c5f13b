"""How a linear layer of one column runs fast on this machine: weights packed once, then reused at every step.

A column is one or two rows, so a step's time is the time to read the weights. Kernels, by what they read:

    fp32    4 bytes a weight; exact to float tolerance, runs everywhere
    fp16    2 bytes a weight, activations and sums in float32: results within 0.1 %; needs x86 with AVX2
    int8    1 byte a weight, a scale an output, activations in bfloat16: results within 3 %

Native kernels run a whole column in one call of a library built on this machine (kernels/native.py), with
weights as fp32, fp16, bf16, int8 or int4; keys and values as the weights, or, beside bytes, as bf16, or with
kv8 as bytes, too: half of what a long stream reads of what it remembers. What else is linear, in codecs, then
runs as fp32 or fp16.

On a GPU a column is recorded once a stream and played again (kernels/device.py): weights, keys and values in
half precision, sums in float32; what is drawn, and the codec, stay on the processor.

A row's result never depends on the other rows. Where a packed form is missing (another device or build), or a
weight does not fit it, the fp32 form runs. Microseconds a layer of two rows on one AMD EPYC core (oneDNN's
bfloat16 is listed because it was left out: as fast as fp16, but ten times less exact):

    out x in        F.linear   fp32   fp16   int8   bf16
    768 x 256            138     70     28     17     30
    256 x 256             47     40     28      8     23
    256 x 1024           114    114     29     21     32
    4096 x 256           856    303     81     84     66
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal, TypeGuard, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from descant.model.errors import ModelError

Linear = Callable[[Tensor], Tensor]
TorchKernel = Literal["fp32", "fp16", "int8"]
NativeKernel = Literal[
    "native-fp32", "native-fp16", "native-bf16", "native-int8", "native-int8-kv8", "native-int4"
]
DeviceKernel = Literal["cuda-fp16"]
Kernel = TorchKernel | NativeKernel | DeviceKernel
KERNELS: tuple[TorchKernel, ...] = get_args(TorchKernel)
NATIVE_KERNELS: tuple[NativeKernel, ...] = get_args(NativeKernel)
DEVICE_KERNELS: tuple[DeviceKernel, ...] = get_args(DeviceKernel)
ALL_KERNELS: tuple[Kernel, ...] = (*KERNELS, *NATIVE_KERNELS, *DEVICE_KERNELS)
FP16_MAX = 65504.0
_INT8_BLOCK = 32


def check_kernel(kernel: str) -> Kernel:
    """The kernel, or ModelError listing those there are."""
    for known in ALL_KERNELS:
        if kernel == known:
            return known
    raise ModelError(
        f"There is no kernel {kernel!r}; allowed: {', '.join(ALL_KERNELS)}.",
        "The model runs as before.",
        "Choose one of these; fp32 runs everywhere.",
    )


def is_native(kernel: Kernel) -> TypeGuard[NativeKernel]:
    """Whether a kernel runs whole columns in the native library."""
    return kernel in NATIVE_KERNELS


def is_device(kernel: Kernel) -> TypeGuard[DeviceKernel]:
    """Whether a kernel runs whole columns on a GPU."""
    return kernel in DEVICE_KERNELS


def runs_columns(kernel: Kernel) -> TypeGuard[NativeKernel | DeviceKernel]:
    """Whether a kernel runs whole columns, natively or on a GPU, from weights packed once for all."""
    return is_native(kernel) or is_device(kernel)


def torch_kernel(kernel: Kernel) -> TorchKernel:
    """The kernel of single layers beside a native or GPU one: exact for exact, half for narrower weights."""
    for known in KERNELS:
        if kernel == known:
            return known
    return "fp32" if kernel == "native-fp32" else "fp16"


def packed_linear(weight: Tensor, bias: Tensor | None = None, kernel: TorchKernel = "fp32") -> Linear:
    """A function x [N, in] -> x W^T + bias [N, out] float32.

    weight: [out, in] float32. bias: [out] or None. The function keeps packed copies: later changes of the
    weights do not reach it.
    """
    weight = weight.detach().clone()
    bias = None if bias is None else bias.detach().clone()
    if kernel != "fp32" and weight.device.type == "cpu" and weight.dtype == torch.float32:
        try:
            packed = _int8(weight, bias) if kernel == "int8" else _fp16(weight, bias)
            packed(weight.new_zeros(2, weight.shape[1]))  # does this build have it?
            return packed
        except (AttributeError, RuntimeError, NotImplementedError):
            pass
    return _fp32(weight, bias)


def _fp32(weight: Tensor, bias: Tensor | None) -> Linear:
    if weight.shape[0] <= weight.shape[1]:
        return lambda x: F.linear(x, weight, bias)
    turned = weight.t().contiguous()  # the longer side contiguous: up to twice as fast
    if bias is None:
        return lambda x: torch.mm(x, turned)
    return lambda x: torch.addmm(bias, x, turned)


def _fp16(weight: Tensor, bias: Tensor | None) -> Linear:
    """FBGEMM's product of float32 activations with half-precision weights.

    The older of torch's two doors to it: the newer, quantized.linear_dynamic_fp16, costs 10 us more a call.
    """
    if not bool(weight.abs().max() <= FP16_MAX):
        raise NotImplementedError("a weight beyond half precision")
    run = torch.fbgemm_linear_fp16_weight_fp32_activation
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older one; said once, at the first call
        packed = torch.fbgemm_pack_gemm_matrix_fp16(weight)
        run(weight.new_zeros(1, weight.shape[1]), packed, bias)
    return lambda x: run(x, packed, bias)


def _int8(weight: Tensor, bias: Tensor | None) -> Linear:
    """torch's product of bfloat16 activations with 8-bit weights: no scale is shared between rows."""
    if weight.shape[0] % _INT8_BLOCK or weight.shape[1] % _INT8_BLOCK:
        raise NotImplementedError("torch's product reads whole blocks and does not check that there are such")
    scale = weight.abs().amax(dim=1).clamp(min=1e-12) / 127.0
    coded = (weight / scale[:, None]).round().to(torch.int8)
    narrow, wide = torch.bfloat16, torch.float32
    coarse = scale.to(narrow)
    run = torch.ops.aten._weight_int8pack_mm.default._op
    if bias is None:
        return lambda x: run(x.to(narrow), coded, coarse).to(wide)
    return lambda x: run(x.to(narrow), coded, coarse).to(wide) + bias
