"""Columns as a GPU runs them: here on the processor, the same function; nothing is read back on the way.

What only a GPU can show is asked of one where there is one.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.model import ModelError, Sampling, tiny_model
from descant.model.kernels.device import DeviceWeights
from descant.model.kernels.device_column import DeviceText, Place, device_layer, run_columns, text_of
from descant.model.kernels.replay import Replay
from descant.model.lm.linear import DEVICE_KERNELS
from tests.model.lm_kit import SHAPES, TEXT, begin, column, make_inputs, make_lm, step_through

CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")


def on_device(lm, device=CPU, dtype=torch.float32):
    """The model's columns on a device, as a GPU kernel runs them."""
    weights = DeviceWeights(lm.spec, device=device, dtype=dtype)
    for index, layer in enumerate(lm.layers):
        weights.put_layer(index, layer)
    weights.put_head(lm.norm, lm.heads.weight)
    lm.use_packed(weights)
    return lm


def close(found, wanted, tolerance):
    return (found - wanted).norm() / wanted.norm() < tolerance


@pytest.mark.parametrize(
    ("shape", "dtype", "tolerance"),
    [*((shape, torch.float32, 1e-5) for shape in SHAPES), ("rope, context", torch.float16, 5e-3)],
)
def test_steps_equal_the_whole_around_the_ring_and_after_rewinds(shape, dtype, tolerance):
    lm = make_lm(**SHAPES[shape])
    context = lm.spec.context
    tokens, inputs = make_inputs(lm, 2, 60)
    full = lm(tokens, inputs)
    on_device(lm, dtype=dtype)
    state = begin(lm, 2, 60 if context is None else context + 5, inputs)
    steps = step_through(lm, state, tokens, inputs, range(60))
    assert close(steps, full, tolerance)
    for back in (5, 1):
        state.rewind(back)
        first = state.position
        again = step_through(lm, state, tokens, inputs, range(first, 60))
        assert torch.equal(again, steps[:, :, first:])


@given(walk=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=6), windowed=st.booleans())
@settings(max_examples=20, deadline=None)
def test_any_walk_of_steps_prefills_texts_and_rewinds_stays_on_the_whole(walk, windowed):
    lm = make_lm(**({"positions": "rope", "context": 11} if windowed else {}))
    tokens, inputs = make_inputs(lm, 2, 90)
    full = lm(tokens, inputs)
    on_device(lm)
    state = begin(lm, 2, 17 if windowed else 90, inputs)
    for steps, back in walk:
        first = state.position
        if steps % 2:
            beat = inputs.controls["beat"][:, first : first + steps]
            lm.prefill(tokens[:, :, first : first + steps], beat, state)
        else:
            out = step_through(lm, state, tokens, inputs, range(first, first + steps))
            assert (out - full[:, :, first : first + steps]).abs().max() < 1e-4
        state.rewind(min(back, state.position - state.cache.earliest))
        lm.set_text(state, inputs.text, inputs.text_mask)  # the same again, as other tensors
    last = state.position
    out = step_through(lm, state, tokens, inputs, [last])
    assert (out - full[:, :, last : last + 1]).abs().max() < 1e-4


def test_texts_of_other_lengths_and_none_follow_each_other():
    lm, plain = on_device(make_lm()), make_lm()
    tokens, inputs = make_inputs(lm, 2, 12)
    long = torch.randn(2, 40, TEXT, generator=torch.Generator().manual_seed(5))
    states = [begin(one, 2, 12, inputs) for one in (lm, plain)]
    for s, text in enumerate([inputs.text, long, None, inputs.text, None, long, long[:, :17], inputs.text]):
        found = []
        for one, state in zip((lm, plain), states, strict=True):
            one.set_text(state, text)
            found.append(one.step(*column(inputs, tokens, s), state))
        assert (found[0] - found[1]).abs().max() < 1e-4
    assert set(states[0].cache.replays) == {(0, 0), (2, 16), (2, 32), (2, 48)}  # each recorded once


def test_a_stream_of_music_is_the_same_music():
    pieces = []
    for run in (lambda lm: lm, on_device):
        model = tiny_model()
        run(model.lm)
        stream = model.stream(text="calm jazz", seed=3, sampling=Sampling(temperature=0.0, guidance=2.0))
        pieces.append(torch.stack([stream.step() for _ in range(40)]))
    assert (pieces[0] - pieces[1]).abs().max() < 1e-5


def test_nothing_is_read_back_on_the_way():
    """On tensors without numbers, whatever asks for one fails: a recording has nowhere to ask."""
    meta = torch.device("meta")
    for shape in ("tiny", "rope, context"):
        lm = make_lm(**SHAPES[shape])
        spec = lm.spec
        layers = [device_layer(layer, meta, torch.float16) for layer in lm.layers]
        sizes = (spec.n_layers, 2, spec.n_heads, 32, spec.head_dim)
        keys, values = (torch.zeros(sizes, dtype=torch.float16, device=meta) for _ in range(2))
        one = torch.zeros(1, dtype=torch.int64, device=meta)
        turn = torch.zeros(1, spec.head_dim // 2, device=meta)
        place = Place(one, one[:, None], one[:, None], (turn, turn) if spec.positions == "rope" else None)
        text = text_of(spec, layers, torch.zeros(1, 16, spec.dim, device=meta), None)
        for seen in (text, DeviceText()):
            x = torch.zeros(2, 1, spec.dim, device=meta)
            assert run_columns(spec, layers, x, (keys, values), seen, place).shape == x.shape
    with pytest.raises(RuntimeError):
        int(torch.zeros(1, device=meta))  # what the test relies on


def test_without_a_gpu_it_says_so_and_plays_on():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    model = tiny_model()
    before = model.generate("slow", seconds=0.1)
    for kernel in DEVICE_KERNELS:
        with pytest.raises(ModelError, match="needs a GPU") as error:
            model.lm.use_kernel(kernel)
        assert len(str(error.value).splitlines()) == 3
    assert torch.equal(model.generate("slow", seconds=0.1), before)


def test_a_stream_of_another_kernel_is_refused():
    lm, other = on_device(make_lm()), make_lm()
    tokens, inputs = make_inputs(lm, 2, 4)
    with pytest.raises(ModelError, match="kernel was changed"):
        lm.step(*column(inputs, tokens, 0), begin(other, 2, 4, inputs))


@needs_gpu
@pytest.mark.parametrize("shape", SHAPES)
def test_a_gpu_computes_the_same_and_does_so_again(shape):
    lm = make_lm(**SHAPES[shape])
    tokens, inputs = make_inputs(lm, 2, 60)
    full = lm(tokens, inputs)
    lm.use_kernel("cuda-fp16")
    context = lm.spec.context
    for _ in range(2):
        state = begin(lm, 2, 60 if context is None else context + 5, inputs)
        assert close(step_through(lm, state, tokens, inputs, range(60)), full, 5e-3)


def test_elsewhere_a_replay_is_a_call():
    calls = []
    again = Replay(lambda: calls.append(1), CPU)
    assert not calls
    again()
    again()
    assert len(calls) == 2
