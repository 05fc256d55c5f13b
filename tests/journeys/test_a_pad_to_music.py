"""Journey A, pad to music: a pad's music comes on its line to the sample, a control after the commit
window."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.host.preset import parse_preset
from descant.model import tiny_model
from descant.plugin_bridge import wire
from tests.journeys.stage import BAR, PRESET, RATE, first_difference, pad, perform, transport

FRAME = RATE // 50
COMMIT = round(0.120 * RATE)
START = [transport(), pad(36, 2000)]  # pressed in bar 0, so music begins with bar 1


def lag(model) -> int:
    """Samples within which a change of conditions is heard for certain: the pattern's delay and a few
    frames."""
    return round((model.spec.lm.max_delay + 4) * FRAME)


def test_silence_until_the_line_then_music_from_its_first_sample(tiny) -> None:
    heard = perform(tiny, START, 2.5)
    assert not heard.wave[:, :BAR].any()
    assert BAR <= heard.first_sound() < BAR + 16  # it rises from zero
    assert np.abs(heard.wave[:, BAR + FRAME :]).max() > 0.01
    assert [(plan.from_sample, plan.bar) for plan in heard.plans] == [(BAR, 1.0)]
    assert heard.underruns == 0 and not heard.faults


@pytest.mark.parametrize("realtime", [True, False])
@pytest.mark.parametrize("key", [37, 38], ids=["morph", "cut"])
def test_a_note_before_bar_3_changes_the_music_at_bar_3(tiny, realtime: bool, key: int) -> None:
    line = 3 * BAR
    without = perform(tiny, START, 4.5, realtime=realtime)
    played = perform(tiny, [*START, pad(key, 2 * BAR + BAR // 2)], 4.5, realtime=realtime)
    plan = played.plans[-1]
    assert (plan.from_sample, plan.bar) == (line, 3.0)
    assert line <= first_difference(without, played) < line + (8 if key == 38 else lag(tiny))
    assert played.underruns == 0 and not played.faults


@settings(max_examples=6, deadline=None)
@given(
    tempo=st.floats(150.0, 300.0).map(lambda t: round(t, 3)),
    rate=st.sampled_from([32000, 44100, 48000, 96000]),
    block=st.sampled_from([64, 441, 1024]),
)
def test_the_line_is_right_at_any_tempo_rate_and_block_size(tempo: float, rate: int, block: int) -> None:
    line = math.floor(4 * 60 / tempo * rate + 0.5)
    start = [transport(tempo=tempo, rate=rate), pad(38, 100)]
    heard = perform(tiny_model(), start, (line + rate // 4) / rate, rate=rate, block=block)
    assert heard.plans[0].from_sample == line
    assert not heard.wave[:, :line].any()
    assert line <= heard.first_sound() < line + 64


def test_a_pad_too_late_for_its_line_waits_for_the_next(tiny) -> None:
    late = 2 * BAR - COMMIT + 600  # what sounds at bar 2 can no longer change
    heard = perform(tiny, [*START, pad(38, late)], 2.5)
    assert heard.plans[-1].from_sample == 3 * BAR


def test_an_unquantised_pad_sounds_after_the_commit_window(tiny) -> None:
    at = 5000
    heard = perform(tiny, [transport(), pad(40, at)], 1.0)
    assert at <= heard.first_sound() <= at + COMMIT + 256 + 64
    assert heard.first_sound() - at < 0.150 * RATE, "first audio within 150 ms of the trigger"


def test_a_controller_is_heard_within_the_commit_window_and_60_ms(tiny) -> None:
    steps = range(BAR + 10_000, 3 * BAR, 17_777)
    changes = [wire.Control(0, 1, 20 + 17 * i, at_sample=at) for i, at in enumerate(steps[:3])]
    heard = [perform(tiny, [*START, *changes[:n]], 3.0) for n in range(len(changes) + 1)]
    for change, before, after in zip(changes, heard, heard[1:], strict=False):
        first = first_difference(before, after)
        # temperature moves what is drawn, not always the very next token: lag() more for the draw to differ
        assert change.at_sample < first <= change.at_sample + COMMIT + 0.060 * RATE + lag(tiny)
    meter = heard[-1].meters[-1]
    assert 0 < meter.control_delay_ms_p50 <= meter.control_delay_ms_p95 <= 120 + 60
    replaced = heard[-1].epochs[1:]
    assert replaced, "audio made ahead was replaced"
    for epoch in replaced:
        assert epoch.from_sample >= epoch.playhead + COMMIT - 256, "what was committed stays"


def test_rewinding_leaves_the_stream_as_it_was(tiny) -> None:
    """A ride that changes nothing rewinds often: outside the crossfades every sample is that of the calm
    take."""
    ride = [
        wire.Control(0, 2, 40 + i, at_sample=BAR + 5000 + 7001 * i) for i in range(6)
    ]  # no hum: no effect
    calm, ridden = perform(tiny, START, 2.5), perform(tiny, [*START, *ride], 2.5)
    joints = [epoch.from_sample for epoch in ridden.epochs[1:]]
    assert len(joints) >= 3
    outside = np.ones(calm.wave.shape[1], bool)
    for joint in joints:
        outside[joint : joint + round(0.005 * RATE) + 1] = False
    assert np.array_equal(calm.wave[:, outside], ridden.wave[:, outside])
    assert np.abs(ridden.wave).max() <= 1.5 * np.abs(calm.wave).max()


def test_same_seed_and_events_same_samples_and_another_seed_another_take(tiny) -> None:
    events = [*START, pad(37, 2 * BAR - 20_000), wire.Control(0, 1, 90, at_sample=BAR + 30_000)]
    once, again, other = (
        perform(tiny, events, 3.0),
        perform(tiny, events, 3.0),
        perform(tiny, events, 3.0, seed=2),
    )
    assert first_difference(once, again) == round(3.0 * RATE)
    assert first_difference(once, other) < BAR + lag(tiny)


def test_a_stop_pad_ends_the_music_at_its_line_without_a_click(tiny) -> None:
    heard = perform(tiny, [*START, pad(39, 2 * BAR - 20_000)], 3.0)
    fade = round(0.050 * RATE)
    tail = np.abs(heard.wave[:, 2 * BAR : 2 * BAR + fade])
    assert tail[:, : fade // 8].max() > 0.005, "the fade begins at the line"
    assert tail[:, -fade // 16 :].max() < 0.2 * tail[:, : fade // 8].max()
    assert not heard.wave[:, 2 * BAR + fade + 64 :].any()


def test_the_transport_jumps_and_a_waiting_pad_finds_its_new_line(tiny) -> None:
    jump = 2 * BAR + 10_000
    # half a bar is skipped: what would have been bar 3 comes 24,000 samples sooner
    moved = wire.Transport(240.0, (jump + BAR // 2) / RATE * 4, 4, 4, at_sample=jump)
    heard = perform(tiny, [*START, pad(38, 2 * BAR + 2000), moved], 3.5)
    assert heard.plans[-1].from_sample == 3 * BAR - BAR // 2


def test_bad_events_are_answered_and_the_music_goes_on(tiny) -> None:
    bad = [
        wire.Trigger(99, at_sample=BAR + 1000),
        wire.Parameter("loudness", 1.0, at_sample=BAR + 2000),
        wire.Preset("nowhere", at_sample=BAR + 3000),
        wire.Prompt(3, "words for a pad that stops", at_sample=BAR + 4000),
    ]
    without, heard = perform(tiny, START, 2.5), perform(tiny, [*START, *bad], 2.5)
    assert first_difference(without, heard) == round(2.5 * RATE)
    assert len(heard.faults) == len(bad)
    for fault in heard.faults:
        assert fault.what and fault.still and fault.do and fault.severity == "warning"


def test_ten_pads_at_once_play_the_last_one(tiny) -> None:
    pads = [pad(36 + i % 3, 2 * BAR - 30_000 + i) for i in range(9)] + [pad(37, 2 * BAR - 29_000)]
    one = perform(tiny, [*START, pad(37, 2 * BAR - 29_000)], 2.6)
    heard = perform(tiny, [*START, *pads], 2.6)
    assert heard.plans[-1].text == one.plans[-1].text
    assert first_difference(one, heard) >= 2 * BAR, "the others never sounded"
    assert np.array_equal(one.wave[:, 2 * BAR :], heard.wave[:, 2 * BAR :])


def test_a_fade_is_longer_than_a_cut(tiny) -> None:
    fading = {
        "f": parse_preset(PRESET.replace('"cut"', '"fade"').replace('name = "journey"', 'name = "f"'), "f")
    }
    line = 2 * BAR
    heard = perform(tiny, [*START, pad(38, line - 20_000)], 3.0, shown=fading)
    without = perform(tiny, START, 3.0)
    cut = perform(tiny, [*START, pad(38, line - 20_000)], 3.0)
    later = slice(line + 4800, line + 9600)  # 100..200 ms on, the fade of 500 ms still holds both streams
    assert not np.array_equal(heard.wave[:, later], cut.wave[:, later])
    assert line <= first_difference(without, heard) < line + 64
    assert np.allclose(heard.wave[:, line + 24_100 :], cut.wave[:, line + 24_100 :], atol=1e-6)
