"""Auditions through real sessions: pads by themselves, the same in any company; lengths that are refused."""

import numpy as np
import pytest

from descant.host.audition import audition
from descant.host.errors import HostError
from descant.host.events import SessionHello, Trigger
from descant.host.render import render


def test_pads_are_what_a_render_plays(model, presets):
    shares = []
    heard = audition(model, presets, "pads", (3, 4), 1, (0, 2), progress=shares.append)
    assert heard.slots == (0, 2) and [one.seed for one in heard.of(2)] == [3, 4]
    assert shares == sorted(shares) and shares[-1] == 1
    rate = model.spec.sample_rate
    hello = SessionHello(rate, channels=model.spec.channels, preset="pads", seed=4)
    alone = render(model, presets, [Trigger(0, 2)], 2.0, hello).wave.mean(axis=0)
    np.testing.assert_allclose(heard.of(2)[1].wave, alone, atol=1e-5)
    other, near = heard.nearest(0)
    assert other == 2 and near > 0 and heard.spread(0) > 0


def test_lengths_nobody_could_judge_are_refused(model, presets):
    for bars in (0, 200):
        with pytest.raises(HostError, match=r"bars of pads last .* allowed: 1\.\.120 s"):
            audition(model, presets, "pads", (0,), bars)
