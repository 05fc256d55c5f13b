"""Kernels: rows never meet, replays are exact, streams are their decode, and how far each is from fp32."""

import copy

import pytest
import torch

from descant.model import load_model, tiny_model
from descant.model.codec.tonebank import TonebankCodec
from descant.model.kernels.build import load
from descant.model.lm.linear import KERNELS, NATIVE_KERNELS, packed_linear

HOP = 640


def beat(frame):
    return [1.0, 0.0, 1.0, float(frame % 2)]


@pytest.fixture(scope="module")
def tiny():
    return tiny_model()


@pytest.fixture(params=KERNELS)
def model(request, tiny):
    model = copy.copy(tiny)
    model.lm, model.codec = copy.deepcopy(tiny.lm), copy.deepcopy(tiny.codec)
    model.lm.use_kernel(request.param)
    model.codec.use_kernel(request.param)
    return model


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", [(96, 32), (32, 96), (1024, 256), (1, 8)])
def test_a_row_of_a_product_does_not_depend_on_the_others(kernel, shape):
    draw = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(shape, generator=draw), torch.randn(shape[0], generator=draw)
    rows = torch.randn(2, shape[1], generator=draw)
    loud = torch.stack([rows[0], 1000 * rows[1]])
    for run in (packed_linear(weight, bias, kernel), packed_linear(weight, None, kernel)):
        assert torch.equal(run(rows)[0], run(loud)[0])
    exact = rows @ weight.t() + bias
    error = (packed_linear(weight, bias, kernel)(rows) - exact).norm() / exact.norm()
    assert error < {"fp32": 1e-6, "fp16": 1e-3, "int8": 0.02}[kernel]


def test_weights_beyond_half_precision_are_not_squeezed_into_it():
    weight = torch.full((4, 4), 1e6)
    assert torch.equal(packed_linear(weight, None, "fp16")(torch.ones(2, 4)), torch.full((2, 4), 4e6))


def test_a_row_of_a_stream_does_not_depend_on_the_other(model):
    lm = model.lm
    tokens = torch.randint(0, 64, (12, 2, 4), generator=torch.Generator().manual_seed(0))
    text = torch.randn(2, 5, 384, generator=torch.Generator().manual_seed(1))

    def first_row(change):
        state = lm.new_state(2, 30)
        lm.set_text(state, torch.stack([text[0], text[1] * change]))
        columns = [torch.stack([row[0], (row[1] + int(change)) % 64]) for row in tokens]
        return torch.stack([lm.step(column, None, state)[0] for column in columns])

    assert torch.equal(first_row(1.0), first_row(5.0))


def test_a_replay_is_exact_and_the_audio_is_the_decode(model):
    g = model.stream("warm piano", seed=3, max_rewind=40, beat=beat)
    audio = torch.cat([g.step() for _ in range(60)], dim=-1)
    tokens = g.tokens
    g.rewind(33)
    again = torch.cat([g.step() for _ in range(33)], dim=-1)
    assert torch.equal(g.tokens, tokens) and torch.equal(again, audio[:, 27 * HOP :])
    assert (audio - model.codec.decode(tokens[None])[0][:, : 60 * HOP]).abs().max() < 1e-6


def test_packed_decoding_is_the_trained_decoder(tiny):
    codec = copy.deepcopy(tiny.codec)
    assert isinstance(codec, TonebankCodec)
    codes = torch.randint(0, 64, (1, 4, 40), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        trained = codec.reconstruct(codec.quantizer.decode(codes))
    for kernel, tolerance in (("fp32", 1e-6), ("fp16", 2e-3), ("int8", 2e-3)):
        codec.use_kernel(kernel)
        assert (codec.decode(codes) - trained).abs().max() <= tolerance * trained.abs().max()


@pytest.fixture(scope="module")
def embedded_logits():
    """Teacher-forced, guided by 3, on 4 s of the embedded model's own tokens: a function kernel -> logits."""
    model = load_model("embedded", kernel="fp32")
    stream = model.stream("lofi hip hop with a warm electric piano", seed=1, melody=torch.eye(12), beat=beat)
    for _ in range(200):
        stream.step()
    window = stream._columns._windows[-1]
    columns = [torch.tensor(window.tokens(column, stream._log)) for column in range(stream.horizon)]

    def run(kernel):
        model.lm.use_kernel(kernel)
        state = model.lm.new_state(2, model.spec.lm.context)
        words = "lofi hip hop with a warm electric piano"
        state.text = model.stream(words, seed=1)._settings.text(0)  # as this kernel remembers it
        rows = []
        for column, tokens in enumerate(columns):
            controls = stream._settings.read_controls(column)
            rows.append(model.lm.step(tokens.expand(2, -1), controls, state))
        logits = torch.stack(rows)
        return torch.lerp(logits[:, 1], logits[:, 0], 3.0)

    return run


@pytest.mark.parametrize(
    ("kernel", "agreeing", "divergence"),
    [
        ("fp16", 0.998, 1e-6),
        ("int8", 0.94, 3e-3),
        ("native-fp16", 0.998, 3e-6),
        ("native-bf16", 0.98, 2e-4),
        ("native-int8", 0.985, 4e-4),
        ("native-int8-kv8", 0.97, 1e-3),
        ("native-int4", 0.85, 3e-2),
    ],
)
def test_the_embedded_model_says_the_same_under_each_kernel(embedded_logits, kernel, agreeing, divergence):
    """Share of equal likeliest tokens, mean KL divergence (nats) against fp32; the weights ship as fp16."""
    if kernel in NATIVE_KERNELS and load().handle is None:
        pytest.skip(f"no native library: {load().reason}")
    exact, coarse = embedded_logits("fp32").double(), embedded_logits(kernel).double()
    same = (exact.argmax(dim=-1) == coarse.argmax(dim=-1)).double().mean()
    p, q = exact.log_softmax(dim=-1), coarse.log_softmax(dim=-1)
    kl = (p.exp() * (p - q)).sum(dim=-1).mean()
    assert same >= agreeing and kl <= divergence, f"{same:.4f} agree, {kl:.2e} nats"
