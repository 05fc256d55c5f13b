"""The figures of codec and model where the answer is known: a tone, its copy, its half, constant codes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tools.train.measures import (
    chroma,
    chroma_agreement,
    chroma_bank,
    codebook_usage,
    log_mel,
    log_mel_distance,
    mel_bank,
)

RATE, HOP = 32000, 640


def tone(hz: float, level: float = 0.3, seconds: float = 1.0) -> Tensor:
    """[1, T]"""
    t = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    return (level * torch.sin(2 * math.pi * hz * t)).float()[None]


def noise(level: float = 0.3, seconds: float = 1.0) -> Tensor:
    """[1, T]"""
    return level * torch.randn(1, round(seconds * RATE), generator=torch.Generator().manual_seed(4))


def test_440_hz_is_class_9() -> None:
    found = chroma(tone(440.0), RATE, HOP)
    assert found.shape == (1, 12, 51)
    assert bool((found[0].argmax(0) == 9).all())
    inner = found[0, :, 8:-8]  # frames whose window lies wholly in the wave
    assert float(inner[9].min()) > 0.99
    assert torch.allclose(inner.norm(dim=0), torch.ones(inner.shape[1]), atol=1e-3)


@settings(max_examples=24, deadline=None)
@given(key=st.integers(57, 96), level=st.floats(0.02, 0.9))
def test_a_tone_is_its_pitch_class_in_every_octave_at_every_level(key: int, level: float) -> None:
    found = chroma(tone(440.0 * 2 ** ((key - 69) / 12), level, 0.5), RATE, HOP)
    assert bool((found[0, :, 7:-7].argmax(0) == key % 12).all())


def test_silence_has_no_chroma_and_what_is_out_of_range_counts_for_nothing() -> None:
    assert float(chroma(torch.zeros(2, RATE), RATE, HOP).abs().max()) == 0.0
    bank = chroma_bank(RATE, 8192)
    hz = torch.arange(4097) * RATE / 8192
    assert bank.shape == (12, 4097)
    assert float(bank[:, (hz < 80) | (hz > 4200)].abs().max()) == 0.0
    assert float(bank[:, (hz > 100) & (hz < 4000)].amax(0).min()) > 0.2  # no gap between two classes


def test_a_wave_agrees_with_itself() -> None:
    for wave in (tone(440.0), tone(261.63) + tone(329.63) + tone(392.0), noise()):
        cosine, dominant = chroma_agreement(wave, wave, RATE, HOP)
        assert cosine == pytest.approx(1.0, abs=2e-3)
        assert dominant == 1.0
        assert log_mel_distance(wave, wave, RATE, HOP) == 0.0


def test_other_notes_disagree_and_silent_frames_are_not_asked() -> None:
    cosine, dominant = chroma_agreement(tone(440.0), tone(622.25), RATE, HOP)
    assert cosine < 0.05 and dominant < 0.05
    reference = torch.cat([tone(440.0), torch.zeros(1, RATE)], dim=1)
    output = torch.cat([tone(440.0), tone(622.25)], dim=1)
    cosine, dominant = chroma_agreement(reference, output, RATE, HOP)
    assert cosine > 0.8 and dominant > 0.8  # the edge's frames differ; with the silent ones it would be 0.5
    assert all(math.isnan(v) for v in chroma_agreement(torch.zeros(1, RATE), tone(440.0), RATE, HOP))


def test_chroma_does_not_hear_level_and_log_mel_does() -> None:
    wave = noise()
    assert chroma_agreement(wave, 0.5 * wave, RATE, HOP)[0] == pytest.approx(1.0, abs=2e-3)
    assert log_mel_distance(wave, 0.5 * wave, RATE, HOP) == pytest.approx(math.log(2), abs=5e-3)
    assert log_mel_distance(0.5 * wave, wave, RATE, HOP) == pytest.approx(math.log(2), abs=5e-3)
    assert log_mel_distance(wave, 0.1 * wave, RATE, HOP) == pytest.approx(math.log(10), abs=3e-2)


def test_log_mel_has_eighty_bands_a_hop_and_a_floor() -> None:
    assert log_mel(noise(), RATE, HOP).shape == (1, 80, 51)
    silent = log_mel(torch.zeros(1, RATE), RATE, HOP)
    assert torch.allclose(silent, torch.full_like(silent, math.log(1e-3)))
    bank = mel_bank(RATE, 2048)
    assert bank.shape == (80, 1025)
    assert float(bank.min()) >= 0.0 and float(bank.max()) <= 1.0
    assert bool((bank.sum(1) > 0).all()), "every band hears some bin"
    centres = bank.argmax(1)
    assert bool((centres[1:] >= centres[:-1]).all())


def test_usage_of_codes() -> None:
    constant = torch.full((2, 1, 30), 7)
    assert codebook_usage(constant, 16) == [(1, 1.0)]
    even = torch.arange(16).repeat(4).view(2, 1, 32)
    two = torch.tensor([0, 5]).repeat(16).view(1, 1, 32).expand(2, 1, 32)
    (all_used, all_perplexity), (two_used, two_perplexity) = codebook_usage(torch.cat([even, two], dim=1), 16)
    assert (all_used, two_used) == (16, 2)
    assert all_perplexity == pytest.approx(16.0) and two_perplexity == pytest.approx(2.0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 15), min_size=1, max_size=60))
def test_perplexity_lies_between_one_and_the_entries_used(values: list[int]) -> None:
    ((used, perplexity),) = codebook_usage(torch.tensor(values).view(1, 1, -1), 16)
    assert used == len(set(values))
    assert 1.0 - 1e-9 <= perplexity <= used + 1e-9
