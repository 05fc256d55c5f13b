"""Native kernels: the whole forward to a stated tolerance, and the same bits in any company."""

import copy
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.model.errors import ModelError
from descant.model.kernels import build
from descant.model.kernels.native import FORMATS, MAX_ROWS, NativeWeights
from descant.model.lm.inputs import LmInputs
from descant.model.lm.linear import NATIVE_KERNELS
from descant.model.lm.music_lm import MusicLm
from descant.model.lm.transformer import Layer
from descant.model.rows import Rows
from descant.model.spec import ControlSpec, LmSpec
from descant.model.work import done
from tests.model.lm_kit import BEAT, SHAPES, TEXT, K, begin, column, make_inputs, make_lm, step_through

CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
RUNS_HERE = (["-march=x86-64-v3"] if "avx2" in CPU else []) + (["-mavxvnni"] if "avx_vnni" in CPU else [])
# relative error of logits, of the whole and at worst; fp32 absolutely, see test_fp32_...
TOLERANCES = {
    "native-fp32": 1e-5,
    "native-fp16": 1.5e-3,
    "native-bf16": 1e-2,
    "native-int8": 2.5e-2,
    "native-int8-kv8": 2.5e-2,
    "native-int4": 0.25,
}


def run_through(weights, state, columns):
    found = [weights.run(x, state) for x in columns]
    assert all(logits is not None for logits in found)
    return torch.stack(found)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel", NATIVE_KERNELS)
def test_steps_equal_the_whole_within_the_kernel_s_tolerance_around_the_ring_and_after_rewinds(kernel, shape):
    lm = make_lm(**SHAPES[shape])
    context = lm.spec.context
    tokens, inputs = make_inputs(lm, 2, 60)
    full = lm(tokens, inputs)
    lm.use_kernel(kernel)
    state = begin(lm, 2, 60 if context is None else context + 5, inputs)
    steps = step_through(lm, state, tokens, inputs, range(60))
    assert (steps - full).norm() / full.norm() < TOLERANCES[kernel]
    if kernel == "native-fp32":
        assert (steps - full).abs().max() < 1e-4
    for back in (5, 1):
        state.rewind(back)
        first = state.position
        again = step_through(lm, state, tokens, inputs, range(first, 60))
        assert torch.equal(again, steps[:, :, first:])
    if context is not None:
        with pytest.raises(ModelError, match="remembers back to"):
            state.rewind(30)


@given(walk=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=8), context=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_any_walk_of_steps_prefills_and_rewinds_stays_on_the_whole(walk, context):
    lm = make_lm(positions="rope", context=context)
    tokens, inputs = make_inputs(lm, 2, 90)
    full = lm(tokens, inputs)
    lm.use_kernel("native-fp32")
    state = begin(lm, 2, context + 6, inputs)
    for steps, back in walk:
        first = state.position
        if steps % 2:
            lm.prefill(
                tokens[:, :, first : first + steps], inputs.controls["beat"][:, first : first + steps], state
            )
        else:
            out = step_through(lm, state, tokens, inputs, range(first, first + steps))
            assert (out - full[:, :, first : first + steps]).abs().max() < 1e-4
        state.rewind(min(back, state.position - state.cache.earliest))
    last = state.position
    out = step_through(lm, state, tokens, inputs, [last])
    assert (out - full[:, :, last : last + 1]).abs().max() < 1e-4


@pytest.mark.parametrize("kernel", NATIVE_KERNELS)
@pytest.mark.parametrize("shape", ["tiny", "odd", "rope, context"])
def test_prefill_is_as_many_steps_to_the_bit(kernel, shape):
    lm = make_lm(**SHAPES[shape])
    tokens, inputs = make_inputs(lm, 2, 50)
    lm.use_kernel(kernel)
    one, many = (begin(lm, 2, 64, inputs) for _ in range(2))
    for s in range(49):
        lm.step(*column(inputs, tokens, s), one, want_logits=False)
    for first, last in ((0, 1), (1, 40), (40, 40), (40, 49)):
        lm.prefill(tokens[:, :, first:last], inputs.controls["beat"][:, first:last], many)
    assert many.position == 49
    assert torch.equal(lm.step(*column(inputs, tokens, 49), one), lm.step(*column(inputs, tokens, 49), many))


@pytest.mark.parametrize("kernel", NATIVE_KERNELS)
@pytest.mark.parametrize("shape", ["odd", "rope, context", "embedded's"])
def test_streams_in_one_batch_are_themselves_alone_to_the_bit(kernel, shape):
    lm = make_lm(**SHAPES[shape])
    lm.use_kernel(kernel)
    ahead = (0, 3, 17, 25, 8, 30, 1, 2, 4, 5)
    rows = (2, 1, 2, 3, 1, 2, 1, 2, 4, 1)  # 19 in all: more than one batch
    alone, together = [], []
    for found in (alone, together):
        streams = []
        for index, (n, r) in enumerate(zip(ahead, rows, strict=True)):
            tokens, inputs = make_inputs(lm, r, 40, seed=index)
            state = begin(lm, r, 45, inputs if index % 3 else LmInputs(controls=inputs.controls))
            lm.prefill(tokens[:, :, :n], inputs.controls["beat"][:, :n], state)
            streams.append((tokens, inputs, state))
        for _ in range(3):
            asked = [(*column(inputs, tokens, state.position), state) for tokens, inputs, state in streams]
            if found is alone:
                found.append([lm.step(*one) for one in asked])
            else:
                found.append(lm.step_together(asked))
    assert sum(rows) > MAX_ROWS
    for a, b in zip(alone, together, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("kernel", NATIVE_KERNELS)
def test_one_thread_and_several_give_the_same_bits(kernel):
    lm = make_lm(dim=128, n_heads=4, ffn_dim=640, cardinality=300, positions="rope", context=9)
    _, inputs = make_inputs(lm, 2, 12)
    x = torch.randn(12, 2, 128, generator=torch.Generator().manual_seed(5))
    found = []
    for threads in (1, 2, 3):
        weights = NativeWeights(lm.spec, kernel, threads)
        for index, layer in enumerate(lm.layers):
            weights.put_layer(index, layer)
        weights.put_head(lm.norm, lm.heads.weight)
        state = weights.new_state(2, 12)
        states, _ = lm.project_text(inputs.text, inputs.text_mask)
        state.text = weights.text_memory(states, inputs.text_mask)
        found.append(run_through(weights, state, x))
        assert weights.threads == threads
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_a_cache_of_bytes_is_close_to_one_of_halves():
    lm = make_lm(dim=128, n_heads=2, ffn_dim=256, positions="rope", context=30)
    x = torch.randn(40, 2, 128, generator=torch.Generator().manual_seed(5))
    found = []
    for kernel in ("native-int8", "native-int8-kv8"):
        weights = NativeWeights(lm.spec, kernel, 1)
        for index, layer in enumerate(lm.layers):
            weights.put_layer(index, layer)
        weights.put_head(lm.norm, lm.heads.weight)
        state = weights.new_state(2, 33)
        found.append(run_through(weights, state, x))
    assert 0 < (found[0] - found[1]).norm() / found[0].norm() < 1e-2


@pytest.mark.parametrize("padding", ["masked", "zeros"])
def test_text_is_masked_or_zeros_weighed_and_null_like_in_the_whole(padding):
    lm = make_lm(text_padding=padding)
    draw = torch.Generator().manual_seed(3)
    tokens, text = torch.randint(0, 21, (3, K, 5), generator=draw), torch.randn(3, 19, TEXT, generator=draw)
    mask = torch.ones(3, 19, dtype=torch.bool)
    mask[0, 5:] = False
    mask[1] = False  # a null row before one that is not
    bias = torch.rand(3, 19, generator=draw).log()
    for given_mask, given_bias in ((mask, None), (None, bias), (mask, bias)):
        full = lm(tokens, LmInputs(text, given_mask, text_bias=given_bias))
        twin = copy.deepcopy(lm)
        twin.use_kernel("native-fp32")
        state = twin.new_state(3, 5)
        twin.set_text(state, text, given_mask, given_bias)
        got = torch.stack([twin.step(tokens[:, :, s], None, state) for s in range(5)], dim=2)
        torch.testing.assert_close(got, full, rtol=0, atol=1e-4)


def test_a_prefix_and_the_columns_after_it_equal_the_whole():
    melody = ControlSpec("melody", 5, form="prefix", length=7, null=0)
    lm = make_lm(controls=(melody,), text_form="prefix")
    draw = torch.Generator().manual_seed(1)
    tokens, text = torch.randint(0, 21, (2, K, 20), generator=draw), torch.randn(2, 6, TEXT, generator=draw)
    given = LmInputs(text, None, {"melody": torch.randn(2, 7, 5, generator=draw)})
    full = lm(tokens, given)
    lm.use_kernel("native-fp32")
    state = lm.new_state(2, 40)
    lm.begin(state, lm.prefix(given, 2))
    assert state.position == 0 and state.prefix_length == 13
    got = torch.stack([lm.step(tokens[:, :, s], None, state) for s in range(20)], dim=2)
    torch.testing.assert_close(got, full, rtol=0, atol=1e-4)
    with pytest.raises(ModelError, match="40 columns"):
        lm.prefill(tokens, None, state)


@pytest.mark.parametrize("kernel", ["native-fp32", "native-int8"])
def test_rows_one_after_the_other_are_the_batch(kernel):
    lm = make_lm(controls=(BEAT,), positions="rope", context=12)
    lm.use_kernel(kernel)
    tokens, inputs = make_inputs(lm, 2, 20)
    text = lm.text_memory(2, inputs.text, inputs.text_mask)
    found = []
    for two_step in (False, True):
        rows = Rows(lm, 2, 30, two_step)
        rows.prefill(tokens[0, :, :10], inputs.controls["beat"][:, :10], text)
        steps = [
            done(lm, rows.step(tokens[0, :, s], inputs.controls["beat"][:, s], text)) for s in range(10, 20)
        ]
        found.append([logits for logits in steps if logits is not None])
    assert len(found[0]) == 10 and all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def outlying(layers=2):
    """MusicGen-small's shape and what makes quantising hard: some inputs' weights, some activations x 20."""
    torch.manual_seed(0)
    lm = MusicLm(LmSpec(1024, layers, 16, 4096, 4, 2048, (0, 1, 2, 3), text_dim=32)).eval()
    lm.requires_grad_(False)
    draw = torch.Generator().manual_seed(1)

    def some(n, size):
        return torch.randperm(size, generator=draw)[:n]

    for layer in lm.layers:
        assert isinstance(layer, Layer) and layer.cross is not None and layer.norm_cross is not None
        for norm in (layer.norm_self, layer.norm_cross, layer.norm_ffn):
            norm.weight[some(6, 1024)] *= 20.0
        attention, cross = layer.attention, layer.cross
        for linear in (attention.qkv, attention.out, cross.q, cross.out, layer.ffn_in, layer.ffn_out):
            linear.weight[:, some(6, linear.in_features)] *= 20.0
            linear.weight[some(3, linear.out_features)] *= 5.0
    lm.norm.weight[some(6, 1024)] *= 20.0
    return lm


def test_outliers_cost_int8_little():
    """Logits of random weights are flat, so that a hair decides which is the likeliest: what counts here is
    how far the distributions are apart. Agreement is tested on trained weights, in test_kernels.py."""
    lm = outlying()
    draw = torch.Generator().manual_seed(3)
    tokens, text = torch.randint(0, 2048, (1, 4, 48), generator=draw), torch.randn(1, 12, 32, generator=draw)
    exact = lm(tokens, LmInputs(text)).double().transpose(1, 2)

    def differ(kernel):
        lm.use_kernel(kernel)
        state = lm.new_state(1, 48)
        lm.set_text(state, text)
        got = torch.stack([lm.step(tokens[:, :, s], None, state) for s in range(48)], dim=1).double()
        p, q = exact.log_softmax(dim=-1), got.log_softmax(dim=-1)
        return float((p.exp() * (p - q)).sum(dim=-1).mean())

    assert differ("native-int8") < 5e-4 and differ("native-int4") < 0.1


def test_gelu_and_exp_are_exact_to_single_precision():
    weights = NativeWeights(make_lm().spec, "native-fp32", 1)
    x = torch.cat([torch.linspace(-12, 12, 9600), torch.tensor([0.0, -0.0, 100.0, -100.0] * 4)])
    gelu, power = torch.empty_like(x), torch.empty_like(x)
    weights._library.descant_functions(x.data_ptr(), len(x), gelu.data_ptr(), power.data_ptr())
    wanted = F.gelu(x.double())
    assert ((gelu - wanted).abs() / x.abs().clamp(min=1.0)).max() < 4e-7
    inside = x.abs() < 80
    exact = x[inside].double().exp()
    assert ((power[inside] - exact) / exact).abs().max() < 3e-7
    assert power[x < -90].abs().sum() == 0


QUICKLY = "-O1"  # compiled in a third of the time; the same sums in the same order
OTHERS = [pytest.param(flags, marks=pytest.mark.slow) for flags in (("-march=x86-64-v3", "-mavxvnni"), ())]


@pytest.mark.parametrize("flags", [("-march=x86-64-v3",), *OTHERS], ids=str)
def test_narrower_machines_compute_the_same(flags, tmp_path):
    flags = tuple(flag for flag in flags if flag in RUNS_HERE)
    lm = make_lm(dim=96, n_heads=2, ffn_dim=128, positions="rope", context=9)
    x = torch.randn(12, 2, 96, generator=torch.Generator().manual_seed(5))
    for kernel in NATIVE_KERNELS:
        found = []
        for folder, given_flags in ((None, None), (tmp_path, (*flags, QUICKLY))):
            weights = NativeWeights(lm.spec, kernel, 2, folder=folder, flags=given_flags)
            for index, layer in enumerate(lm.layers):
                weights.put_layer(index, layer)
            weights.put_head(lm.norm, lm.heads.weight)
            state = weights.new_state(2, 9)
            found.append(run_through(weights, state, x))
        # the same up to how single operations round: an activation may fall on the other side of a half
        assert (found[0] - found[1]).norm() / found[0].norm() < 1e-3


def test_without_a_compiler_the_reason_is_told_and_the_model_runs_as_before(tmp_path, monkeypatch):
    lm = make_lm()
    lm.use_kernel("fp16")
    monkeypatch.setenv(build.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv(build.COMPILER_VARIABLE, "no-such-compiler")
    with pytest.raises(ModelError, match="no C compiler here"):
        lm.use_kernel("native-int8")
    assert lm.kernel == "fp16"
    failing = tmp_path / "cc"
    failing.write_text("#!/bin/sh\necho 'step.c:1: error: no such luck' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setenv(build.COMPILER_VARIABLE, str(failing))
    with pytest.raises(ModelError, match="no such luck"):
        lm.use_kernel("native-int8")
    (tmp_path / "file").touch()
    monkeypatch.setenv(build.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be written"):
        lm.use_kernel("native-int8")
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".so"]


def test_the_library_is_built_once_and_importing_builds_nothing(tmp_path):
    first = build.load(tmp_path, (QUICKLY,))
    assert first.handle is not None and first.path is not None and first.path.parent.parent == tmp_path
    assert build.load(tmp_path, (QUICKLY,)) is first
    assert [path.name for path in (tmp_path / "kernels").iterdir()] == [first.path.name]
    code = "import descant.model.kernels.native, descant.model.kernels.build as b; assert not b._loaded"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PATH": ""})


def test_a_kernel_changed_under_a_running_stream_is_refused_in_words():
    lm = make_lm()
    tokens, inputs = make_inputs(lm, 2, 2)
    state = begin(lm, 2, 4, inputs)
    lm.use_kernel("native-fp32")
    with pytest.raises(ModelError, match="kernel was changed"):
        lm.step(tokens[:, :, 0], None, state)
    native = lm.new_state(2, 4)
    native.text = state.text
    with pytest.raises(ModelError, match="kernel was changed"):
        lm.step(tokens[:, :, 0], None, native)
    lm.use_kernel("fp32")
    with pytest.raises(ModelError, match="kernel was changed"):
        lm.step(tokens[:, :, 0], None, native)


def test_weights_take_the_room_their_format_promises():
    spec = LmSpec(1024, 1, 16, 4096, 4, 2048, (0, 1, 2, 3), text_dim=768)
    n = 16 * 1024 * 1024  # of a layer, cross-attention included
    scales = {kernel: 2 / form.block for kernel, form in FORMATS.items()}
    heads = 8 * 1024 * 1024 * 2
    for kernel, width in (("native-fp16", 2), ("native-bf16", 2), ("native-int8", 1), ("native-int4", 0.5)):
        expected = n * (width + (scales[kernel] if width < 2 else 0)) + heads
        assert math.isclose(NativeWeights(spec, kernel, 1).n_bytes, expected, rel_tol=0.08)
