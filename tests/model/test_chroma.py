"""Melody from a clip: pitch classes frame by frame, rests, and clips that cannot be used."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.model.conditions.chroma import LineListener, melody_frames
from descant.model.conditions.prefix_chroma import PrefixChroma
from descant.model.conditions.prefix_listener import PrefixListener
from descant.model.errors import ModelError

NOTES = [60, 62, 64, 57, 67, 45, 72, 59]


def sing(notes, sample_rate, seconds_each=0.5, harmonics=8, breath=0.003):
    """Notes (MIDI keys, None a rest) with harmonics and a little noise: [T] float32."""
    n = round(seconds_each * sample_rate)
    hertz = np.concatenate([np.full(n, 0.0 if k is None else 440.0 * 2 ** ((k - 69) / 12)) for k in notes])
    phase = 2 * math.pi * np.cumsum(hertz) / sample_rate
    wave = sum(np.sin(phase * h) / h**1.2 for h in range(1, harmonics + 1)) * (hertz > 0)
    noise = np.random.default_rng(0).standard_normal(len(wave))
    return (0.2 * wave + breath * noise).astype(np.float32)


@pytest.mark.parametrize("sample_rate", [16000, 32000, 44100, 48000])
def test_each_note_is_found_at_any_rate(sample_rate):
    frames = melody_frames(sing(NOTES, sample_rate), sample_rate, 50.0)
    truth = torch.tensor([NOTES[f // 25] % 12 for f in range(200)])
    assert frames.shape == (200, 12) and set(frames.sum(dim=-1).tolist()) <= {0.0, 1.0}
    assert (frames.argmax(dim=-1) == truth).float().mean() > 0.97


def test_rests_and_noise_are_absent():
    frames = melody_frames(sing([60, None, 64, None], 32000), 32000, 50.0)
    heard = frames.sum(dim=-1)
    assert heard[2:22].all() and heard[52:72].all()
    assert heard[30:46].sum() == 0 and heard[80:98].sum() == 0
    noise = 0.1 * torch.randn(64000, generator=torch.Generator().manual_seed(0))
    assert melody_frames(noise, 32000, 50.0).sum() == 0


def test_channels_loudness_offset_and_clipping_do_not_matter():
    wave = torch.from_numpy(sing(NOTES, 32000))
    plain = melody_frames(wave, 32000, 50.0)
    stereo = melody_frames(torch.stack([wave, wave]), 32000, 50.0)
    assert torch.equal(plain, stereo)
    for changed in (wave * 0.05, wave + 0.3, (wave * 20).clamp(-1, 1), wave.double().numpy()):
        assert (melody_frames(changed, 32000, 50.0) == plain).all(dim=-1).float().mean() > 0.95


def test_a_clip_shorter_than_a_window_still_gives_its_frames():
    assert melody_frames(sing([69], 32000, 0.02), 32000, 50.0).shape == (1, 12)
    assert melody_frames(np.array([0.5], dtype=np.float32), 32000, 50.0).shape == (1, 12)


@pytest.mark.parametrize(
    ("wave", "rate", "says"),
    [
        (np.zeros(0, np.float32), 32000, "shape"),
        (np.zeros((0, 5), np.float32), 32000, "shape"),
        (np.zeros((2, 2, 2), np.float32), 32000, "shape"),
        (np.zeros(32000, np.float32), 32000, "silent"),
        (np.full(32000, np.nan, np.float32), 32000, "not numbers"),
        (np.full(32000, np.inf, np.float32), 32000, "not numbers"),
        (torch.zeros(1).expand(4000 * 3 * 3600), 4000, "lasts 10800 s"),
        (np.ones(100, np.float32), 0, "sample rate"),
        (np.ones(100, np.float32), None, "sample rate"),
        ("hum.wav", 32000, "no audio"),
    ],
)
def test_clips_that_cannot_be_used_say_why(wave, rate, says):
    with pytest.raises(ModelError, match=says) as error:
        melody_frames(wave, rate, 50.0)
    assert len(str(error.value).splitlines()) == 3


def cut(wave, places):
    return np.split(wave, sorted(set(places)))


@settings(max_examples=25)
@given(
    rate=st.sampled_from([4000, 8000, 16000, 22050, 44100, 48000, 96000, 44101.5]),
    seconds=st.floats(0.001, 4.0),
    places=st.lists(st.floats(0, 1), max_size=12),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("make", ["line", "prefix"])
def test_however_a_clip_is_cut_it_is_heard_the_same(make, rate, seconds, places, seed):
    """Also where a piece is one sample or none."""
    n = max(1, round(seconds * rate))
    rng = np.random.default_rng(seed)
    keys = [None if rng.random() < 0.2 else int(rng.integers(45, 80)) for _ in range(9)]
    wave = sing(keys, round(rate), 0.5, breath=0.01)[:n]
    spots = [round(place * len(wave)) for place in places]
    spots += [min(len(wave), spot + 1) for spot in spots[:3]]

    def heard(pieces):
        if make == "line":
            listener = LineListener(rate, 50.0)
        else:
            listener = PrefixListener(PrefixChroma(n_fft=4096, hop=640), rate)
        for piece in pieces:
            listener.push(torch.from_numpy(piece))
        return listener.finish()

    whole, parts = heard([wave]), heard(cut(wave, spots))
    assert whole.shape[1] == 12 and torch.equal(whole, parts)


@pytest.mark.parametrize("n_fft", [1024, 16384])
@pytest.mark.parametrize("seconds", [0.01, 0.2, 0.6, 3.3, 40.0])
def test_a_clip_before_the_music_is_heard_as_the_reference_hears_all_of_it(n_fft, seconds):
    maker = PrefixChroma(n_fft=n_fft, hop=640)
    wave = torch.from_numpy(sing(NOTES * 10, 32000)[: round(seconds * 32000)])
    listener = PrefixListener(maker, 32000)
    for piece in wave.split(7001):
        listener.push(piece)
    silence = torch.zeros(max(0, n_fft - len(wave)))
    whole = maker.frames(torch.cat([wave, silence]), 32000)[: -(-len(wave) // 640)]
    assert (listener.finish() == whole).all(dim=-1).float().mean() > 0.999  # but for a tie in its last bit
