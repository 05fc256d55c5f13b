"""Guidance works from where it is asked for, whatever the preset began with, and costs nothing before."""

from dataclasses import replace

import numpy as np
import pytest

from descant.host.events import FaultOut, Parameter, PresetChange, SessionHello, Trigger
from descant.host.preset import Preset, PromptSlot, SamplingRow
from descant.host.render import render, replay

HELLO = SessionHello(48_000, channels=1, preset="plain")


@pytest.fixture(scope="module")
def presets():
    slots = (PromptSlot(text="calm jazz with piano"), PromptSlot(text="driving techno", transition="cut"))
    plain = Preset(name="plain", prompts=slots, quantise="off", sampling=SamplingRow(guidance=1.0))
    return {"plain": plain, "led": Preset(name="led", prompts=slots, quantise="off")}


def first_difference(a, b):
    different = np.flatnonzero((a != b).any(axis=0))
    return int(different[0]) if len(different) else None


@pytest.mark.parametrize("change", [Parameter(48_000, "guidance", 6.0), PresetChange(48_000, "led")])
def test_guidance_is_heard_where_it_was_asked_for(model, presets, change):
    plain = render(model, presets, [Trigger(0, 0)], 2.0, HELLO)
    guided = render(model, presets, [Trigger(0, 0), change], 2.0, HELLO)
    changed = first_difference(plain.wave, guided.wave)
    assert changed is not None and 48_000 <= changed <= 48_000 + 8 * 960
    assert not guided.faults


def test_it_acts_as_it_would_have_from_the_start_and_can_be_taken_back(model, presets):
    from_start = render(model, presets, [Parameter(0, "guidance", 6.0), Trigger(0, 0)], 1.0, HELLO)
    before = render(model, presets, [Parameter(0, "guidance", 3.0), Trigger(0, 0)], 1.0, HELLO)
    led = render(model, presets, [Trigger(0, 0)], 1.0, SessionHello(48_000, channels=1, preset="led"))
    assert np.array_equal(before.wave, led.wave) and not np.array_equal(from_start.wave, led.wave)
    back = [Trigger(0, 0), Parameter(24_000, "guidance", 6.0), Parameter(48_000, "guidance", 1.0)]
    assert not render(model, presets, back, 2.0, HELLO).faults


def test_live_a_stream_is_guided_from_the_change_on_and_the_take_plays_again(client, model, presets):
    from descant.host.engine import Engine

    player = client(engine=Engine(model, presets), seconds=3, slices=12, preset="plain", channels=1)
    player.send(Trigger(0, 0))
    player.run_to(48_000)
    session = player.engine.session(1)
    assert not session.playback.current().guided
    for at, value in ((48_000, 6.0), (60_000, 1.0), (72_000, 4.0)):
        player.run_to(at)
        player.send(Parameter(at, "guidance", value))
    player.run_to(player.total)
    assert session.playback.current().guided and not player.faults
    again = replay(model, presets, session.log.entries, 3, player.hello)
    assert np.array_equal(again.wave, player.heard)


def test_no_guidance_is_no_second_row(client, model, presets):
    from descant.host.engine import Engine

    player = client(engine=Engine(model, presets), seconds=1, preset="plain")
    player.send(Trigger(0, 0))
    player.run_to(24_000)
    assert not player.engine.session(1).playback.current().guided
    assert not [output for output in player.outputs if isinstance(output, FaultOut)]


@pytest.mark.parametrize("change", [("guidance_every", 4.0), ("guidance_fall", 0.5)])
def test_the_dial_is_a_parameter_heard_where_it_is_turned(model, presets, change):
    hello = SessionHello(48_000, channels=1, preset="led")
    usual = render(model, presets, [Trigger(0, 0)], 2.0, hello)
    turned = render(model, presets, [Trigger(0, 0), Parameter(48_000, *change)], 2.0, hello)
    changed = first_difference(usual.wave, turned.wave)
    assert changed is not None and 48_000 <= changed <= 48_000 + 12 * 960
    assert not turned.faults


def test_the_dial_is_a_presets_and_falls_anew_with_each_trigger(model, presets):
    slots = presets["plain"].prompts
    row = SamplingRow(guidance=5.0, guidance_fall=0.4)
    falling = {"plain": Preset(name="plain", prompts=slots, quantise="off", sampling=row)}
    once = render(model, falling, [Trigger(0, 0)], 2.0, HELLO).wave
    morphed = render(model, falling, [Trigger(0, 0), Trigger(48_000, 0)], 2.0, HELLO).wave
    changed = first_difference(once, morphed)  # the same words again: guidance alone has begun anew
    assert changed is not None and 48_000 <= changed <= 48_000 + 12 * 960
    stays = {"plain": Preset(name="plain", prompts=slots, quantise="off", sampling=SamplingRow(guidance=5.0))}
    assert first_difference(once, render(model, stays, [Trigger(0, 0)], 2.0, HELLO).wave) < 48_000


@pytest.mark.parametrize("kernel", ["fp32", "native-int8"])
def test_live_whatever_is_done_to_the_dial_the_take_plays_again(client, presets, kernel):
    from descant.host.engine import Engine
    from descant.model import tiny_model
    from descant.model.kernels.build import load

    if kernel != "fp32" and load().handle is None:
        pytest.skip(f"no native library: {load().reason}")
    model = tiny_model()
    model.lm.use_kernel(kernel)
    player = client(engine=Engine(model, presets), seconds=4, slices=12, preset="led", channels=1)
    player.send(Trigger(0, 0))
    turns = [(20_000, "guidance_every", 4.0), (31_000, "guidance", 1.0), (90_000, "guidance", 5.0),
             (101_000, "guidance_fall", 0.7), (120_000, "guidance_every", 1.0)]  # fmt: skip
    for at, name, value in turns:
        player.run_to(at)
        player.send(Parameter(player.playhead, name, value))
    player.send(Trigger(player.playhead, 1))
    player.run_to(player.total)
    session = player.engine.session(1)
    assert not player.faults and len(player.replaced) >= 4
    again = replay(model, presets, session.log.entries, 4, player.hello)
    assert np.array_equal(again.wave, player.heard)


def test_beta_weighs_the_words_against_the_melody(model, presets):
    """Three rows from where it is asked for: heard there, undone by 1, the take plays again."""
    slots = presets["led"].prompts
    double = Preset(name="double", prompts=slots, quantise="off", sampling=SamplingRow(beta=2.5))
    led = {**presets, "double": double}
    hello = SessionHello(48_000, channels=1, preset="led")
    usual = render(model, led, [Trigger(0, 0)], 2.0, hello)
    turned = render(model, led, [Trigger(0, 0), Parameter(48_000, "beta", 2.5)], 2.0, hello)
    changed = first_difference(usual.wave, turned.wave)
    assert changed is not None and 48_000 <= changed <= 48_000 + 12 * 960
    neutral = render(model, led, [Trigger(0, 0), Parameter(0, "beta", 1.0)], 2.0, hello)
    assert np.array_equal(neutral.wave, usual.wave)
    from_start = render(model, led, [Parameter(0, "beta", 2.5), Trigger(0, 0)], 1.0, hello)
    of_preset = render(model, led, [Trigger(0, 0)], 1.0, replace(hello, preset="double"))
    assert np.array_equal(from_start.wave, of_preset.wave)
    assert not turned.faults and not of_preset.faults
    again = replay(model, led, turned.log, 2.0, hello)
    assert np.array_equal(again.wave, turned.wave)


def test_live_a_stream_has_a_third_row_from_the_change_on_and_survives_its_engine(client, model, presets):
    from descant.host.ear import ears_of
    from descant.host.engine import Engine
    from descant.host.resume import pack, unpack

    player = client(engine=Engine(model, presets), seconds=2, slices=12, preset="plain", channels=1)
    player.send(Trigger(0, 0))
    player.run_to(24_000)
    session = player.engine.session(1)
    assert session.playback.current().n_rows == 1
    player.send(Parameter(24_000, "beta", 3.0))
    player.run_to(48_000)
    assert session.playback.current().n_rows == 3
    other = unpack(pack(session), model, presets, ears_of(model))
    stream = other.playback.going_on
    assert stream is not None and stream.n_rows == 3
    player.run_to(player.total)
    assert not player.faults


def test_rows_of_guidance_one_after_the_other_are_the_same_music(model, presets):
    hello = SessionHello(48_000, channels=1, preset="led")
    events = [Trigger(0, 0), Parameter(0, "temperature", 0.0)]
    once = render(model, presets, events, 1.0, hello)
    twice = render(model, presets, events, 1.0, hello, two_step=True)
    assert np.abs(once.wave - twice.wave).max() < 1e-4 < np.abs(once.wave).max()
