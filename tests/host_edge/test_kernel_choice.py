"""The kernel for a machine: measured on the model's shape, remembered, overridden by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from descant.host.edge import kernel_choice, machine, models
from descant.host.edge.kernel_choice import LM_SHARE, Choice, choose
from descant.model.kernels import build
from descant.model.kernels.build import load
from descant.model.lm.linear import KERNELS, NATIVE_KERNELS
from tests.model.checkpoint_kit import make_musicgen, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(make_musicgen(False, False), tmp_path_factory.mktemp("small"), tokenizer=True))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DESCANT_KERNEL", raising=False)
    monkeypatch.setattr(kernel_choice, "default_folder", lambda: tmp_path)
    return tmp_path / "kernel-choices.json"


def test_a_kernel_is_measured_once_and_remembered(
    folder: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "load", lambda: 0.0)  # a crowded machine would measure again
    told: list[str] = []
    first = choose(folder, told.append)
    assert first is not None and first.frame_ms == 20.0
    assert first.kernel in first.milliseconds and len(told) == len(first.milliseconds)
    told.clear()
    assert choose(folder, told.append) == first and not told
    cache.write_text("{ not json")
    again = choose(folder, told.append)
    assert again is not None and told
    assert choose(folder) == again
    assert models.load_named(folder).lm.kernel == again.kernel


def test_the_most_exact_that_holds_is_chosen_and_the_fastest_where_none_does(
    folder: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = NATIVE_KERNELS if load().handle is not None else KERNELS
    budget = 20.0 * LM_SHARE

    def pretend(*milliseconds: float) -> Choice:
        times = dict(zip(order, milliseconds, strict=False))
        monkeypatch.setattr(kernel_choice, "_column_ms", lambda lm, spec, kernel: times[kernel])
        cache.unlink(missing_ok=True)
        chosen = choose(folder)
        assert chosen is not None
        return chosen

    assert pretend(2.0, *[1.0] * 4).kernel == order[0]
    assert pretend(4 * budget, budget - 0.1, *[1.0] * 3).kernel == order[1]
    assert pretend(4 * budget, 2 * budget, budget - 0.1, *[1.0] * 2).kernel == order[2]
    slow = pretend(9 * budget, 4 * budget, 2 * budget, 3 * budget, 3 * budget)
    assert slow.kernel == order[2] and not slow.holds and slow.factor == pytest.approx(2 * LM_SHARE)


def test_the_users_word_and_the_shipped_model_are_left_alone(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose("embedded") is None
    monkeypatch.setenv("DESCANT_KERNEL", "fp32")
    assert choose(folder) is None and models.load_named(folder).lm.kernel == "fp32"


def test_without_a_compiler_it_chooses_among_torchs_kernels(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(build.CACHE_VARIABLE, str(tmp_path / "empty"))
    monkeypatch.setenv(build.COMPILER_VARIABLE, "no-such-compiler")
    chosen = choose(folder)
    assert chosen is not None and chosen.kernel in KERNELS
