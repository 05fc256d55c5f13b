"""ONNX Runtime in the table: a whole step as one graph, its MatMulNBits and its grouped attention.

The graph is built by hand: the product's weights, quantised symmetrically, activations as int8 (accuracy
level 4), keys and values in float32 buffers that are shared between what was and what is. Needs the extra
`kernel-table`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from descant.model.lm.kv_cache import Ring
from descant.model.lm.step import LmState, TextMemory, position_row
from descant.model.lm.transformer import Layer
from descant.model.spec import LmSpec
from tools.kernel_entries import CONTEXTS, TOKENS, Entry, cache_bytes, matrix_bytes

_CONTRIB = "com.microsoft"
_ROWS = 2


def coded(weight: Tensor, bits: int, block: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """weight [out, in] -> MatMulNBits' bytes [out, blocks, block * bits / 8] and scales [out * blocks]."""
    rows, inputs = weight.shape
    groups = weight.detach().view(rows, inputs // block, block)
    middle = 1 << (bits - 1)
    scale = (groups.abs().amax(dim=2) / (middle - 1)).clamp(min=1e-9)
    found = ((groups / scale[..., None]).round() + middle).clamp(0, 2 * middle - 1).to(torch.uint8)
    if bits == 4:
        found = found[..., 0::2] | (found[..., 1::2] << 4)
    return found.contiguous().numpy(), scale.flatten().numpy()


class _Graph:
    """Nodes and constants of a graph, named as they come."""

    def __init__(self, bits: int, block: int) -> None:
        import onnx

        self.onnx, self.bits, self.block = onnx, bits, block
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: np.ndarray[Any, Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], outputs: int = 1, domain: str = "", **given: Any) -> Any:
        names = [f"n{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, names, domain=domain, **given))
        return names[0] if outputs == 1 else names

    def matrix(self, x: str, weight: Tensor) -> str:
        packed, scales = coded(weight, self.bits, self.block)
        given = [x, self.constant(packed), self.constant(scales)]
        found: str = self.node(
            "MatMulNBits",
            given,
            domain=_CONTRIB,
            K=weight.shape[1],
            N=weight.shape[0],
            bits=self.bits,
            block_size=self.block,
            accuracy_level=4,
        )
        return found

    def norm(self, x: str, norm: torch.nn.LayerNorm) -> str:
        given = [x, *(self.constant(value.detach().numpy()) for value in (norm.weight, norm.bias))]
        found: str = self.node("LayerNormalization", given, axis=-1, epsilon=norm.eps)
        return found


def _layer(graph: _Graph, x: str, layer: Layer, spec: LmSpec, text: TextMemory, index: int) -> str:
    """One layer's nodes: the name of x [2, 1, dim] -> that of its result."""
    assert layer.norm_cross is not None
    qkv = graph.matrix(graph.norm(x, layer.norm_self), layer.attention.qkv.weight)
    sizes = graph.constant(np.array([spec.dim] * 3, np.int64))
    q, k, v = graph.node("Split", [qkv, sizes], 3, axis=-1)
    past = [f"past_key_{index}", f"past_value_{index}"]
    attention = graph.onnx.helper.make_node(
        "GroupQueryAttention",
        [q, k, v, *past, "lengths", "total"],
        [f"seen_{index}", f"present_key_{index}", f"present_value_{index}"],
        domain=_CONTRIB,
        num_heads=spec.n_heads,
        kv_num_heads=spec.n_heads,
    )
    graph.nodes.append(attention)
    x = graph.node("Add", [x, graph.matrix(f"seen_{index}", layer.attention.out.weight)])
    words, null = graph.node(
        "Split", [x, graph.constant(np.array([1, 1], np.int64))], 2, axis=0
    )  # the null row sees nothing
    keys, values = (graph.constant(side[index][0].numpy()) for side in (text.keys, text.values))
    scores = graph.node("MatMul", [graph.norm(words, layer.norm_cross), keys])
    apart = graph.constant(np.array([1, spec.n_heads, TOKENS], np.int64))
    chances = graph.node("Softmax", [graph.node("Reshape", [scores, apart])], axis=-1)
    flat = graph.constant(np.array([1, 1, spec.n_heads * TOKENS], np.int64))
    heard = graph.node("MatMul", [graph.node("Reshape", [chances, flat]), values])
    x = graph.node("Concat", [graph.node("Add", [words, heard]), null], axis=0)
    wide = graph.node(
        "Gelu", [graph.matrix(graph.norm(x, layer.norm_ffn), layer.ffn_in.weight)], domain=_CONTRIB
    )
    return graph.node("Add", [x, graph.matrix(wide, layer.ffn_out.weight)])


def onnx_entry(
    bits: int, block: int, spec: LmSpec, layer: Layer, heads: Tensor, text: TextMemory, threads: int
) -> Entry:
    """MatMulNBits with so many bits, inputs of a block sharing a scale. ImportError, RuntimeError."""
    import onnx
    import onnxruntime

    graph, helper = _Graph(bits, block), onnx.helper
    number, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    shape = [_ROWS, spec.n_heads, CONTEXTS[-1] + 1, spec.head_dim]
    given = [helper.make_tensor_value_info("x", number, [_ROWS, 1, spec.dim])]
    given += [helper.make_tensor_value_info("lengths", whole, [_ROWS])]
    given += [helper.make_tensor_value_info("total", whole, [1])]
    taken, x = [], "x"
    for index in range(spec.n_layers):
        x = _layer(graph, x, layer, spec, text, index)
        for side in ("key", "value"):
            given.append(helper.make_tensor_value_info(f"past_{side}_{index}", number, shape))
            taken.append(helper.make_tensor_value_info(f"present_{side}_{index}", number, shape))
    logits = graph.matrix(graph.norm(x, torch.nn.LayerNorm(spec.dim)), heads)
    taken.append(helper.make_tensor_value_info(logits, number, [_ROWS, 1, heads.shape[0]]))
    model = helper.make_model(
        helper.make_graph(graph.nodes, "step", given, taken, graph.constants),
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid(_CONTRIB, 1)],
        ir_version=10,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    except Exception as error:  # its own families, none of which is documented
        raise RuntimeError(str(error)) from error
    run = _bound(onnxruntime, session, spec, shape, logits)
    read = matrix_bytes(spec, bits / 8 + 4 / block)
    state = LmState(_ROWS, Ring(CONTEXTS[-1] + 1, None))
    return Entry(f"onnx int{bits} / {block}", run, state, read, cache_bytes(spec, 4))


def _bound(onnxruntime: Any, session: Any, spec: LmSpec, shape: list[int], logits: str) -> Any:
    """The session as an entry's run: all memory bound once, caches in place."""
    x = np.zeros((_ROWS, 1, spec.dim), np.float32)
    lengths, total = np.zeros(_ROWS, np.int32), np.zeros(1, np.int32)
    binding = session.io_binding()
    caches = []
    for name, array in (("x", x), ("lengths", lengths), ("total", total)):
        binding.bind_cpu_input(name, array)
    for index in range(spec.n_layers):
        for side in ("key", "value"):
            cache = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))
            caches.append(cache)
            binding.bind_ortvalue_input(f"past_{side}_{index}", cache)
            binding.bind_ortvalue_output(f"present_{side}_{index}", cache)
    binding.bind_output(logits)

    def run(given: Tensor, state: LmState) -> Tensor:
        x[:, 0] = (given + position_row(spec, state)).numpy()
        lengths[:], total[:] = state.cache.position, state.cache.position + 1
        session.run_with_iobinding(binding)
        state.cache.advance(1)
        found = torch.from_numpy(binding.get_outputs()[-1].numpy())
        return found.view(_ROWS, spec.n_codebooks, -1)

    return run
