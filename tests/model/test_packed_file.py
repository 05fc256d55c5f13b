"""Packed weights in the cache folder: the same function from them, and nothing believed that was damaged."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from descant.model.checkpoints import packed_file
from descant.model.kernels.build import load
from descant.model.kernels.native import NativeWeights
from descant.model.lm.linear import NATIVE_KERNELS
from descant.model.lm.music_lm import MusicLm
from descant.model.spec import LmSpec

pytestmark = pytest.mark.skipif(load().handle is None, reason=f"no native library: {load().reason}")
SPEC = LmSpec(96, 2, 3, 160, 4, 20, (0, 1, 2, 3), text_dim=24)


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_file, "SMALLEST", 0)


def packed(kernel: str, seed: int = 1, threads: int = 1) -> NativeWeights:
    torch.manual_seed(seed)
    lm = MusicLm(SPEC).eval().requires_grad_(False)
    weights = empty(kernel, threads)
    for index, layer in enumerate(lm.layers):
        weights.put_layer(index, layer)
    weights.put_head(lm.norm, lm.heads.weight)
    return weights


def empty(kernel: str, threads: int = 1) -> NativeWeights:
    return NativeWeights(SPEC, next(known for known in NATIVE_KERNELS if known == kernel), threads)


def logits(weights: NativeWeights) -> torch.Tensor:
    state = weights.new_state(2, 20)
    draw = torch.Generator().manual_seed(2)
    state.text = weights.text_memory(torch.randn(2, 5, SPEC.dim, generator=draw), None)
    found = [weights.run(torch.randn(2, SPEC.dim, generator=draw), state) for _ in range(6)]
    return torch.stack([one for one in found if one is not None])


@pytest.mark.parametrize("kernel", NATIVE_KERNELS)
def test_what_was_kept_is_the_same_function_on_any_number_of_threads(kernel: str, tmp_path: Path) -> None:
    first = packed(kernel, threads=2)
    assert not packed_file.read(empty(kernel), "a", tmp_path)
    assert packed_file.write(first, "a", tmp_path)
    again = empty(kernel)
    assert packed_file.read(again, "a", tmp_path)
    assert torch.equal(logits(again), logits(first))


def test_a_damaged_or_foreign_file_is_not_believed(tmp_path: Path) -> None:
    first = packed("native-int8")
    assert packed_file.write(first, "a", tmp_path)
    path = tmp_path / "a.packed"
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 4
    for data in (b"", whole[:20], whole[:-1], whole + b"0", bytes(damaged), b"X" + whole[1:]):
        path.write_bytes(data)
        weights = empty("native-int8")
        assert not packed_file.read(weights, "a", tmp_path)
    path.write_bytes(whole)
    assert not packed_file.read(empty("native-int4"), "a", tmp_path)  # another kernel's room
    assert packed_file.read(empty("native-int8"), "a", tmp_path)


def test_only_the_newest_stay_and_what_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    weights = packed("native-int8")
    left = tmp_path / "old.123"
    left.write_bytes(b"half")
    os.utime(left, (time.time() - 2 * packed_file.STALE_SECONDS,) * 2)
    for number in range(packed_file.KEPT + 2):
        assert packed_file.write(weights, str(number), tmp_path)
        os.utime(tmp_path / f"{number}.packed", (number + 1e9,) * 2)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{number}.packed" for number in range(2, packed_file.KEPT + 2)}
    (tmp_path / "file").write_bytes(b"")
    assert not packed_file.write(weights, "a", tmp_path / "file")


def test_shape_kernel_and_files_have_keys_of_their_own() -> None:
    other = LmSpec(96, 2, 3, 160, 4, 20, (0, 1, 2, 4), text_dim=24)
    keys = {
        packed_file.key_of(spec, kernel, digest)
        for spec in (SPEC, other)
        for kernel in NATIVE_KERNELS
        for digest in ("a", "b")
    }
    assert len(keys) == 4 * len(NATIVE_KERNELS)
