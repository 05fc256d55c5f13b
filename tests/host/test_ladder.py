"""The overload ladder: what is given up, in what order, what is told, what comes back; takes stay takes."""

import numpy as np
import pytest
import torch

from descant.host.engine import Engine
from descant.host.events import AudioOut, FaultOut, MeterOut, Parameter, SessionHello, Trigger
from descant.host.ladder import (
    AS_ASKED,
    EVERY_2,
    EVERY_4,
    HOLD,
    MOST_PATIENCE,
    PATIENCE_SECONDS,
    UNGUIDED,
    Ladder,
    Look,
)
from descant.host.preset import Preset, PromptSlot
from descant.host.render import render, replay
from descant.host.takelog import Ease
from descant.model import tiny_model
from descant.model.kernels.build import load

ALL = (EVERY_2, EVERY_4, UNGUIDED, HOLD)
RATE, BLOCK = 48_000, 480
needs_native = pytest.mark.skipif(load().handle is None, reason=f"no native library: {load().reason}")


def steps(ladder, speed, seconds, at=0.0, ahead=0.4, rungs=ALL, missing=0, epoch=0):
    """The ladder under a machine that makes speed(rung) seconds a second; (second, rung) of each step."""
    found = []
    for n in range(round(seconds / 0.01)):
        rung = ladder.look(Look(at, ahead, 0.4, 0.12, epoch, missing), rungs)
        if rung is not None:
            found.append((round(n * 0.01, 2), rung))
        at += 0.01
        ahead = min(0.4, ahead + 0.01 * (speed(ladder.rung) - 1))
    return found


def test_what_is_fast_enough_stays_as_asked_and_a_rewind_is_no_overload():
    ladder = Ladder()
    assert not steps(ladder, lambda _: 1.0, 20)
    assert not steps(ladder, lambda _: 1.2, 20, at=20.0, ahead=0.1, epoch=1)


@pytest.mark.parametrize("stall", [0.1, 0.2, 0.28, 0.35])
@pytest.mark.parametrize("beat", [0.01, 0.0213, 0.0929])
def test_a_stall_that_is_made_up_for_is_no_overload(stall, beat):
    """At every moment of a client's blocks, and again every two seconds; the machine is fast in between."""
    for phase in np.linspace(0, 1.9, 20):
        ladder, ahead, at, last = Ladder(), 0.4, 0.0, 0.0
        time, next_stall = 0.0, phase
        while time < 8:
            took = 0.005  # a frame
            if time >= next_stall:
                took, next_stall = stall, next_stall + 2
            time += took
            at = beat * int(time / beat)
            if ahead <= 0.38:
                ahead += 0.02
            ahead -= at - last
            last = at
            assert ladder.look(Look(at, ahead, 0.4, 0.12, 0, 0), ALL) is None, (phase, time, ahead)


def test_stalls_that_use_up_the_lead_are_an_overload():
    ladder, ahead, held = Ladder(), 0.4, False
    for n in range(1, 2000):
        passed = 0.9 if n % 20 == 0 else 0.005  # a second: a stall, and nineteen quick frames
        ahead = max(0.0, ahead - passed) + 0.02
        ahead = min(0.4, ahead)
        at = n // 20 * 0.995 + n % 20 * 0.005
        held |= ladder.look(Look(at, ahead - 0.02, 0.4, 0.12, 0, 0), ALL) == HOLD
    assert held


def test_a_lead_that_was_taken_back_is_not_one_that_was_lost():
    """A knob is ridden on a machine that is just fast enough, and slower for a moment after each move."""
    ladder, at, ahead = Ladder(), 0.0, 0.4
    for move in range(40):
        for n in range(60):
            speed = 0.85 if n < 20 else 1.5
            at, ahead = at + 0.01, min(0.4, ahead + 0.01 * (speed - 1))
            assert ladder.look(Look(at, ahead, 0.4, 0.12, move, 0), (HOLD,)) is None, (move, n, ahead)
        ahead = 0.12  # all that may change is taken back


@pytest.mark.parametrize("speed", [0.5, 0.6, 0.8, 0.9])
def test_what_goes_on_being_lost_after_it_was_taken_back_is_held_in_time(speed):
    ladder, at, ahead = Ladder(), 0.0, 0.4
    for _ in range(60):
        at += 0.01
        assert ladder.look(Look(at, ahead, 0.4, 0.12, 0, 0), (HOLD,)) is None
    ahead = 0.14
    while ladder.look(Look(at, ahead, 0.4, 0.12, 1, 0), (HOLD,)) is None:
        at, ahead = at + 0.01, ahead - 0.01 * (1 - speed)
    bar = at + 0.12  # what is held begins where audio may still change; up to there music is made
    while at + ahead < bar:
        at, ahead = at + 0.01, ahead - 0.01 * (1 - speed)
        assert ahead > 0, "silent before the bar that is held"


@pytest.mark.parametrize("speeds", [(0.8, 0.9, 0.95, 1.05), (0.9, 0.93, 0.95, 0.97), (0.2, 0.2, 0.2, 0.2)])
def test_it_goes_down_in_order_and_no_further_than_it_must(speeds):
    ladder = Ladder()
    found = [rung for _, rung in steps(ladder, lambda rung: speeds[min(rung, 3)], 6)]
    expected = list(ALL)[: 3 if speeds[3] > 1 else 4]
    assert found == (expected if speeds[0] > 0.5 else [HOLD])  # or no time is left to try the others


def test_it_comes_back_a_rung_at_a_time_and_ever_more_slowly_where_that_was_too_much():
    ladder = Ladder()
    steps(ladder, lambda rung: 0.7 if rung < EVERY_2 else 1.2, 3)
    assert ladder.rung == EVERY_2
    found = steps(ladder, lambda rung: 0.7 if rung < EVERY_2 else 1.2, 200, at=3.0)
    ups = [second for second, rung in found if rung == AS_ASKED]
    gaps = np.diff(ups)
    assert len(ups) >= 5 and (gaps[1:4] > 1.5 * gaps[:3]).all()
    assert gaps.max() <= MOST_PATIENCE + 10
    assert steps(ladder, lambda _: 2.0, 70, at=203.0)[-1][1] == AS_ASKED
    steps(ladder, lambda _: 2.0, 40, at=280.0)
    assert ladder.patience == PATIENCE_SECONDS


def test_guidance_comes_back_when_it_lacks_nothing():
    ladder = Ladder()
    ladder.restart(UNGUIDED)
    assert not steps(ladder, lambda _: 2.0, 10, missing=400)
    assert ladder.making_up
    assert steps(ladder, lambda _: 2.0, 1, at=10.0)[0][1] == EVERY_4


@pytest.fixture(scope="module")
def native():
    torch.set_num_threads(1)
    model = tiny_model()
    if load().handle is not None:
        model.lm.use_kernel("native-int8")
    return model


@pytest.fixture(scope="module")
def presets():
    slots = (PromptSlot(text="calm jazz with piano"), PromptSlot(text="driving techno", transition="cut"))
    return {"led": Preset(name="led", prompts=slots, quantise="off", tempo=240)}


class SlowMachine:
    """A client in simulated time of a machine that makes music at speed(rung) x real time."""

    def __init__(self, client, engine, speed, seconds, **hello):
        self.player = client(engine=engine, seconds=seconds, slices=0, preset="led", channels=1, **hello)
        self.engine, self.speed, self.debt, self.told = engine, speed, 0.0, []
        self.player.send(Trigger(0, 0))

    def run_to(self, sample):
        player, session = self.player, self.engine.session(1)
        while player.playhead < sample:
            self.debt += BLOCK / RATE
            while self.debt > 0 and self.engine.wants_work():
                before = session.playback.frames_made
                for number, output in self.engine.work():
                    assert number == 1
                    if isinstance(output, FaultOut):
                        self.told.append((player.playhead, output))
                    player.take([output])
                made = session.playback.frames_made - before
                held = session.score.schedule.holding(session.playback.sent)
                self.debt -= made * 0.02 / self.speed(session.easing.rung) if made or not held else 1e-4
            self.debt = min(self.debt, 0.0) if not self.engine.wants_work() else self.debt
            player.run_to(player.playhead + BLOCK)


def same(model, presets, machine, seconds):
    session = machine.engine.session(1)
    again = replay(model, presets, session.log.entries, seconds, machine.player.hello)
    assert np.array_equal(again.wave, machine.player.heard)
    return session


@needs_native
def test_guidance_gives_way_is_told_within_a_second_metered_and_comes_back(native, presets, client):
    def speed(rung):
        slow = RATE <= machine.player.playhead < 5 * RATE
        return {AS_ASKED: 0.8, EVERY_2: 0.9}.get(rung, 1.3) if slow else 2.0

    machine: SlowMachine = SlowMachine(client, Engine(native, presets), speed, seconds=30)
    machine.run_to(round(4.9 * RATE))
    first, fault = machine.told[0]
    assert RATE < first <= 2 * RATE and fault.code == "overload" and fault.severity == "warning"
    assert all(line and "\n" not in line for line in (fault.what, fault.still, fault.do))
    assert machine.engine.session(1).easing.rung == EVERY_4
    assert machine.player.of(MeterOut)[-1].eased == EVERY_4
    machine.run_to(30 * RATE)
    session = same(native, presets, machine, 30)
    assert session.easing.rung == AS_ASKED and machine.told[-1][1].severity == "info"
    eases = [entry.event.rung for entry in session.log.entries if isinstance(entry.event, Ease)]
    assert eases == [EVERY_2, EVERY_4, EVERY_2, AS_ASKED]
    assert not any(fault.code == "late" for _, fault in machine.told)
    quiet = np.abs(machine.player.heard[0, RATE : 29 * RATE]).reshape(-1, 4800).max(axis=1)
    assert quiet.min() > 0
    assert not machine.player.replaced  # nothing that was made is thrown away for it


@pytest.mark.parametrize("kernel", ["fp32", pytest.param("native-int8", marks=needs_native)])
def test_a_hopeless_machine_holds_the_last_bar_and_is_never_silent(presets, client, kernel):
    model = tiny_model()
    model.lm.use_kernel(kernel)
    fast = {"until": 3 * RATE}
    machine: SlowMachine = SlowMachine(
        client,
        Engine(model, presets),
        lambda _: 2.0 if machine.player.playhead < fast["until"] else 0.3,
        seconds=16,
    )
    machine.run_to(16 * RATE)
    session = same(model, presets, machine, 16)
    eases = [entry.event.rung for entry in session.log.entries if isinstance(entry.event, Ease)]
    assert (
        eases.count(HOLD) >= 2 and eases.count(HOLD) - eases.count(UNGUIDED if kernel != "fp32" else 0) <= 1
    )
    assert not any(fault.code == "late" for _, fault in machine.told)
    heard = machine.player.heard[0]
    windows = np.abs(heard[RATE : 15 * RATE]).reshape(-1, 480).max(axis=1)
    assert windows.min() > 1e-5  # no gap of 10 ms
    first = next(
        e.event.at_sample for e in session.log.entries if isinstance(e.event, Ease) and e.event.rung == HOLD
    )
    bar = RATE  # four beats at 240
    inner = slice(first + 480, first + bar - 480)
    assert np.array_equal(heard[inner], heard[inner.start - bar : inner.stop - bar])
    steps = np.abs(np.diff(heard))
    assert steps[first - 20 : first + 2 * bar].max() <= 1.5 * steps[RATE : 3 * RATE].max()  # no click


@needs_native
def test_a_pad_while_the_bar_is_held_begins_its_music(native, presets, client):
    machine: SlowMachine = SlowMachine(
        client,
        Engine(native, presets),
        lambda _: 0.3 if 3 * RATE < machine.player.playhead < 4 * RATE else 2.0,
        seconds=9,
    )
    machine.run_to(round(4.2 * RATE))
    assert machine.engine.session(1).score.schedule.holding(machine.player.playhead)
    machine.player.send(Trigger(machine.player.playhead, 0))
    machine.run_to(9 * RATE)
    starts = [plan.from_sample for plan in machine.player.plans]
    assert len(starts) == 2
    same(native, presets, machine, 9)


@needs_native
def test_a_render_never_degrades(native, presets):
    ticks = iter(range(10**7))
    hello = SessionHello(RATE, channels=1, preset="led")
    events = [Trigger(0, 0), Parameter(RATE, "guidance", 5.0)]
    rendered = render(native, presets, events, 3, hello)
    assert not rendered.faults and not any(isinstance(entry.event, Ease) for entry in rendered.log)
    engine = Engine(native, presets, timer=lambda: next(ticks) * 10.0)  # ten seconds a slice
    from descant.host.events import Heartbeat, Mode

    engine.open(1, hello)
    engine.handle(1, Mode(0, "offline"))
    engine.handle(1, Heartbeat(0, 0, 3 * RATE))
    engine.handle(1, Trigger(0, 0))
    heard = np.zeros((1, 3 * RATE), np.float32)
    while engine.wants_work():
        for _, output in engine.work():
            assert not isinstance(output, FaultOut)
            if isinstance(output, AudioOut):
                heard[:, output.at_sample : output.at_sample + output.wave.shape[1]] = output.wave
    assert np.array_equal(heard[:, :RATE], rendered.wave[:, :RATE])
