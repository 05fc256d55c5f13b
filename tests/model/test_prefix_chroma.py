"""The melody prefix is transformers' MusicgenMelodyFeatureExtractor's, and windows go round their clip."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.audio_utils import chroma_filter_bank

from descant.model.conditions.prefix_chroma import PrefixChroma, filter_bank, melody_of_stems
from descant.model.conditions.sinc import resampled
from descant.model.errors import ModelError

RATE = 32000
theirs = importlib.import_module("transformers.models.musicgen_melody.feature_extraction_musicgen_melody")


def spectrogram(
    n_fft: int, win_length: int, hop_length: int, power: int, center: bool, pad: int, normalized: bool
) -> Callable[[Tensor], Tensor]:
    """torchaudio.transforms.Spectrogram as documented: the only part of the oracle that is not installed."""
    assert (power, center, pad, normalized, win_length) == (2, True, 0, True, n_fft)
    window = torch.hann_window(n_fft)

    def run(wave: Tensor) -> Tensor:
        spectra = torch.stft(
            wave, n_fft, hop_length, n_fft, window, center=True, pad_mode="reflect", return_complex=True
        )
        return (spectra / window.pow(2.0).sum().sqrt()).abs().pow(2)

    return run


@pytest.fixture(scope="module")
def extractor() -> Iterator[Callable[..., Tensor]]:
    """extractor(wave, **numbers) -> frames, by transformers; one of each kind is made."""
    make = lru_cache(lambda **numbers: theirs.MusicgenMelodyFeatureExtractor(**numbers))

    def run(wave: Tensor, **numbers: int) -> Tensor:
        return make(**numbers)(wave, sampling_rate=RATE, return_tensors="pt")["input_features"][0]

    with pytest.MonkeyPatch.context() as patch:
        torchaudio = SimpleNamespace(transforms=SimpleNamespace(Spectrogram=spectrogram))
        patch.setattr(theirs, "torchaudio", torchaudio, raising=False)
        yield run


def noise(samples: int, seed: int = 0) -> Tensor:
    return 0.2 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def tone(key: float, seconds: float, rate: int = RATE) -> Tensor:
    hertz = 440.0 * 2 ** ((key - 69) / 12)
    return 0.5 * torch.sin(2 * math.pi * hertz / rate * torch.arange(round(seconds * rate)).double()).float()


@pytest.mark.parametrize("samples", [2, 999, 16383, 16384, 16385, 40001, 131072, 30 * RATE])
def test_frames_are_transformers(extractor: Callable[..., Tensor], samples: int) -> None:
    wave = noise(samples, samples)
    ours = PrefixChroma().frames(wave, RATE)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, extractor(wave))


@pytest.mark.parametrize("n_chroma", [1, 7, 8, 24])
def test_other_numbers_of_bins_are_transformers_too(extractor: Callable[..., Tensor], n_chroma: int) -> None:
    wave = noise(100_003)
    assert torch.equal(PrefixChroma(n_chroma).frames(wave, RATE), extractor(wave, num_chroma=n_chroma))


def test_other_spectra_are_transformers_too(extractor: Callable[..., Tensor]) -> None:
    wave = noise(50_001)
    ours = PrefixChroma(12, n_fft=2048, hop=500).frames(wave, RATE)
    assert torch.equal(ours, extractor(wave, n_fft=2048, hop_length=500))


@pytest.mark.parametrize("n_chroma", [5, 12, 36])
def test_the_filter_bank_is_transformers(n_chroma: int) -> None:
    expected = chroma_filter_bank(num_frequency_bins=16384, num_chroma=n_chroma, sampling_rate=RATE)
    bank = filter_bank(n_chroma, 16384, RATE)
    assert bank.shape == (n_chroma, 8193)
    torch.testing.assert_close(bank, torch.from_numpy(expected).float(), rtol=1e-6, atol=1e-9)


def test_thirty_seconds_are_235_one_hot_frames() -> None:
    frames = PrefixChroma().frames(noise(30 * RATE), RATE)
    assert frames.shape == (235, 12)
    assert bool((frames.sum(1) == 1).all()) and set(frames.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("key", range(48, 72))
def test_a_tone_is_its_pitch_class(key: int) -> None:
    frames = PrefixChroma().frames(tone(key, 1.0), RATE)
    assert frames.shape == (8, 12)
    assert frames.argmax(1).tolist() == [key % 12] * 8


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000, 44101.5])
def test_the_rate_of_the_clip_does_not_matter(rate: float) -> None:
    tones = torch.cat([tone(key, 1.0, round(rate)) for key in (57, 60, 64)])
    frames = PrefixChroma().frames(torch.stack([tones, tones]), rate)
    assert frames.shape == (1 + 3 * RATE // 4096, 12)
    assert [frames[i].argmax().item() for i in (3, 11, 19)] == [9, 0, 4]


def test_null_is_what_the_reference_hears_in_silence(extractor: Callable[..., Tensor]) -> None:
    chroma = PrefixChroma()
    silence = extractor(torch.zeros(2))  # of a single sample it drops the channel
    assert silence.shape == (5, 12)
    assert torch.equal(chroma.null(235), chroma.fit(silence, 235))
    assert torch.equal(PrefixChroma(8).null(3), torch.eye(8)[[0, 0, 0]])
    half = torch.cat([torch.zeros(5 * RATE), tone(64, 5.0)])
    assert chroma.frames(half, RATE).argmax(1)[:30].tolist() == [0] * 30


def test_stereo_is_heard_as_its_mean() -> None:
    both = torch.stack([noise(60_000, 1), noise(60_000, 2)])
    assert torch.equal(PrefixChroma().frames(both, RATE), PrefixChroma().frames(both.mean(0), RATE))


def test_stems_are_transformers(extractor: Callable[..., Tensor]) -> None:
    stems = torch.stack([noise(2 * 50_000, seed).view(2, -1) for seed in range(4)])
    ours = PrefixChroma().frames(melody_of_stems(stems), RATE)
    assert torch.equal(ours, extractor(stems[None]))
    stems[:2] = 100.0  # drums and bass are not heard
    assert torch.equal(PrefixChroma().frames(melody_of_stems(stems), RATE), ours)


@given(st.integers(1, 40), st.integers(1, 100))
@settings(max_examples=50, deadline=None)
def test_fit_cuts_or_goes_round(n_frames: int, length: int) -> None:
    frames = torch.nn.functional.one_hot(torch.arange(n_frames) % 12, 12).float()
    fitted = PrefixChroma().fit(frames, length)
    assert fitted.argmax(1).tolist() == [i % n_frames % 12 for i in range(length)]


@given(
    st.integers(1, 9000),
    st.floats(-50.0, 2000.0),
    st.floats(0.05, 2.0),
    st.one_of(st.none(), st.integers(1, 40)),
)
@settings(max_examples=40, deadline=None)
def test_a_window_is_cut_from_the_clip_gone_round(
    samples: int, start: float, seconds: float, length: int | None
) -> None:
    chroma = PrefixChroma(n_fft=512, hop=128, sample_rate=4000)
    clip = noise(samples) + 0.1
    first, count = math.floor(start * 4000), math.floor(seconds * 4000)
    around = clip[[i % samples for i in range(first, first + count)]]
    expected = chroma.frames(around, 4000)
    window = chroma.window(clip, 4000, start, seconds, length)
    assert torch.equal(window, expected if length is None else chroma.fit(expected, length))


def test_the_windows_of_a_long_piece() -> None:
    chroma, clip = PrefixChroma(), torch.cat([tone(60, 4.0), tone(67, 3.0)])
    first = chroma.window(clip, RATE, 0.0)
    assert first.shape == (235, 12)
    second = chroma.window(clip, RATE, 18.0, length=235)  # 4 s into the clip's third turn
    assert [second[i].argmax().item() for i in (5, 15, 30, 50)] == [7, 7, 0, 0]
    resting = torch.cat([clip, torch.zeros(40 * RATE)])
    assert torch.equal(chroma.window(resting, RATE, 10.0, 30.0, 235), chroma.null(235))


@pytest.mark.parametrize("rate", [4000, 11025, 22050, 44100, 48000, 33333, 384000])
def test_the_resampler_is_the_published_formula(rate: int) -> None:
    wave = noise(rate // 10)
    out = resampled(wave, rate, RATE)
    assert out.numel() == math.ceil(wave.numel() * RATE / rate)
    cutoff = 0.945 * min(rate, RATE) / rate
    place = torch.arange(out.numel()).double() * rate / RATE
    chosen = torch.cat([torch.arange(40), torch.randperm(out.numel())[:80], torch.arange(-40, 0)])
    away = (torch.arange(wave.numel()) - place[chosen, None]) * cutoff
    near = (away.abs() < 24) * torch.cos(away * math.pi / 48) ** 2
    expected = (torch.sinc(away) * near * cutoff) @ wave.double()
    tolerance = 2e-6 if rate != 33333 else 2e-3  # a ratio of too many phases is rounded
    torch.testing.assert_close(out[chosen].double(), expected, rtol=0, atol=tolerance)


def test_resampling_to_the_same_rate_changes_nothing() -> None:
    wave = noise(1000)
    assert resampled(wave, 32000.0, RATE) is wave


def test_refusals_name_the_value() -> None:
    chroma, clip = PrefixChroma(), noise(5000)
    refused: list[tuple[str, Callable[[], object]]] = [
        ("n_chroma is 0; allowed: whole", lambda: PrefixChroma(0)),
        ("n_chroma is 12.0", lambda: PrefixChroma(12.0)),
        ("n_fft is 1001; allowed: even", lambda: PrefixChroma(n_fft=1001)),
        ("hop is -1", lambda: PrefixChroma(hop=-1)),
        ("sample_rate is True", lambda: PrefixChroma(sample_rate=True)),
        ("silent", lambda: chroma.frames(torch.zeros(5000), RATE)),
        ("NaN", lambda: chroma.frames(torch.full((5000,), math.nan), RATE)),
        ("no audio", lambda: chroma.frames("hum.wav", RATE)),
        ("sample rate is 0", lambda: chroma.frames(clip, 0)),
        (r"shape \(0,\)", lambda: chroma.window(torch.zeros(0), RATE, 0.0)),
        ("of nan s|nan s", lambda: chroma.window(clip, RATE, 0.0, math.nan)),
        ("of 0 s", lambda: chroma.window(clip, RATE, 0.0, 0)),
        ("from inf s", lambda: chroma.window(clip, RATE, math.inf)),
        ("length is 0", lambda: chroma.null(0)),
        ("length is 2.5", lambda: chroma.fit(chroma.null(3), 2.5)),
        (r"shape \(0, 12\)", lambda: chroma.fit(torch.zeros(0, 12), 4)),
        (r"shape \(3, 12\) were given; allowed: \[F, 8\]", lambda: PrefixChroma(8).fit(chroma.null(3), 4)),
        (r"shape \(3, 2, 10\)", lambda: melody_of_stems(torch.zeros(3, 2, 10))),
        (r"shape \(4, 10\)", lambda: melody_of_stems(torch.zeros(4, 10))),
    ]
    for match, call in refused:
        with pytest.raises(ModelError, match=match):
            call()
