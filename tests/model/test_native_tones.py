"""The tone codec's decoder in the native library: the same function, to the bit however a stream is cut."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.model import load_model
from descant.model.codec.decoder_runner import DecoderRunner
from descant.model.codec.tone_synthesis import ToneSynthesis
from descant.model.codec.tonebank import CausalStack, TonebankCodec
from descant.model.kernels.build import load
from descant.model.kernels.tones import TonesRunner, fits

pytestmark = pytest.mark.skipif(load().handle is None, reason=f"no native library: {load().reason}")
LATENT = 16


def made(width: int, inner: int, blocks: int, seed: int = 0) -> tuple[CausalStack, ToneSynthesis]:
    """A decoder of that shape with weights that say something."""
    torch.manual_seed(seed)
    stack = CausalStack(LATENT, width, inner, blocks, None)
    synthesis = ToneSynthesis(width, 8000, 32, n_tones=7, tones_per_octave=12, lowest=110.0, noise_bands=5)
    with torch.no_grad():
        for parameter in (*stack.parameters(), synthesis.head.weight):
            parameter.add_(0.1 * torch.randn_like(parameter))
    return stack.eval().requires_grad_(False), synthesis.eval().requires_grad_(False)


def histories(stack: CausalStack, batch: int) -> list[torch.Tensor]:
    return [torch.randn_like(history) for history in stack.histories(batch)]


@given(
    st.sampled_from([16, 48, 80]), st.sampled_from([32, 112]), st.integers(1, 3), st.integers(1, 2), st.data()
)
@settings(max_examples=20)
def test_it_is_the_stages_function_and_no_cut_changes_a_bit(
    width: int, inner: int, blocks: int, batch: int, data: st.DataObject
) -> None:
    stack, synthesis = made(width, inner, blocks)
    latent, before = torch.randn(batch, 11, LATENT), histories(stack, batch)
    kept = [history.clone() for history in before]
    wanted, ends = DecoderRunner(stack, synthesis, "fp32").run(latent, before)
    for half, tolerance in ((False, 1e-4), (True, 2e-2)):
        runner = TonesRunner(stack, synthesis, half)
        found, after = runner.run(latent, before)
        assert (found - wanted).abs().max() < tolerance * wanted.abs().max()
        for end, other in zip(after, ends, strict=True):
            assert (end - other).abs().max() < tolerance * other.abs().max()
        pieces, state, at = [], before, 0
        while at < latent.shape[1]:
            n = data.draw(st.integers(1, latent.shape[1] - at))
            piece, state = runner.run(latent[:, at : at + n], state)
            pieces.append(piece)
            at += n
        assert torch.equal(torch.cat(pieces, dim=1), found)
        assert all(torch.equal(a, b) for a, b in zip(state, after, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, kept, strict=True))  # a snapshot may hold them


def test_the_shipped_codec_decodes_with_it_as_exactly_as_before() -> None:
    codec = load_model("embedded").codec
    assert isinstance(codec, TonebankCodec)
    codes = torch.randint(0, codec.spec.cardinality, (1, 4, 100), generator=torch.Generator().manual_seed(2))
    waves = {}
    for kernel in ("fp32", "fp16", "native-fp32", "native-fp16"):
        codec.use_kernel(kernel)
        assert isinstance(codec.packed(), TonesRunner if kernel.startswith("native") else DecoderRunner)
        waves[kernel] = codec.decode(codes)

    def error(kernel: str) -> float:
        return float((waves[kernel] - waves["fp32"]).norm() / waves["fp32"].norm())

    assert error("native-fp32") < 1e-5
    assert error("native-fp16") < 1e-5 + 1.5 * error("fp16")  # the same weights


def test_a_width_it_does_not_run_is_left_to_torch() -> None:
    stack, synthesis = made(20, 32, 1)
    assert not fits(stack) and fits(made(16, 32, 1)[0])
    DecoderRunner(stack, synthesis, "fp32").run(torch.randn(1, 2, LATENT), histories(stack, 1))
