"""Matrices in a file, not in memory: the same numbers, nothing believed that was damaged, room given back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from descant.model.checkpoints import mapped_halves, packed_file
from descant.model.checkpoints.mapped_halves import MappedHalves, key_of, mapped
from descant.model.conditions.t5 import T5, T5Spec, expected_shapes

SHAPES = {"a": (7, 33), "b": (1, 1), "c": (64, 128)}


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_file, "SMALLEST", 0)


def drawn(shapes: mapped_halves.Shapes, seed: int = 1) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def kept(folder: Path, tensors: dict[str, Tensor], key: str = "k") -> MappedHalves | None:
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    return mapped(shapes, tensors.__getitem__, key, folder)


def never(name: str) -> Tensor:
    raise AssertionError(f"{name} was read again")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 70)), min_size=1, max_size=6), st.integers(0, 99)
)
def test_the_same_numbers_as_in_memory_and_read_from_the_model_once(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, int]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    shapes = {f"m{index}": size for index, size in enumerate(sizes)}
    tensors = drawn(shapes, seed)
    first = kept(folder, tensors)
    again = mapped(shapes, never, "k", folder)
    assert first is not None and again is not None
    for halves in (first, again):
        halves.let_go()
        for name, value in tensors.items():
            assert torch.equal(halves.tensors[name], value.half())
            assert halves.tensors[name].data_ptr() % 64 == 0


def test_t5_is_the_same_function_from_a_file_and_gives_its_room_back(tmp_path: Path) -> None:
    spec = T5Spec(dim=64, n_layers=2, n_heads=4, head_dim=16, ffn_dim=4096, vocabulary=900)
    tensors = drawn(expected_shapes(spec))
    wide = {name: value for name, value in tensors.items() if value.dim() == 2 and "bias" not in name}
    halves = kept(tmp_path, wide)
    assert halves is not None
    tokens = torch.tensor([5, 899, 17, 1])
    in_memory = T5(spec, tensors | {name: value.half() for name, value in wide.items()})
    calls: list[int] = []

    def let_go() -> None:
        calls.append(in_file_memory(tmp_path))
        halves.let_go()

    in_file = T5(spec, tensors | halves.tensors, let_go)
    assert torch.equal(in_file.states(tokens), in_memory.states(tokens))
    assert len(calls) == spec.n_layers
    if sys.platform == "linux":
        assert max(calls) > 500_000 > in_file_memory(tmp_path)


def in_file_memory(folder: Path) -> int:
    """Bytes of the folder's files that this process has in memory (Linux)."""
    if sys.platform != "linux":
        return 0
    found, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            ours = str(folder) in line
        elif ours and line.startswith("Rss:"):
            found += 1024 * int(line.split()[1])
    return found


@pytest.mark.parametrize("damage", ["head", "matrix", "cut", "longer", "empty"])
def test_a_damaged_file_is_written_anew(tmp_path: Path, damage: str) -> None:
    tensors = drawn(SHAPES)
    assert kept(tmp_path, tensors) is not None
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    if damage in ("head", "matrix"):
        data[3 if damage == "head" else len(data) // 2] ^= 0x10
    path.write_bytes({"cut": data[:-64], "longer": data + bytes(64), "empty": b""}.get(damage, data))
    with pytest.raises(AssertionError, match="was read again"):
        mapped(SHAPES, never, "k", tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    again = kept(tmp_path, tensors)
    assert again is not None and torch.equal(again.tensors["c"], tensors["c"].half())


def test_where_no_file_can_be_the_matrices_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_large = drawn(SHAPES) | {"c": torch.full((3, 3), 70_000.0)}
    assert kept(tmp_path / "a", too_large) is None and not list((tmp_path / "a").iterdir())
    (tmp_path / "file").write_text("no folder")
    assert kept(tmp_path / "file", drawn(SHAPES)) is None
    monkeypatch.setattr(mapped_halves, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    assert kept(tmp_path / "b", drawn(SHAPES)) is None
    monkeypatch.setattr(packed_file, "SMALLEST", 1_000_000)
    assert kept(tmp_path / "c", drawn(SHAPES)) is None and not (tmp_path / "c").exists()


def test_a_key_tells_models_and_shapes_apart() -> None:
    keys = {key_of(SHAPES, "one"), key_of(SHAPES, "two"), key_of({**SHAPES, "b": (1, 2)}, "one")}
    assert len(keys) == 3 and key_of(dict(SHAPES), "one") in keys
