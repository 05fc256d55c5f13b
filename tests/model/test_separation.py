"""Source separation before the chroma: which stems count, at which rate, and what is said without it."""

import pytest
import torch

from descant.model import ModelError
from descant.model.conditions.separation import CHANNELS, RATE, htdemucs, without_drums_and_bass


def tone(hertz, seconds=0.5, rate=RATE):
    return torch.sin(2 * torch.pi * hertz / rate * torch.arange(round(seconds * rate)))


def test_the_other_instruments_and_the_voice_are_kept():
    def separate(mix):
        assert mix.shape == (CHANNELS, RATE // 2)
        return torch.stack([tone(f).expand(2, -1) for f in (60.0, 90.0, 440.0, 660.0)])

    wave, rate = without_drums_and_bass((tone(100.0, rate=32000), 32000), separate)
    assert rate == RATE
    torch.testing.assert_close(wave, tone(440.0) + tone(660.0))


def test_bad_clips_are_refused_before_anything_is_separated():
    def never(mix):
        raise AssertionError("not to be called")

    for bad in ((torch.zeros(0), 32000), (torch.full((9,), torch.nan), 32000), "clip"):
        with pytest.raises(ModelError):
            without_drums_and_bass(bad, never)


def test_without_the_package_an_error_says_how_to_get_it():
    with pytest.raises(ModelError) as error:
        htdemucs()
    assert "descant[separation]" in error.value.do
