"""`descant bench --musicgen` at a tiny size: every figure is there, and bars are judged."""

from __future__ import annotations

import importlib.util
import math
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch

from descant.host.edge import bench_bars, bench_musicgen, parity_sizes
from descant.host.edge.bench_bars import MusicgenFigures
from descant.host.edge.bench_memory import measure_memory
from descant.host.edge.bench_musicgen import Course, MusicgenEntry
from descant.host.edge.bench_reference import Reference
from descant.host.edge.bench_weights import write_folder
from descant.host.errors import HostError
from descant.model import Sampling, load_model

COURSE = Course(parity_sizes.TINY, (0.5, 5.0, 10.0), 1, 5, (1, 4), 0.6, 0.2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the reference's own
@pytest.mark.parametrize("kernel", ["fp32"])
def test_a_line_a_picture_and_a_verdict_for_every_bar(
    kernel: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_musicgen, "ask_for_priority", lambda: False)
    monkeypatch.setattr(bench_musicgen, "apply_threads", lambda threads: None)
    log, picture = tmp_path / "log.jsonl", tmp_path / "musicgen.png"
    bench_musicgen.run(kernel, 1, log, None, COURSE)
    out = " ".join(capsys.readouterr().out.split())
    found = msgspec.json.decode(log.read_bytes(), type=MusicgenEntry).musicgen
    assert [one.seconds for one in found.contexts] == list(COURSE.contexts)
    assert [one.sessions for one in found.sessions] == [1, 4] == [one.sessions for one in found.embedded]
    assert found.stages.wire.n == 5 and found.window.frame.n == 29 and found.memory.playing > 1e7
    assert all(one.over_bf16 > 0 and one.bf16.best > 0 and one.fp32.best > 0 for one in found.contexts)
    assert out.count("≥") + out.count("≤") == len(bench_bars.bars(found)) == 8
    assert "load average" in out and "× real time" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_bars_say_yes_and_no_and_what_was_not_measured_is_not_reached(tmp_path: Path) -> None:
    times = {"n": 1, "best": 5.0, "p50": 10.0, "p95": 10.0, "p99": 10.0}
    context = {
        **{"seconds": 5.0, "columns": 250, "lm": times, "step": times, "frame": times, "bf16": times},
        **{"fp32": times, "over_bf16": 3.1, "over_fp32": 9.9},
        **{"floor": None, "roofline": None, "best_roofline": None},
    }
    figures = msgspec.convert(
        {
            **{"size": "x", "kernel": "fp32", "threads": 1, "hop_ms": 20.0, "load": 0.0, "load_after": 0.0},
            "contexts": [context, {**context, "seconds": 10.0}],
            "stages": dict.fromkeys(("text", "lm", "sampling", "codec", "wire"), times),
            "sessions": [],
            "window": {"seconds": 30.0, "frame": times, "real_time": 0.9, "at_best": 1.4},
            "first_audio": times,
            "embedded": [{"sessions": 4, "seconds": 1.0, "factor": 0.8}],
            "memory": {"loading": 1_300_000_000, "playing": 1_100_000_000},
        },
        MusicgenFigures,
    )
    verdicts = [(bar.what.split(",")[0], bar.reached) for bar in bench_bars.bars(figures)]
    assert verdicts == [
        ("LM and codec", False),
        ("LM and codec", True),
        ("over transformers bf16", True),
        ("over transformers fp32", False),
        ("of the memory roofline", False),
        ("4 embedded sessions", True),
        ("peak memory", False),
        ("first audio", True),
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_random_weights_load_and_a_child_tells_its_memory(tmp_path: Path) -> None:
    write_folder(parity_sizes.TINY, tmp_path)
    model = load_model(str(tmp_path), "fp32")
    assert model.spec.lm.dim == 32 and model.spec.lm.window == 1500
    wave = model.generate("warm piano", seconds=0.2)
    assert bool(torch.isfinite(wave).all())
    peak = measure_memory(str(tmp_path), "fp32", 1, 2)
    assert 0 < peak.loading <= peak.playing
    with pytest.raises(HostError, match="measure of memory failed"):
        measure_memory(str(tmp_path / "nothing"), "fp32", 1, 2)


@pytest.mark.filterwarnings("ignore")
def test_the_reference_stays_at_its_context_and_draws_a_column() -> None:
    reference = Reference(parity_sizes.TINY, torch.bfloat16, 5, Sampling())
    for context in (2, 40):
        reference.at(context)
        for _ in range(3):
            drawn = reference.step()
            assert drawn.shape == (4, 1) and int(drawn.max()) < parity_sizes.TINY.cardinality
            assert reference._cache.get_seq_length() == context
            reference.back()


def test_without_transformers_three_lines_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "transformers" else find(n))
    with pytest.raises(HostError, match="transformers") as told:
        bench_musicgen.run("native-int8", 1, tmp_path / "log", None, COURSE)
    assert "pip install transformers" in told.value.do and not list(tmp_path.iterdir())


def test_a_full_disk_is_told_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    size = replace(parity_sizes.TINY, spread=0.1)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(HostError, match="GB"):
        write_folder(size, tmp_path)
    assert not list(tmp_path.iterdir()) and math.isfinite(size.spread)
