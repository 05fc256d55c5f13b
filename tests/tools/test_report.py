"""The report says yes only where the figures do, and the picture of any take can be drawn."""

from __future__ import annotations

import numpy as np

from tools.hum_synth import hum
from tools.listen import follow, measure_sections
from tools.make_performance import melody
from tools.picture import draw
from tools.report import report
from tools.take import Commit, MeterReading, Played, Section, Take

RATE = 32000
N = 8 * RATE


def take(first: np.ndarray, second: np.ndarray, underruns: int = 0) -> Take:
    wave = np.concatenate([first, second]).astype(np.float32)
    return Take(
        RATE, wave[None], 0, (0, N // 4, N, 2 * N), 0,
        (Section(0, N, "pad 1", "a drone", False), Section(N, 2 * N, "pad 2", "a flute", True)),
        (Played(0, "pad", "pad 1"), Played(100, "cc", "CC 1 → guidance", 0.5), Played(0, "hum", "hum", 8.0)),
        (Commit(N, 1),), (MeterReading(1000, 400.0, 0.2),), tuple(melody()), ((N, 2 * N),), (130.0, 150.0),
        underruns, 120.0, "test", "0" * 64, 1, ("a fault",) * 3,
    )  # fmt: skip


def said(taken: Take) -> str:
    sections, following = measure_sections(taken), follow(taken)
    assert draw(taken, sections, following).axes
    return report(taken, sections, following)


NOISE = np.random.default_rng(0).normal(0, 0.05, N)


def test_a_take_that_changes_and_follows_is_said_to() -> None:
    text = said(take(NOISE, hum(melody(), 8.0, RATE)))
    assert "changes with the pads: yes" in text and "follows the hum: yes" in text
    assert "0 underruns" in text and "NOT KEPT UP" not in text and "3 × a fault" in text
    assert "400 ms" in text and "130 ms (p50)" in text and "5.0 times as fast" in text


def test_a_take_that_does_neither_is_not() -> None:
    text = said(take(NOISE, NOISE[::-1]))
    assert "changes with the pads: NO" in text and "follows the hum: NO" in text


def test_silence_is_no_change_and_gaps_are_told() -> None:
    text = said(take(NOISE, np.zeros(N), underruns=4))
    assert "changes with the pads: NO" in text and "NOT KEPT UP" in text
    assert "follows the hum: yes" not in text
