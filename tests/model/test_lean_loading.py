"""Native kernels load lean: layers are packed as they are read, and the function is the same."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from descant.model import ModelError, load_model
from descant.model.codec.encodec import Encodec
from descant.model.kernels.build import load
from descant.model.lm.inputs import LmInputs
from tests.model.checkpoint_kit import CARDINALITY, K, make_musicgen, save

pytestmark = pytest.mark.skipif(load().handle is None, reason=f"no native library: {load().reason}")
FAMILIES = {"text": (False, False), "melody": (True, False), "stereo": (False, True)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        name: save(make_musicgen(*kind), tmp_path_factory.mktemp(name.replace(" ", "-")), tokenizer=True)
        for name, kind in FAMILIES.items()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_while_it_is_read_it_is_the_same_function(folders: dict[str, Path], family: str) -> None:
    full, lean = (load_model(str(folders[family]), kernel) for kernel in ("fp32", "native-fp32"))
    assert lean.lm.packed_only and all(p.is_meta for p in lean.lm.layers.parameters())
    draw = torch.Generator().manual_seed(1)
    n_codebooks = full.spec.n_codebooks
    tokens = torch.randint(0, CARDINALITY + 1, (2, n_codebooks, 9), generator=draw)
    text = torch.randn(2, 5, full.spec.lm.text_dim, generator=draw)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    controls = {c.name: torch.randn(2, c.length, c.dim, generator=draw) for c in full.spec.lm.prefix_controls}
    given = LmInputs(text, mask, controls)
    torch.testing.assert_close(lean.lm(tokens, given), full.lm(tokens, given), rtol=0, atol=1e-4)
    streams: list[Any] = [model.stream("warm piano", seed=3) for model in (full, lean)]
    for _ in range(12):
        a, b = (stream.step() for stream in streams)
        assert (a - b).abs().max() < 1e-4


def test_the_codec_s_encoder_comes_when_it_is_used(folders: dict[str, Path]) -> None:
    full, lean = (load_model(str(folders["text"]), kernel) for kernel in ("fp32", "native-int8"))
    assert isinstance(lean.codec, Encodec)
    wave = 0.3 * torch.randn(1, 1, 50 * full.spec.hop_length, generator=torch.Generator().manual_seed(2))
    assert any(p.is_meta for p in lean.codec.parameters())
    codes = full.codec.encode(wave)
    assert torch.equal(lean.codec.encode(wave), codes)
    assert not any(p.is_meta for p in lean.codec.parameters())
    wave = full.codec.decode(codes)
    assert (
        lean.codec.decode(codes) - wave
    ).abs().max() < 2e-3 * wave.abs().max()  # weights in half precision


def test_an_encoder_whose_file_is_gone_says_so(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = save(make_musicgen(False, False), tmp_path / "gone", tokenizer=True)
    lean = load_model(str(folder), "native-int8")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        lean.codec.encode(torch.zeros(1, 1, 10 * lean.spec.hop_length))
    codes = torch.zeros(1, K, 4, dtype=torch.int64)
    assert lean.codec.decode(codes).shape == (1, 1, 4 * lean.spec.hop_length)


def test_what_needs_full_weights_is_refused_in_words_and_copies_share_the_packed(
    folders: dict[str, Path],
) -> None:
    lean = load_model(str(folders["text"]), "native-bf16")
    lean.lm.use_kernel("native-bf16")
    for attempt in (
        lambda: lean.lm.use_kernel("fp32"),
        lambda: lean.lm.train(),
        lambda: lean.lm.load_state_dict({}),
    ):
        with pytest.raises(ModelError, match="packed for native-bf16"):
            attempt()
    twin = copy.deepcopy(lean.lm)
    tokens = torch.zeros(1, K, 3, dtype=torch.int64)
    assert torch.equal(twin(tokens), lean.lm(tokens)) and twin.packed() is lean.lm.packed()
