"""The decoder: parity with MusicGen's, causality and context by gradient, and steps that equal the whole."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.model.errors import ModelError
from descant.model.lm.inputs import LmInputs
from descant.model.lm.music_lm import MusicLm
from descant.model.spec import ControlSpec, LmSpec

K, CARD, DIM, TEXT = 3, 20, 32, 12
CONTROLS = (ControlSpec("melody", 5), ControlSpec("beat", 4, guided=False))


def make_lm(positions="rope", context=None, seed=0, **changes):
    torch.manual_seed(seed)
    fields: dict = {
        "dim": DIM,
        "n_layers": 2,
        "n_heads": 4,
        "ffn_dim": 64,
        "n_codebooks": K,
        "cardinality": CARD,
        "delays": (0, 1, 2),
        "positions": positions,
        "context": context,
        "text_dim": TEXT,
        "controls": CONTROLS,
    }
    return MusicLm(LmSpec(**{**fields, **changes})).eval()


def make_inputs(batch, length, seed=1):
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, CARD + 1, (batch, K, length), generator=draw)
    mask = torch.ones(batch, 6, dtype=torch.bool)
    mask[-1] = False  # the null row
    inputs = LmInputs(
        torch.randn(batch, 6, TEXT, generator=draw),
        mask,
        {
            "melody": torch.randn(batch, length, 5, generator=draw),
            "beat": torch.randn(batch, length, 4, generator=draw),
        },
    )
    return tokens, inputs


def step_through(lm, state, tokens, inputs, columns):
    out = []
    for s in columns:
        controls = {name: value[:, s] for name, value in inputs.controls.items()}
        out.append(lm.step(tokens[:, :, s], controls, state))
    return torch.stack(out, dim=2)


BOTH = [("rope", None), ("rope", 7), ("sinusoidal", None), ("sinusoidal", 7)]


@pytest.mark.parametrize(("positions", "context"), BOTH)
def test_steps_equal_the_full_forward_beyond_the_ring_and_after_rewinds(positions, context):
    lm = make_lm(positions, context)
    length = 60
    tokens, inputs = make_inputs(2, length)
    with torch.inference_mode():
        full = lm(tokens, inputs)
    state = lm.new_state(2, length if context is None else context + 5)  # 12 slots: five laps
    lm.set_text(state, inputs.text, inputs.text_mask)
    assert (step_through(lm, state, tokens, inputs, range(length)) - full).abs().max() < 1e-4
    for back in (5, 0, 1):  # 6 columns are within a ring of context + 5
        state.rewind(back)
        first = state.position
        if back:
            again = step_through(lm, state, tokens, inputs, range(first, length))
            assert (again - full[:, :, first:]).abs().max() < 1e-4


def test_a_replay_after_a_rewind_is_bit_identical_and_a_changed_past_does_not_linger():
    lm = make_lm("rope", 7)
    tokens, inputs = make_inputs(2, 40)
    other, _ = make_inputs(2, 40, seed=9)
    state = lm.new_state(2, 7 + 12)
    lm.set_text(state, inputs.text, inputs.text_mask)
    first = step_through(lm, state, tokens, inputs, range(30))
    state.rewind(10)
    step_through(lm, state, other, inputs, range(20, 30))
    state.rewind(10)
    assert torch.equal(step_through(lm, state, tokens, inputs, range(20, 30)), first[:, :, 20:])


@given(
    rewinds=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=8), context=st.integers(1, 9)
)
@settings(max_examples=25, deadline=None)
def test_any_walk_of_steps_and_rewinds_stays_on_the_full_forward(rewinds, context):
    lm = make_lm("rope", context)
    tokens, inputs = make_inputs(2, 90)
    with torch.inference_mode():
        full = lm(tokens, inputs)
    state = lm.new_state(2, context + 6)
    lm.set_text(state, inputs.text, inputs.text_mask)
    for steps, back in rewinds:
        first = state.position
        out = step_through(lm, state, tokens, inputs, range(first, first + steps))
        assert (out - full[:, :, first : first + steps]).abs().max() < 1e-4
        back = min(back, state.position - state.cache.earliest)
        state.rewind(back)


def test_rewinding_further_than_the_ring_remembers_is_refused():
    lm = make_lm("rope", 7)
    tokens, inputs = make_inputs(1, 30)
    state = lm.new_state(1, 7 + 4)
    step_through(lm, state, tokens, inputs, range(20))
    state.rewind(3)
    with pytest.raises(ModelError) as error:
        state.rewind(3)  # the columns before were overwritten when column 19 was run
    assert "0 to 2 columns" in error.value.do and state.position == 17
    with pytest.raises(ModelError):
        lm.new_state(1, 3)


def test_without_a_finite_context_the_room_ends_with_an_error():
    lm = make_lm("sinusoidal")
    tokens, inputs = make_inputs(1, 5)
    state = lm.new_state(1, 4)
    step_through(lm, state, tokens, inputs, range(4))
    with pytest.raises(ModelError, match="cache holds 4 columns"):
        lm.step(tokens[:, :, 4], None, state)


@pytest.mark.parametrize("context", [None, 4])
def test_no_position_sees_the_future_or_beyond_its_context(context):
    lm = make_lm("rope", context, n_layers=1)
    tokens, inputs = make_inputs(2, 16)
    melody = inputs.controls["melody"].requires_grad_()
    logits = lm(tokens, inputs)
    (gradient,) = torch.autograd.grad(logits[:, :, 9].square().sum(), melody)
    seen = gradient.abs().sum(dim=(0, 2)) > 0
    first = 0 if context is None else 9 - context + 1
    assert seen.tolist() == [first <= s <= 9 for s in range(16)]


def test_text_can_be_replaced_in_mid_stream():
    lm = make_lm("rope", 7)
    tokens, inputs = make_inputs(2, 8)
    _, changed = make_inputs(2, 8, seed=5)
    state = lm.new_state(2, 12)
    lm.set_text(state, inputs.text, inputs.text_mask)
    before = step_through(lm, state, tokens, inputs, range(7))
    lm.set_text(state, changed.text, changed.text_mask)
    after = step_through(lm, state, tokens, inputs, range(7, 8))
    state.rewind(1)
    lm.set_text(state, inputs.text, inputs.text_mask)
    kept = step_through(lm, state, tokens, inputs, range(7, 8))
    assert before.shape[2] == 7 and (after[0] - kept[0]).abs().max() > 1e-3
    assert torch.equal(after[1], kept[1])  # row 1 is null in both


def test_the_null_text_is_no_text_exactly():
    lm = make_lm()
    tokens, inputs = make_inputs(2, 10)
    with torch.inference_mode():
        masked = lm(tokens, LmInputs(inputs.text, torch.zeros(2, 6, dtype=torch.bool), inputs.controls))
        without = lm(tokens, LmInputs(None, None, inputs.controls))
        zeros = {name: torch.zeros_like(value) for name, value in inputs.controls.items()}
        zero_controls = lm(tokens, LmInputs(None, None, zeros))
        nothing = lm(tokens)
    assert torch.equal(masked, without) and torch.equal(zero_controls, nothing)


def test_padding_of_a_shorter_prompt_does_not_act():
    lm = make_lm()
    tokens, inputs = make_inputs(1, 10)
    mask = torch.tensor([[True] * 4 + [False] * 2])
    with torch.inference_mode():
        padded = lm(tokens, LmInputs(inputs.text, mask))
        short = lm(tokens, LmInputs(inputs.text[:, :4], None))
    assert (padded - short).abs().max() < 1e-5


def test_a_control_acts_at_its_own_position_and_short_ones_end_in_zeros():
    lm = make_lm()
    tokens, _ = make_inputs(1, 10)
    pulse = torch.zeros(1, 10, 5)
    pulse[0, 6, 2] = 1.0
    with torch.inference_mode():
        plain = lm(tokens)
        moved = (lm(tokens, LmInputs(controls={"melody": pulse})) - plain).abs().amax(dim=(0, 1, 3))
        short = lm(tokens, LmInputs(controls={"melody": pulse[:, :7]}))
    assert (moved[:6] == 0).all() and (moved[6:] > 0).all()
    assert (short - lm(tokens, LmInputs(controls={"melody": pulse}))).abs().max() == 0


def test_wrong_inputs_are_refused_by_name():
    lm = make_lm()
    tokens, _ = make_inputs(1, 4)
    with pytest.raises(ModelError, match="accepts: melody, beat"):
        lm(tokens, LmInputs(controls={"tempo": torch.zeros(1, 4, 1)}))
    with pytest.raises(ModelError, match=r"allowed: \[1, frames, 5\]"):
        lm(tokens, LmInputs(controls={"melody": torch.zeros(1, 4, 6)}))
    with pytest.raises(ModelError, match="allowed"):
        lm(tokens[:, :2])
    with pytest.raises(ModelError, match="reads no text"):
        make_lm(text_dim=0)(tokens, LmInputs(torch.zeros(1, 2, TEXT)))
    with pytest.raises(ModelError, match="ascending"):
        make_lm(delays=(0, 2, 1))


def test_changed_and_copied_weights_reach_the_steps():
    lm, other = make_lm(seed=0), make_lm(seed=1)
    tokens, _ = make_inputs(1, 1)
    expected = [model(tokens)[:, :, 0] for model in (lm, other)]
    twin = copy.deepcopy(lm)

    def first_step(model):
        return model.step(tokens[:, :, 0], None, model.new_state(1, 4))

    assert (first_step(lm) - expected[0]).abs().max() < 1e-4
    lm.load_state_dict(other.state_dict())
    assert (first_step(lm) - expected[1]).abs().max() < 1e-4
    assert (first_step(twin) - expected[0]).abs().max() < 1e-4


@pytest.mark.parametrize(("kernel", "tolerance"), [("fp32", 1e-5), ("fp16", 1e-3), ("int8", 0.03)])
def test_each_kernel_is_within_its_stated_tolerance(kernel, tolerance):
    lm = make_lm("rope", 7, dim=128, ffn_dim=512, cardinality=256)
    tokens, inputs = make_inputs(2, 12)
    with torch.inference_mode():
        full = lm(tokens, inputs)
    lm.use_kernel(kernel)
    state = lm.new_state(2, 10)
    lm.set_text(state, inputs.text, inputs.text_mask)
    steps = step_through(lm, state, tokens, inputs, range(12))
    assert (steps - full).norm() / full.norm() < tolerance
    with pytest.raises(ModelError, match="fp32, fp16, int8"):
        lm.use_kernel("fp8")


def test_initial_weights_follow_their_fan_in():
    lm = make_lm(dim=128, n_heads=4, ffn_dim=512, n_layers=3)
    out = lm.layers[2].ffn_out.weight
    assert abs(out.std().item() * (512**0.5) * (6**0.5) - 0.987) < 0.05  # truncation at 3 sigma takes 1.3 %
    assert out.abs().max() <= 3.0 / (512 * 6) ** 0.5
    assert all((p == 0).all() for name, p in lm.named_parameters() if name.endswith("bias"))
