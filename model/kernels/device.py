"""A decoder's weights on a GPU, and the streams that run on them, a column a launch.

The same doors as StepRunner. Embeddings and draws stay on the processor, with all else that decides what
plays: a column takes `dim` numbers there and brings its logits back, 64 kB in one copy, and the same logits
give the same music on every machine. Knows nothing about sampling, guidance or frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from descant.model.errors import ModelError
from descant.model.kernels.device_column import (
    DeviceLayer,
    DeviceText,
    Place,
    device_layer,
    run_columns,
    text_of,
)
from descant.model.kernels.replay import Replay
from descant.model.lm.kv_cache import Ring
from descant.model.lm.positions import rope_table
from descant.model.lm.step import LmState, TextMemory, other_kernel, position_row, position_table, seen_text
from descant.model.spec import LmSpec

if TYPE_CHECKING:
    from descant.model.lm.linear import DeviceKernel
    from descant.model.lm.transformer import Layer

_TEXT_STEP = 16  # texts are padded to so many tokens: a recording serves all of one length
_CHUNK = 256  # columns run at once in run_many


class DeviceCache(Ring):
    """One stream's keys and values [layers, B, H, W, head_dim], and all that its columns read and write."""

    def __init__(
        self, spec: LmSpec, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__(capacity, spec.context)
        self.slots = -(-capacity // _TEXT_STEP) * _TEXT_STEP
        shape = (spec.n_layers, batch, spec.n_heads, self.slots, spec.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.x = torch.zeros(batch, 1, spec.dim, device=device)
        self.logits = torch.zeros(batch, spec.n_codebooks * spec.cardinality, device=device)
        self.place = self.places(spec, 1)
        self.texts: dict[tuple[int, int], DeviceText] = {}  # by rows and tokens: what recordings read
        self.replays: dict[tuple[int, int], Replay] = {}
        self.seen: TextMemory | None = None  # whose numbers lie in `texts`

    def places(self, spec: LmSpec, n: int) -> Place:
        """Where the next n columns go and what they see, on the device."""
        position = torch.arange(self.position, self.position + n)
        seen = (position - self.first + 1).clamp(max=self.context or self.slots)[:, None]
        slots = position % self.slots
        device = self.keys.device
        turn = None
        if spec.positions == "rope":
            cos, sin = rope_table(position, spec.head_dim)
            turn = (cos.to(device), sin.to(device))
        return Place(slots.to(device), slots[:, None].to(device), seen.to(device), turn)


class DeviceWeights:
    """All layers, the final norm and the heads on a device, read by any number of streams.

    Made empty; put_layer and put_head fill it, so that full weights need not be there all at once. device:
    None: the GPU, or ModelError where there is none that torch can use.
    """

    def __init__(
        self,
        spec: LmSpec,
        kernel: DeviceKernel = "cuda-fp16",
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        if device is None and not torch.cuda.is_available():
            raise ModelError(
                f"Kernel {kernel!r} needs a GPU that torch can use; there is none here.",
                "The model runs on the processor, with any other kernel.",
                "Install a torch that was built for your GPU (pytorch.org), or choose another kernel.",
            )
        self.spec, self.kernel, self.dtype = spec, kernel, dtype
        self.device = device if device is not None else torch.device("cuda")
        self._layers: list[DeviceLayer] = []
        self._norm: tuple[Tensor, Tensor] | None = None
        self._heads: Tensor | None = None

    def __deepcopy__(self, memo: object) -> DeviceWeights:
        return self  # read-only, and shared by whoever runs on them

    def put_layer(self, index: int, layer: Layer) -> None:
        """Copy the next layer's weights there; the layer is not needed afterwards."""
        assert index == len(self._layers)
        self._layers.append(device_layer(layer, self.device, self.dtype))

    def put_head(self, norm: torch.nn.LayerNorm, heads: Tensor) -> None:
        """Copy the final norm and the heads [K * cardinality, dim]."""
        self._norm = (norm.weight.detach().to(self.device), norm.bias.detach().to(self.device))
        self._heads = heads.detach().to(self.device, self.dtype)

    def new_state(self, batch: int, capacity: int) -> LmState:
        """An empty stream, as MusicLm.new_state."""
        return LmState(batch, DeviceCache(self.spec, batch, capacity, self.device, self.dtype))

    def text_memory(
        self, states: Tensor, mask: Tensor | None, bias: Tensor | None = None, hide: bool = True
    ) -> TextMemory:
        """As step.text_memory. keys and values: a layer each, [R, H, L, head_dim], L padded to sixteens."""
        states, hidden = seen_text(states, mask, bias, hide)
        rows, tokens, dim = states.shape
        padded = -(-tokens // _TEXT_STEP) * _TEXT_STEP
        whole = torch.zeros(rows, padded, dim)
        whole[:, :tokens] = states.detach().float()
        away = torch.full((rows, 1, 1, padded), -torch.inf)
        away[..., :tokens] = 0.0 if hidden is None else hidden
        text = text_of(self.spec, self._layers, whole.to(self.device), away.to(self.device))
        return TextMemory(text.keys, text.values, text.hidden)

    def run(self, x: Tensor, state: LmState, want_logits: bool = True) -> Tensor | None:
        """One column of one stream, as StepRunner.run: x [B, dim] -> logits [B, K, cardinality], there."""
        spec, cache = self.spec, _device_cache(state)
        if cache.context is None:
            cache.room_for(1)
        if spec.positions != "rope":
            x = x + position_row(spec, state)
        cache.x.copy_(x.detach().to(torch.float32)[:, None])
        _move(cache.place, cache.places(spec, 1))
        self._replay(cache, state.text)()
        cache.advance(1)
        if not want_logits:
            return None
        return cache.logits.to("cpu", copy=True).view(state.batch, spec.n_codebooks, spec.cardinality)

    def run_many(self, x: Tensor, state: LmState) -> None:
        """Remember several positions at once, [B, S, dim] as in `run`; without a finite context only."""
        spec, cache = self.spec, _device_cache(state)
        for first in range(0, x.shape[1], _CHUNK):
            part = x[:, first : first + _CHUNK].detach().to(torch.float32)
            n = part.shape[1]
            if cache.context is None:
                cache.room_for(n)
            elif n > cache.slots - cache.context + 1:
                raise other_kernel()
            if spec.positions != "rope":
                part = part + position_table(spec, cache.position, n)
            text = DeviceText(state.text.keys, state.text.values, state.text.hidden)
            place = cache.places(spec, n)
            run_columns(spec, self._layers, part.to(self.device), (cache.keys, cache.values), text, place)
            cache.advance(n)

    def _replay(self, cache: DeviceCache, text: TextMemory) -> Replay:
        """The recorded column for texts of that shape, with this text in its place."""
        key = (text.keys[0].shape[0], text.keys[0].shape[2]) if text.keys else (0, 0)
        if cache.seen is not text and text.keys:
            assert text.hidden is not None
            given = (*text.keys, *text.values, text.hidden)
            if key in cache.texts:
                kept = cache.texts[key]
                for ours, theirs in zip((*kept.keys, *kept.values, kept.hidden), given, strict=True):
                    assert ours is not None
                    ours.copy_(theirs)
            else:
                n = len(text.keys)
                fixed = [part.clone() for part in given]
                cache.texts[key] = DeviceText(tuple(fixed[:n]), tuple(fixed[n:-1]), fixed[-1])
        cache.seen = text
        if key not in cache.replays:
            caches, kept = (cache.keys, cache.values), cache.texts.get(key, DeviceText())
            x, place, logits = cache.x, cache.place, cache.logits  # not the cache: it would hold itself
            cache.replays[key] = Replay(lambda: self._column(x, caches, kept, place, logits), self.device)
        return cache.replays[key]

    def _column(
        self, x: Tensor, caches: tuple[Tensor, Tensor], text: DeviceText, place: Place, logits: Tensor
    ) -> None:
        """x [B, 1, dim] -> logits [B, K * cardinality], in place."""
        assert self._norm is not None and self._heads is not None
        spec = self.spec
        x = run_columns(spec, self._layers, x, caches, text, place)
        y = F.layer_norm(x[:, 0], (spec.dim,), *self._norm, spec.norm_eps)
        logits.copy_(F.linear(y.to(self.dtype), self._heads))


def _move(here: Place, there: Place) -> None:
    """Let fixed tensors hold what others hold."""
    pairs = [(here.slots, there.slots), (here.newest, there.newest), (here.seen, there.seen)]
    if here.turn is not None and there.turn is not None:
        pairs += list(zip(here.turn, there.turn, strict=True))
    for ours, theirs in pairs:
        ours.copy_(theirs)


def _device_cache(state: LmState) -> DeviceCache:
    if not isinstance(state.cache, DeviceCache):
        raise other_kernel()
    return state.cache
