"""How an EnCodec decoder lies in the native library: buffers, operations, packed weights, states.

See csrc/frame.c. Knows nothing about the library itself. B batch, C channels, T time.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from descant.model.codec.convolutions import Conv, ConvState, ConvTranspose, ConvTransposeState
from descant.model.codec.lstm import LstmState, ResidualLstm
from descant.model.codec.stages import Elu, Residual, ResidualState, Sequence, SequenceState

LANES = 16
CONVOLVE, LSTM, SOUND = range(3)


class Buffer(ctypes.Structure):
    """As in frame.c: rows of before, rows of a frame, width; where its rows of before are in a state."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("before", "rows", "width", "batch")),
        ("at", ctypes.c_int64),
        ("data", ctypes.c_void_p),
    ]


class Stage(ctypes.Structure):
    """As in frame.c."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weights", "bias")),
        *((name, ctypes.c_int32) for name in ("kind", "format", "inputs", "outs", "source", "rows")),
        *((name, ctypes.c_int32) for name in ("to", "bent", "skip", "cell")),
    ]


@dataclass
class FrameState:
    """A stream between its start and its end. flat: [B, n], what its buffers hold of before.

    shape: the stages' state when they handed over; frames: how many were run since.
    """

    flat: Tensor
    shape: SequenceState
    frames: int = 0

    def clone(self) -> FrameState:
        """A copy that later frames of the original do not change."""
        return replace(self, flat=self.flat.clone())


@dataclass(frozen=True)
class _Memory:
    """What one stage remembers: where its state is, its buffers, its channels, its inputs a frame."""

    path: tuple[int, ...]
    stage: nn.Module
    buffers: tuple[int, ...]
    channels: int
    rows: int


@dataclass
class FramePlan:
    """A decoder laid out. matrices: each stage's weight [outs, inputs] and bias [outs], padded, float32.

    numbers: of a row's state. hop, channels: of the wave.
    """

    buffers: list[Buffer] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    matrices: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    numbers: int = 0
    hop: int = 1
    channels: int = 1
    _memories: list[_Memory] = field(default_factory=list)

    def enter(self, state: SequenceState) -> FrameState | None:
        """What the stages remember, once their start is behind them; before that None."""
        flat = None
        for memory in self._memories:
            found = _read(memory, _at(state, memory.path), [self.buffers[n].before for n in memory.buffers])
            if found is None:
                return None
            for number, rows in zip(memory.buffers, found):  # [B, C, before]
                buffer = self.buffers[number]
                if flat is None:
                    flat = rows.new_zeros(rows.shape[0], self.numbers)
                self._place(flat, buffer)[..., : memory.channels] = rows.transpose(1, 2)
        return None if flat is None else FrameState(flat, state.clone())

    def leave(self, state: FrameState) -> SequenceState:
        """The stages' state after the frames that were run: they can go on, or end the stream."""
        whole = state.shape.clone()
        for memory in self._memories:
            rows = [
                self._place(state.flat, self.buffers[n])[..., : memory.channels].transpose(1, 2).contiguous()
                for n in memory.buffers
            ]
            _write(memory, _at(whole, memory.path), rows, state.frames * memory.rows)
        return whole

    def _place(self, flat: Tensor, buffer: Buffer) -> Tensor:
        """A buffer's rows of before in a state: [B, before, width], a view."""
        stretch = flat[:, buffer.at : buffer.at + buffer.before * buffer.width]
        return stretch.view(flat.shape[0], buffer.before, buffer.width)

    def _buffer(self, before: int, rows: int, width: int) -> int:
        width = padded(width)
        self.buffers.append(Buffer(before, rows, width, 0, self.numbers, None))
        self.numbers += before * width
        return len(self.buffers) - 1

    def _stage(self, kind: int, matrix: tuple[Tensor, Tensor], source: int, rows: int, **where: int) -> None:
        places = {"to": -1, "bent": -1, "skip": -1, "cell": -1} | where
        outs, inputs = matrix[0].shape
        self.stages.append(Stage(None, None, kind, 0, inputs, outs, source, rows, *places.values()))
        self.matrices.append(matrix)

    def _remember(
        self, path: tuple[int, ...], stage: nn.Module, channels: int, rows: int, *buffers: int
    ) -> None:
        self._memories.append(_Memory(path, stage, buffers, channels, rows))

    def _for_next(self, stages: list[Any], index: int, rows: int, width: int) -> dict[str, int]:
        """Buffers for what stage `index` reads: `to` as it is, `bent` after its ELU."""
        stage = stages[index]
        if isinstance(stage, Residual):
            wait = 0 if isinstance(stage.skip, Conv) else _wait(stage)
            first = stage.branch.stages[1]
            assert isinstance(first, Conv)
            return {"to": self._buffer(wait, rows, width), "bent": self._buffer(first.span - 1, rows, width)}
        following = stages[index + 1]
        before = 1 if isinstance(following, ConvTranspose) else following.span - 1
        return {"bent": self._buffer(before, rows, width)}


def fits(decoder: Sequence) -> bool:
    """Whether the library runs such a decoder: convolutions of stride 1, upsampling by half its kernel."""
    for module in decoder.modules():
        if isinstance(module, Conv):
            known = type(module) is Conv and (module.stride, module.dilation) == (1, 1)
        else:
            known = not isinstance(module, ConvTranspose) or (
                type(module) is ConvTranspose and module.overlap == module.stride
            )
        if not known:
            return False
    kinds = "".join(_letter(stage) for stage in decoder.stages)
    inner = kinds[2:-2]
    ups = inner.split("EU")
    return kinds[:2] == "CL" and kinds[-2:] == "EC" and not ups[0] and all(set(up) <= {"R"} for up in ups[1:])


def _letter(stage: nn.Module) -> str:
    if isinstance(stage, Residual):
        branch = [type(part) for part in stage.branch.stages]
        plain = isinstance(stage.skip, nn.Identity | Conv)
        return "R" if branch == [Elu, Conv, Elu, Conv] and plain else "?"
    letters = {Conv: "C", ConvTranspose: "U", Elu: "E", ResidualLstm: "L"}
    return letters.get(type(stage), "?")


def plan_frame(decoder: Sequence) -> FramePlan:
    """A decoder that fits, laid out."""
    plan = FramePlan()
    stages: list[Any] = list(decoder.stages)
    first, lstm = stages[0], stages[1]
    latent = plan._buffer(first.span - 1, 1, first.weight.shape[1])
    heard = plan._buffer(0, 1, lstm.dim)
    plan._remember((0,), first, first.weight.shape[1], 1, latent)
    plan._stage(CONVOLVE, _window(first), latent, 1, to=heard)
    source, kept = heard, []
    hidden = [plan._buffer(1, 1, lstm.dim) for _ in range(lstm.n_layers)]
    cells = [plan._buffer(1, 1, lstm.dim) for _ in range(lstm.n_layers)]
    where = plan._for_next(stages, 2, 1, lstm.dim)
    for layer in range(lstm.n_layers):
        end = {"skip": heard, **where} if layer == lstm.n_layers - 1 else {}
        end |= {"to": hidden[layer], "cell": cells[layer]}
        plan._stage(LSTM, _gates(lstm, layer), source, 1, **end)
        source = hidden[layer]
        kept += [hidden[layer], cells[layer]]
    plan._remember((1,), lstm, lstm.dim, 1, *kept)
    index, rows = 2, 1
    while index < len(stages) - 2:
        stage, source = stages[index], where["bent"]
        if isinstance(stage, Elu):
            up = stages[index + 1]
            plan._remember((index + 1,), up, up.weight.shape[0], rows, source)
            where = plan._for_next(stages, index + 2, rows * up.stride, up.weight.shape[1])
            plan._stage(CONVOLVE, _spread(up), source, rows, **where)
            rows, index = rows * up.stride, index + 2
            continue
        _, inner, _, outer = stage.branch.stages
        skip = where["to"]
        if isinstance(stage.skip, Conv):
            after = plan._buffer(_wait(stage), rows, stage.dim)
            plan._stage(CONVOLVE, _window(stage.skip), skip, rows, to=after)
            skip = after
        narrow = plan._buffer(0, rows, inner.weight.shape[0])
        plan._stage(CONVOLVE, _window(inner), source, rows, bent=narrow)
        where = plan._for_next(stages, index + 1, rows, stage.dim)
        plan._stage(CONVOLVE, _window(outer), narrow, rows, skip=skip, **where)
        plan._remember((index, 1), inner, inner.weight.shape[1], rows, source)
        plan._remember((index, 3), outer, inner.weight.shape[0], rows, narrow)
        plan._remember((index,), stage, stage.dim, rows, skip)
        index += 1
    last = stages[-1]
    plan._remember((len(stages) - 1,), last, last.weight.shape[1], rows, where["bent"])
    plan._stage(SOUND, _window(last, pad_outs=False), where["bent"], rows)
    plan.hop, plan.channels = rows, last.weight.shape[0]
    return plan


def tiles(stage: Stage, weight: Tensor) -> Tensor:
    """A weight [outs, inputs] as frame.c reads it: [outs / columns, inputs, columns]; sound's as it is."""
    outs, inputs = weight.shape
    if stage.kind == SOUND:
        return weight
    columns = next(n for n in (64, 32, 16) if outs % n == 0)
    return weight.view(outs // columns, columns, inputs).transpose(1, 2).contiguous()


def padded(width: int) -> int:
    """A width as buffers have it: whole vectors."""
    return -(-width // LANES) * LANES


def _window(conv: Conv, pad_outs: bool = True) -> tuple[Tensor, Tensor]:
    """A convolution as a product with its window [kernel, channels]."""
    outs, ins, kernel = conv.weight.shape
    weight = conv.weight.new_zeros(padded(outs) if pad_outs else outs, kernel, padded(ins))
    weight[:outs, :, :ins] = conv.weight.detach().transpose(1, 2)
    bias = conv.bias.new_zeros(weight.shape[0])
    bias[:outs] = conv.bias.detach()
    return weight.flatten(1), bias


def _spread(up: ConvTranspose) -> tuple[Tensor, Tensor]:
    """A transposed convolution as a product with two inputs, earlier first: [stride, channels] outputs."""
    ins, outs, _ = up.weight.shape
    late, early = up.weight.detach().split(up.stride, dim=2)  # what an input adds at once, and one later
    weight = up.weight.new_zeros(up.stride, padded(outs), 2, padded(ins))
    weight[:, :outs, 0, :ins] = early.permute(2, 1, 0)
    weight[:, :outs, 1, :ins] = late.permute(2, 1, 0)
    bias = up.bias.new_zeros(up.stride, padded(outs))
    bias[:, :outs] = up.bias.detach()
    return weight.flatten(2).flatten(0, 1), bias.flatten()


def _gates(lstm: ResidualLstm, layer: int) -> tuple[Tensor, Tensor]:
    """A layer's gates as a product with its input and its last output: [units / 16, gate, 16] outputs."""
    names = (f"{name}_l{layer}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    weight_ih, weight_hh, bias_ih, bias_hh = (lstm.lstm.get_parameter(name).detach() for name in names)
    dim, wide = lstm.dim, padded(lstm.dim)
    weight = weight_ih.new_zeros(4, wide, 2, wide)
    weight[:, :dim, 0, :dim] = weight_ih.view(4, dim, dim)
    weight[:, :dim, 1, :dim] = weight_hh.view(4, dim, dim)
    bias = bias_ih.new_zeros(4, wide)
    bias[:, :dim] = (bias_ih + bias_hh).view(4, dim)
    weight = weight.view(4, wide // LANES, LANES, 2 * wide).transpose(0, 1)
    return weight.reshape(4 * wide, 2 * wide), bias.view(4, -1, LANES).transpose(0, 1).reshape(-1)


def _wait(residual: Residual) -> int:
    """By how many outputs a residual's branch lags behind its skip."""
    return sum(stage.right for stage in residual.branch.stages if isinstance(stage, Conv))


def _at(state: SequenceState, path: tuple[int, ...]) -> Any:
    found: Any = state.parts[path[0]]
    return found if len(path) == 1 else found.branch.parts[path[1]]


def _read(memory: _Memory, state: Any, before: list[int]) -> list[Tensor] | None:
    """What a stage remembers, as its buffers hold it: [B, C, before]; None at the stream's start."""
    if isinstance(state, LstmState):
        pairs = zip(state.hidden, state.cell)
        return [value.unsqueeze(2) for pair in pairs for value in pair]
    if isinstance(state, ConvTransposeState):
        stage = memory.stage
        assert isinstance(stage, ConvTranspose)
        return [state.last] if state.n_in * stage.stride >= stage.left and state.n_in else None
    if isinstance(state, ResidualState):
        return [state.waiting] if state.waiting.shape[-1] == before[0] else None
    assert isinstance(state, ConvState) and isinstance(memory.stage, Conv)
    due = state.n_in + memory.stage.left - memory.stage.span + 1  # outputs once the stream runs
    if not state.started or state.n_out != due or state.buffer.shape[-1] < before[0]:
        return None
    return [state.buffer[..., state.buffer.shape[-1] - before[0] :]]


def _write(memory: _Memory, state: Any, rows: list[Tensor], inputs: int) -> None:
    """The reverse of _read, in a state of its own; inputs: how many came since it was read."""
    if isinstance(state, LstmState):
        state.hidden = [value[..., 0] for value in rows[::2]]
        state.cell = [value[..., 0] for value in rows[1::2]]
    elif isinstance(state, ConvTransposeState):
        assert isinstance(memory.stage, ConvTranspose)
        state.last, state.n_in = rows[0], state.n_in + inputs
        state.tail = memory.stage.tail_of(rows[0])
    elif isinstance(state, ResidualState):
        state.waiting = rows[0]
    else:
        state.buffer, state.n_in, state.n_out = rows[0], state.n_in + inputs, state.n_out + inputs
