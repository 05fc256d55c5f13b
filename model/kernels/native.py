"""A decoder's weights in the native library, and the streams that run on them: one call a column.

The same doors as StepRunner. Knows nothing about sampling, guidance or frames. The weights are packed once
and shared by all streams; a stream's memory is its own, so that columns of many streams run in one batch,
whatever their positions.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from descant.model.errors import ModelError
from descant.model.kernels.build import load
from descant.model.kernels.pool import release, shared_pool
from descant.model.lm.kv_cache import Ring, huge_zeros
from descant.model.lm.linear import FP16_MAX
from descant.model.lm.step import LmState, TextMemory, other_kernel, position_row, position_table, seen_text
from descant.model.spec import LmSpec

if TYPE_CHECKING:
    from descant.model.lm.linear import NativeKernel
    from descant.model.lm.transformer import Layer

MAX_ROWS = 16  # rows of one call
_LANES = 16
_FP32, _FP16, _BF16, _INT8, _INT4 = range(5)
_QKV, _OUT, _CROSS_Q, _CROSS_OUT, _UP, _DOWN, _CROSS_KV, _HEADS = range(8)


@dataclass(frozen=True)
class Format:
    """How weights and caches are kept. block: inputs that share a scale; cache: of keys and values."""

    weights: int
    heads: int
    block: int
    cache: int


FORMATS: dict[NativeKernel, Format] = {
    "native-fp32": Format(_FP32, _FP32, 16, _FP32),
    "native-fp16": Format(_FP16, _FP16, 16, _FP16),
    "native-bf16": Format(_BF16, _BF16, 16, _BF16),
    "native-int8": Format(_INT8, _BF16, 64, _BF16),
    "native-int8-kv8": Format(_INT8, _BF16, 64, _INT8),
    "native-int4": Format(_INT4, _BF16, 32, _BF16),
}


class _Shape(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("dim", "layers", "heads", "inner", "logits", "crosses")),
        *((name, ctypes.c_int32) for name in ("format", "head_format", "block", "cache_format", "threads")),
        ("eps", ctypes.c_float),
    ]


class _Row(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("x", "rotation", "logits", "cache", "text", "bias")),
        *((name, ctypes.c_int64) for name in ("cache_stride", "text_stride")),
        *((name, ctypes.c_int32) for name in ("slots", "slot", "begin", "visible", "text_slots", "unused")),
    ]


class NativeCache(Ring):
    """One stream's keys and values, [n_layers, B, H] heads as attention.h lays them out, zero at first."""

    def __init__(
        self, layers: int, batch: int, row_bytes: int, slots: int, capacity: int, context: int | None
    ) -> None:
        super().__init__(capacity, context)
        self.slots = slots
        self.row_bytes = row_bytes
        self.stride = batch * row_bytes  # from layer to layer
        self.memory = huge_zeros(-(-layers * self.stride // 4))
        self.address = self.memory.data_ptr()

    def place(self, row: _Row, position: int) -> None:
        """Tell a row of a call where its column goes and what it sees."""
        length = position - self.first + 1
        if self.context is not None:
            length = min(self.context, length)
        row.slots, row.slot, row.visible = self.slots, position % self.slots, length
        row.begin = (position - length + 1) % self.slots


class NativeWeights:
    """All layers, the final norm and the heads in the native library, read by any number of streams.

    Made empty; put_layer and put_head fill it, so that full weights need not be there all at once. threads:
    None: $DESCANT_THREADS, else torch's number. folder: see build.load.
    Raises ModelError if the library is not to be had here.
    """

    def __init__(
        self,
        spec: LmSpec,
        kernel: NativeKernel = "native-int8",
        threads: int | None = None,
        folder: Path | None = None,
        flags: tuple[str, ...] | None = None,
    ) -> None:
        library = load(folder, flags)
        if library.handle is None:
            raise ModelError(
                f"Kernel {kernel!r} is not available on this machine: {library.reason}.",
                "The model runs with fp32, fp16 or int8.",
                "Install a C compiler (gcc or clang), or choose one of these kernels.",
            )
        self.spec, self.kernel = spec, kernel
        form = FORMATS[kernel]
        self._library = _declared(library.handle)
        self.pool = shared_pool(library.handle, threads)
        shape = _Shape(
            spec.dim,
            spec.n_layers,
            spec.n_heads,
            spec.ffn_dim,
            spec.n_codebooks * spec.cardinality,
            int(spec.crosses),
            form.weights,
            form.heads,
            form.block,
            form.cache,
            self.pool.threads,
            spec.norm_eps,
        )
        self._model = self._library.descant_new(self.pool.handle, ctypes.byref(shape))
        if not self._model:
            raise ModelError(
                f"There is no memory for the weights of a model of {spec.n_layers} layers of {spec.dim}.",
                "Nothing was loaded.",
                "Close other programmes, or choose a smaller model or a narrower kernel.",
            )
        self._free = weakref.finalize(self, release, self._library.descant_free, self._model, self.pool)
        self._lock = self.pool.lock
        self._rows = (_Row * MAX_ROWS)()
        self._padded = -(-spec.head_dim // _LANES) * _LANES

    def __deepcopy__(self, memo: object) -> NativeWeights:
        return self  # read-only, and shared by whoever runs on them

    @property
    def threads(self) -> int:
        """Threads that share a step, the caller's included."""
        return self.pool.threads

    @property
    def n_bytes(self) -> int:
        """Memory of the weights and of a step's scratch."""
        return int(self._library.descant_bytes(self._model))

    def packed(self) -> list[memoryview]:
        """All that was packed, as it lies in memory and may be written: the same bytes in another one of this
        spec and kernel are the same weights."""
        found = []
        for which in range(2):
            at = ctypes.c_void_p()
            size = self._library.descant_packed(self._model, which, ctypes.byref(at))
            assert at.value is not None
            found.append(memoryview((ctypes.c_uint8 * size).from_address(at.value)).cast("B"))
        return found

    def put_layer(self, index: int, layer: Layer) -> None:
        """Pack one layer's weights; the layer is not needed afterwards."""
        spec, heads = self.spec, self.spec.n_heads
        attention = layer.attention
        normed, inner = _usual(layer.norm_self), _usual(layer.norm_ffn)
        self._pack(index, _QKV, attention.qkv.weight, self._head_order(3), normed)
        self._pack(
            index, _OUT, attention.out.weight, None, _carried(attention.qkv.weight[-spec.dim :], normed)
        )
        self._pack(index, _UP, layer.ffn_in.weight, None, inner)
        self._pack(index, _DOWN, layer.ffn_out.weight, None, _carried(layer.ffn_in.weight, inner))
        self._norm(index, 0, layer.norm_self)
        self._norm(index, 2, layer.norm_ffn)
        if spec.crosses:
            assert layer.cross is not None and layer.norm_cross is not None and heads
            values = layer.cross.kv.weight[-spec.dim :].norm(dim=1)
            self._pack(index, _CROSS_Q, layer.cross.q.weight, self._head_order(1), _usual(layer.norm_cross))
            self._pack(index, _CROSS_OUT, layer.cross.out.weight, None, values)
            self._pack(index, _CROSS_KV, layer.cross.kv.weight, self._head_order(2))
            self._norm(index, 1, layer.norm_cross)

    def put_head(self, norm: torch.nn.LayerNorm, heads: Tensor) -> None:
        """Pack the final norm and the heads [K * cardinality, dim]."""
        self._norm(0, 3, norm)
        self._pack(0, _HEADS, heads, None, _usual(norm))

    def new_state(self, batch: int, capacity: int) -> LmState:
        """An empty stream, as MusicLm.new_state."""
        spec = self.spec
        slots = -(-capacity // _LANES) * _LANES
        row_bytes = spec.n_heads * int(self._library.descant_head_bytes(self._model, slots, 0))
        return LmState(batch, NativeCache(spec.n_layers, batch, row_bytes, slots, capacity, spec.context))

    def text_memory(
        self, states: Tensor, mask: Tensor | None, bias: Tensor | None = None, hide: bool = True
    ) -> TextMemory:
        """As step.text_memory. keys: one tensor of bytes, [R, layers, H, a head's keys and values]."""
        states, hidden = seen_text(states, mask, bias, hide)
        rows, tokens, _ = states.shape
        slots = -(-tokens // _LANES) * _LANES
        head = int(self._library.descant_head_bytes(self._model, slots, 1))
        memory = torch.zeros(rows, self.spec.n_layers, self.spec.n_heads, head, dtype=torch.uint8)
        away = torch.full((rows, 1, 1, slots), -torch.inf)  # slots beyond the text are never seen
        away[..., :tokens] = 0.0 if hidden is None else hidden
        states = states.detach().to(torch.float32).contiguous()
        with self._lock:
            for row in range(rows):
                self._done(
                    self._library.descant_text(
                        self._model, states[row].data_ptr(), tokens, slots, memory[row].data_ptr()
                    )
                )
        return TextMemory((memory,), (), away)

    def run(self, x: Tensor, state: LmState, want_logits: bool = True) -> Tensor | None:
        """One column of one stream, as StepRunner.run: x [B, dim] -> logits [B, K, cardinality]."""
        return self.run_batch([(x, state)], want_logits)[0]

    def run_batch(
        self, columns: Sequence[tuple[Tensor, LmState]], want_logits: bool = True
    ) -> list[Tensor | None]:
        """One column of each stream, as many `run`s but read once for all: the same logits to the bit.

        columns: (x [B, dim], its stream), no stream twice; x [B, S, dim]: S columns, the last one's logits.
        Beyond MAX_ROWS rows in all, several batches.
        """
        found: list[Tensor | None] = []
        waiting: list[tuple[Tensor, LmState]] = []
        rows = 0
        for x, state in columns:
            size = x.numel() // self.spec.dim
            if waiting and rows + size > MAX_ROWS:
                found += self._run_some(waiting, want_logits)
                waiting, rows = [], 0
            waiting.append((x, state))
            rows += size
        return found + self._run_some(waiting, want_logits) if waiting else found

    def run_many(self, x: Tensor, state: LmState) -> None:
        """Remember several positions at once, [B, S, dim] as in `run`: the same as S runs, to the bit."""
        cache = _native_cache(state)
        batch, length, _ = x.shape
        if cache.context is None:
            cache.room_for(length)
            some = length
        else:  # a column may not overwrite what another of the same call still sees
            some = cache.slots - cache.context + 1
        some = max(1, min(some, MAX_ROWS // batch))
        rope = self.spec.positions == "rope"
        for first in range(0, length, some):
            n = min(some, length - first)
            here = position_table(self.spec, cache.position, n)
            part = x[:, first : first + n]
            if not rope:
                part = part + here
            part = part.detach().to(torch.float32).contiguous()
            with self._lock:
                for s in range(n):
                    for b in range(batch):
                        row = self._rows[s * batch + b]
                        self._fill(row, part[b, s], here[s] if rope else None, None, state, b)
                        cache.place(row, cache.position + s)
                self._step(n * batch)
            cache.advance(n)

    def read_seconds(self) -> tuple[float, float]:
        """Seconds in which all threads read the weights once and nothing else; how many bytes these are."""
        with self._lock:
            return self._library.descant_read(self._model), self._library.descant_read_bytes(self._model)

    def _run_some(self, columns: list[tuple[Tensor, LmState]], want_logits: bool) -> list[Tensor | None]:
        spec = self.spec
        rope = spec.positions == "rope"
        total = sum(state.batch for _, state in columns)
        for x, state in columns:
            cache = _native_cache(state)
            if cache.context is None:
                cache.room_for(_length(x))
            if x.numel() > MAX_ROWS * spec.dim:
                raise ModelError(
                    f"A stream of {x.numel() // spec.dim} rows is too wide; allowed: 1 to {MAX_ROWS}.",
                    "Narrower streams run.",
                    "Split the stream, or choose a kernel that is not native.",
                )
        logits = torch.empty(total, spec.n_codebooks, spec.cardinality) if want_logits else None
        kept = []  # until the call is done
        with self._lock:
            row_at = at = 0
            for x, state in columns:
                cache, length = _native_cache(state), _length(x)
                here = position_row(spec, state)
                if length > 1:
                    here = position_table(spec, cache.position, length)
                x = (x if rope else x + here).detach().to(torch.float32).contiguous()
                kept.append((x, here))
                for s in range(length):
                    column, rotation = (
                        (x, here) if x.dim() == 2 else (x[:, s], here if length == 1 else here[s])
                    )
                    last = logits is not None and s == length - 1
                    for b in range(state.batch):
                        row = self._rows[row_at]
                        out = logits[at + b] if last and logits is not None else None
                        self._fill(row, column[b], rotation if rope else None, out, state, b)
                        cache.place(row, cache.position + s)
                        row_at += 1
                at += state.batch
            self._step(row_at)
        found: list[Tensor | None] = []
        at = 0
        for x, state in columns:
            state.cache.advance(_length(x))
            found.append(None if logits is None else logits[at : at + state.batch])
            at += state.batch
        return found

    def _fill(
        self, row: _Row, x: Tensor, rotation: Tensor | None, logits: Tensor | None, state: LmState, index: int
    ) -> None:
        """A row of a call, but for its position; index: which of its stream's rows it is."""
        cache, text = _native_cache(state), state.text
        row.x = x.data_ptr()
        row.rotation = None if rotation is None else rotation.data_ptr()
        row.logits = None if logits is None else logits.data_ptr()
        row.cache, row.cache_stride = cache.address + index * cache.row_bytes, cache.stride
        row.text = None
        row.text_slots = 0
        if text.keys:
            memory, hidden = text.keys[0], text.hidden
            if text.values or hidden is None:
                raise other_kernel()
            if index < memory.shape[0]:
                row.text, row.text_stride = memory.data_ptr() + index * memory.stride(0), memory.stride(1)
                row.bias = hidden.data_ptr() + 4 * index * hidden.stride(0)
                row.text_slots = hidden.shape[3]

    def _step(self, rows: int) -> None:
        self._done(self._library.descant_step(self._model, self._rows, rows))

    def _done(self, code: int) -> None:
        if code:
            raise ModelError(
                "There is no memory for a step of a stream this long.",
                "The streams are unchanged.",
                "Close other programmes, or make the streams shorter.",
            )

    def _head_order(self, parts: int) -> Tensor:
        """Which row of a matrix [parts * dim] each packed output is: [H, parts, padded head], -1: none."""
        spec = self.spec
        order = torch.full((spec.n_heads, parts, self._padded), -1, dtype=torch.int32)
        rows = torch.arange(parts * spec.dim, dtype=torch.int32).view(parts, spec.n_heads, spec.head_dim)
        order[..., : spec.head_dim] = rows.transpose(0, 1)
        return order

    def _pack(
        self, layer: int, kind: int, weight: Tensor, order: Tensor | None = None, usual: Tensor | None = None
    ) -> None:
        """usual: how large each input is expected to be, or None where nothing is known of them."""
        weight = weight.detach().to("cpu", torch.float32).contiguous()
        if FORMATS[self.kernel].weights == _FP16 and not bool(weight.abs().max() <= FP16_MAX):
            raise ModelError(
                f"A weight of this model is beyond {FP16_MAX:.0f}, the largest number in half precision.",
                "Nothing was loaded.",
                "Choose another kernel; native-bf16 is as quick and holds any size.",
            )
        if usual is not None:
            usual = usual.detach().to("cpu", torch.float32).contiguous()
        if order is None:
            order = torch.arange(-(-weight.shape[0] // _LANES) * _LANES, dtype=torch.int32)
            order[weight.shape[0] :] = -1
        order = order.contiguous()
        self._library.descant_pack(
            self._model,
            layer,
            kind,
            weight.data_ptr(),
            weight.shape[0],
            order.data_ptr(),
            None if usual is None else usual.data_ptr(),
        )

    def _norm(self, layer: int, which: int, norm: torch.nn.LayerNorm) -> None:
        weight, bias = (
            value.detach().to("cpu", torch.float32).contiguous() for value in (norm.weight, norm.bias)
        )
        self._library.descant_norm(self._model, layer, which, weight.data_ptr(), bias.data_ptr())


def _usual(norm: torch.nn.LayerNorm) -> Tensor:
    """[dim] root mean squares of what a norm gives: its own scales and shifts tell, whatever comes in."""
    return torch.hypot(norm.weight.detach(), norm.bias.detach())


def _carried(weight: Tensor, usual: Tensor) -> Tensor:
    """[out] root mean squares of weight [out, in] times inputs as large as `usual`, were they independent."""
    return (weight.detach().square() @ usual.square()).sqrt()


def _length(x: Tensor) -> int:
    """How many columns of a stream x [B, dim] or [B, S, dim] holds."""
    return 1 if x.dim() == 2 else x.shape[1]


def _native_cache(state: LmState) -> NativeCache:
    if not isinstance(state.cache, NativeCache):
        raise other_kernel()
    return state.cache


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of its functions (see step.c)."""
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    for name, result, arguments in (
        ("descant_new", pointer, [pointer, pointer]),
        ("descant_free", None, [pointer]),
        ("descant_bytes", ctypes.c_int64, [pointer]),
        ("descant_head_bytes", ctypes.c_int64, [pointer, number, number]),
        ("descant_pack", None, [pointer, number, number, pointer, number, pointer, pointer]),
        ("descant_packed", ctypes.c_int64, [pointer, number, pointer]),
        ("descant_norm", None, [pointer, number, number, pointer, pointer]),
        ("descant_step", number, [pointer, pointer, number]),
        ("descant_text", number, [pointer, pointer, number, number, pointer]),
        ("descant_read", ctypes.c_double, [pointer]),
        ("descant_read_bytes", ctypes.c_double, [pointer]),
        ("descant_functions", None, [pointer, number, pointer, pointer]),
        ("descant_machine", ctypes.c_char_p, []),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
