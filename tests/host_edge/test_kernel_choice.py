"""The kernel for a machine: measured on the model's shape, remembered, overridden by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from descant.host.edge import kernel_choice, machine, models
from descant.host.edge.kernel_choice import LM_SHARE, Choice, choose
from descant.model import tiny_model
from descant.model.kernels import build
from descant.model.kernels.build import load
from descant.model.lm.linear import DEVICE_KERNELS, KERNELS, NATIVE_KERNELS
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
        rest = len(order) - len(milliseconds)  # as quick as the last one
        times = dict(zip(order, (*milliseconds, *milliseconds[-1:] * rest), strict=True))
        monkeypatch.setattr(kernel_choice, "_column_ms", lambda lm, spec, kernel: times[kernel])
        cache.unlink(missing_ok=True)
        chosen = choose(folder)
        assert chosen is not None
        return chosen

    assert pretend(2.0, 1.0).kernel == order[0]
    assert pretend(4 * budget, budget - 0.1, 1.0).kernel == order[1]
    assert pretend(4 * budget, 2 * budget, budget - 0.1, 1.0).kernel == order[2]
    slow = pretend(9 * budget, 4 * budget, 2 * budget, 3 * budget)
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


class Card:
    """A GPU as torch tells of it: so many bytes free. What it computes is made up by each test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: float) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (int(free), 8_000_000_000))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")


def times(monkeypatch: pytest.MonkeyPatch, device_ms: float) -> None:
    monkeypatch.setattr(
        kernel_choice, "_column_ms", lambda lm, spec, kernel: device_ms if kernel in DEVICE_KERNELS else 1.0
    )


def test_a_gpu_that_computes_the_same_in_time_is_taken(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Card(monkeypatch, free=6e9)
    monkeypatch.setattr(kernel_choice, "_relative_error", lambda lm, kernel: 1e-3)
    times(monkeypatch, device_ms=2.0)
    chosen = choose(folder)
    assert chosen is not None and chosen.kernel == "cuda-fp16" and not chosen.passed_over


@pytest.mark.parametrize(
    ("free", "error", "device_ms", "why"),
    [
        (1000.0, 1e-3, 2.0, "GB are free"),
        (6e9, 0.3, 2.0, "off by 30.0%"),
        (6e9, float("nan"), 2.0, "off by"),
        (6e9, RuntimeError("no kernel image\nis available"), 2.0, "it failed: no kernel image"),
        (6e9, 1e-3, 70.0, "a column takes it 70.0 ms"),
    ],
)
def test_a_gpu_that_is_too_small_wrong_broken_or_slow_is_passed_over_with_the_reason(
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
    free: float,
    error: float | Exception,
    device_ms: float,
    why: str,
) -> None:
    def found(lm: object, kernel: str) -> float:
        if isinstance(error, Exception):
            raise error
        return error

    Card(monkeypatch, free)
    monkeypatch.setattr(kernel_choice, "_relative_error", found)
    times(monkeypatch, device_ms)
    chosen = choose(folder)
    assert chosen is not None and chosen.kernel not in DEVICE_KERNELS and why in chosen.passed_over


def test_what_a_gpu_is_compared_with_tells_kernels_apart() -> None:
    lm = kernel_choice._made_up(tiny_model().spec.lm)
    assert kernel_choice._relative_error(lm, "fp32") == 0.0
    assert 0.0 < kernel_choice._relative_error(lm, "fp16") < kernel_choice.LARGEST_ERROR
