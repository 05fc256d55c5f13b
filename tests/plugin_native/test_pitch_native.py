"""The pitch of what is heard: a sine of the engine keeps it at any rate and block, without NaN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.plugin_bridge.small_host import ipc_endpoint
from tests.plugin_native.serving import Serving
from tests.plugin_native.sine_host import HZ, PEAK, SineHost, measured

RATES = (22050, 32000, 44100, 48000, 88200, 96000, 192000)
BLOCKS = ("1", "17", "64", "441", "1024", "4096", "1,4096,17,333,2048,64,2")
CENTS = 1.0
SOME = ((22050, "4096"), (44100, "1,4096,17,333,2048,64,2"), (192000, "17"))  # of all: those run each time


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with ipc_endpoint() as endpoint:
        made = Serving(SineHost(endpoint))
        yield made
        made.close()


def pairs() -> Iterator[object]:
    for rate in RATES:
        for blocks in BLOCKS:
            marks = () if (rate, blocks) in SOME else pytest.mark.slow
            yield pytest.param(rate, blocks, marks=marks)


@pytest.mark.parametrize(("rate", "blocks"), list(pairs()))
def test_a_sine_keeps_its_pitch_at_any_rate_and_block(built, serving, tmp_path: Path, rate, blocks):
    clap_host, plugin = built / "rig" / "clap_host", built / "native" / "bin" / "descant.clap"
    out = tmp_path / "out.raw"
    for _ in range(5):  # a machine that stalls for longer than the lead leaves a gap: then once more
        counts = serving.run(clap_host, plugin, "play", 1.7, rate, blocks, 400, out)
        assert (counts["link"], counts["foul"], counts["allocations"]) == (2, 0, 0)
        heard = np.fromfile(out, np.float32)
        assert np.isfinite(heard).all()
        whole = counts["underruns"] == 0 and np.count_nonzero(heard) > rate
        if whole:
            break
    assert whole
    sine = measured(heard, rate)
    print(f"{rate} Hz, blocks of {blocks}: {sine.cents:+.1e} cents, {sine.rest / PEAK:.1e} beside the sine")
    assert sine.seconds > 0.9
    assert abs(sine.cents) <= CENTS
    assert abs(sine.peak / PEAK - 1) < 0.01 and sine.rest < PEAK / 1000, "in one piece: no block out of place"


def test_what_measures_it_finds_a_hundredth_of_a_cent_and_a_sample_out_of_place():
    t = np.arange(44100) / 44100
    sharp = PEAK * np.sin(2 * np.pi * HZ * 2 ** (0.01 / 1200) * t)
    assert measured(sharp, 44100).cents == pytest.approx(0.01, abs=1e-5)
    assert measured(np.delete(sharp, 22050), 44100).rest > PEAK / 100
