"""The rivals in the table compute what the product computes: else their speed tells nothing."""

from __future__ import annotations

import pytest
import torch

from descant.model.lm.step import text_memory
from descant.model.lm.transformer import Layer
from tools.kernel_compiled import compiled_entry
from tools.kernel_entries import TOKENS, Entry, musicgen_small, torch_entry
from tools.kernel_onnx import onnx_entry

SPEC = musicgen_small(layers=2)


def far(entry: Entry, exact: Entry) -> float:
    """Relative error of logits after some columns."""
    draw = torch.Generator().manual_seed(1)
    columns = torch.randn(6, 2, SPEC.dim, generator=draw)
    found = []
    for one in (entry, exact):
        one.state.cache.restart(0)
        found.append(torch.stack([one.run(x, one.state).clone() for x in columns]))
    return float((found[0] - found[1]).norm() / found[1].norm())


def given() -> tuple[Layer, torch.Tensor, object]:
    torch.manual_seed(0)
    layer, heads = Layer(SPEC, 1).requires_grad_(False), torch.randn(4 * 2048, SPEC.dim) * 0.03
    return layer, heads, text_memory([layer] * 2, torch.randn(1, TOKENS, SPEC.dim), None)


@torch.inference_mode()
@pytest.mark.parametrize(("bits", "block", "allowed"), [(8, 128, 0.02), (8, 32, 0.02), (4, 64, 0.25)])
def test_onnx_runtime_runs_the_same_step(bits: int, block: int, allowed: float) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    layer, heads, text = given()
    exact = torch_entry("fp32", SPEC, layer, heads, text)
    assert 0 < far(onnx_entry(bits, block, SPEC, layer, heads, text, 1), exact) < allowed


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@torch.inference_mode()
@pytest.mark.parametrize(("name", "allowed"), [("bf16", 0.02), ("int8", 0.04)])
def test_a_compiled_step_is_the_same(name: str, allowed: float) -> None:
    layer, heads, text = given()
    exact = torch_entry("fp32", SPEC, layer, heads, text)
    try:
        compiled = compiled_entry(name, SPEC, layer, heads, text)
    except RuntimeError as error:
        pytest.skip(f"torch.compile does not run here: {error}")
    assert 0 < far(compiled, exact) < allowed
