"""EnCodec's decoder in the native library: a frame in one call, between a stream's start and its end.

The same function as its stages, with weights as float32 or as binary16. A stream's start and end, where
edges are mirrored, run on the stages; `enter` and `leave` hand over. B batch, C channels, T time.
"""

from __future__ import annotations

import ctypes
import threading
import weakref

import torch
from torch import Tensor

from descant.model.codec.stages import Sequence, SequenceState
from descant.model.errors import ModelError
from descant.model.kernels.build import load
from descant.model.kernels.frame_plan import (
    SOUND,
    Buffer,
    FramePlan,
    FrameState,
    Stage,
    fits,
    plan_frame,
    tiles,
)
from descant.model.kernels.pool import release, shared_pool
from descant.model.lm.kv_cache import huge_zeros
from descant.model.lm.linear import FP16_MAX

_WHOLE, _HALF = range(2)
_ALIGN = 64
_AHEAD = 4096  # bytes that prefetches may run over the end of the weights


class FrameDecoder:
    """A decoder's weights, packed, read by any number of streams.

    half: weights as binary16, where they fit. threads: see kernels/pool.py. Raises ModelError where the
    library is not to be had or the decoder is none that it runs.
    """

    def __init__(self, decoder: Sequence, half: bool, threads: int | None = None) -> None:
        library = load()
        if library.handle is None or not fits(decoder):
            why = library.reason or "it does not know all stages of this decoder"
            raise ModelError(
                f"The codec cannot run in the native library: {why}.",
                "It runs on torch.",
                "Install a C compiler (gcc or clang), or leave the kernel out.",
            )
        self._library = _declared(library.handle)
        self.pool = shared_pool(library.handle, threads)
        self._plan = plan = plan_frame(decoder)
        self._weights = _pack(plan, half)
        self._stages = (Stage * len(plan.stages))(*plan.stages)
        self._buffers = (Buffer * len(plan.buffers))(*plan.buffers)
        self._codecs: dict[int, int] = {}  # scratch, by batch
        self._making = threading.Lock()

    def __deepcopy__(self, memo: object) -> FrameDecoder:
        return self  # read-only, and shared by whoever runs on it

    @property
    def n_bytes(self) -> int:
        """Memory of the weights."""
        return self._weights.nbytes

    def enter(self, state: SequenceState) -> FrameState | None:
        """What the stages remember, once their start is behind them: frames run here; before that None."""
        return self._plan.enter(state)

    def leave(self, state: FrameState) -> SequenceState:
        """The stages' state at this place: they can go on, or end the stream."""
        return self._plan.leave(state)

    def run(self, latent: Tensor, state: FrameState) -> Tensor:
        """One frame: latent [B, C, 1] -> wave [B, channels, hop]; the state goes on."""
        batch, width, _ = latent.shape
        rows = latent.new_zeros(batch, self._plan.buffers[0].width)
        rows[:, :width] = latent[..., 0]
        wave = torch.empty(batch, self._plan.channels, self._plan.hop)
        codec = self._codecs.get(batch) or self._codec(batch)
        with self.pool.lock:
            self._library.descant_codec_frame(codec, rows.data_ptr(), state.flat.data_ptr(), wave.data_ptr())
        state.frames += 1
        return wave

    def _codec(self, batch: int) -> int:
        with self._making:
            if batch not in self._codecs:
                made = self._library.descant_codec_new(
                    *(self.pool.handle, self._stages, len(self._stages), self._buffers, len(self._buffers)),
                    *(batch, self._plan.channels, self._plan.hop, self._plan.numbers),
                )
                if not made:
                    raise ModelError(
                        f"There is no memory for a codec of {batch} rows.",
                        "The streams are unchanged.",
                        "Close other programmes, or decode fewer at once.",
                    )
                weakref.finalize(self, release, self._library.descant_codec_free, made, self.pool)
                self._codecs[batch] = made
            return self._codecs[batch]


def _pack(plan: FramePlan, half: bool) -> Tensor:
    """All weights and biases in one stretch of memory, in the order in which a frame reads them."""
    sizes = []
    for stage, (weight, bias) in zip(plan.stages, plan.matrices, strict=True):
        narrow = half and stage.kind != SOUND and bool(weight.abs().max() <= FP16_MAX)
        stage.format = _HALF if narrow else _WHOLE
        sizes.append((_room(weight.numel() * (2 if narrow else 4)), _room(4 * bias.numel())))
    arena = huge_zeros((sum(map(sum, sizes)) + _AHEAD) // 4)
    room, at = arena.view(torch.uint8), 0
    for stage, (weight, bias), (size, more) in zip(plan.stages, plan.matrices, sizes, strict=True):
        packed = tiles(stage, weight).to(torch.float16 if stage.format == _HALF else torch.float32).flatten()
        room[at : at + packed.nbytes] = packed.view(torch.uint8)
        room[at + size : at + size + bias.nbytes] = bias.view(torch.uint8)
        stage.weights, stage.bias = room[at:].data_ptr(), room[at + size :].data_ptr()
        at += size + more
    plan.matrices.clear()
    return arena


def _room(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of its functions (see frame.c)."""
    pointer, number, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    for name, result, arguments in (
        (
            "descant_codec_new",
            pointer,
            [pointer, pointer, number, pointer, number, number, number, number, size],
        ),
        ("descant_codec_free", None, [pointer]),
        ("descant_codec_frame", None, [pointer, pointer, pointer, pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
