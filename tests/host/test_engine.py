"""The engine: many sessions that never harm each other, bounded work, faults in three lines, resume."""

import time
from collections import OrderedDict

import numpy as np
import pytest
import torch

from descant.host.engine import FAULTS_A_BEAT, Engine
from descant.host.errors import HostError, SessionError
from descant.host.events import (
    AudioOut,
    Capture,
    Control,
    FaultOut,
    Goodbye,
    Heartbeat,
    Mode,
    NoteOn,
    Parameter,
    PresetChange,
    Program,
    Prompt,
    SessionHello,
    TransportEvent,
    Trigger,
)
from descant.host.render import render
from descant.model import tiny_model

BAD = [
    Trigger(0, 99),
    Trigger(0, -1),
    NoteOn(0, 300),
    Control(0, 200, 0),
    Control(0, 1, 500),
    Program(0, 128),
    Parameter(0, "cutoff", 1.0),
    Parameter(0, "temperature", float("nan")),
    Parameter(0, "guidance", 100.0),
    Prompt(0, 0, ""),
    Prompt(0, 0, " \n "),
    Prompt(0, 0, "x" * 100_000),
    Prompt(0, 77, "jazz"),
    Prompt(0, 4, "no words for a stop"),
    PresetChange(0, "nowhere"),
    TransportEvent(0, 0.0, 0.0),
    TransportEvent(0, float("nan"), 0.0),
    TransportEvent(0, 120, float("inf")),
    Trigger(2**53, 0),
    Trigger(-(2**53), 0),
    Capture(0, 1, 48000, np.zeros((1, 0), np.float32)),
    Capture(0, 1, 48000, np.full((1, 48000), np.nan, np.float32)),
    Capture(0, 1, 48000, np.zeros((1, 48000), np.float32)),
    Capture(0, 1, 100, np.zeros((1, 48000), np.float32)),
    Capture(0, 1, 48000, np.zeros((1, 480), np.float32), index=7),
    Capture(0, 1, 48000, np.ones((1, 480), np.float32), role="live"),
]


@pytest.mark.parametrize("event", BAD, ids=lambda event: f"{type(event).__name__}")
def test_every_bad_event_is_one_fault_of_three_lines(model, presets, event):
    engine = Engine(model, presets)
    engine.open(1, SessionHello(48000, preset="pads"))
    (fault,) = engine.handle(1, event)
    assert isinstance(fault, FaultOut) and fault.severity == "warning"
    assert all(line and "\n" not in line for line in (fault.what, fault.still, fault.do))


def test_a_session_is_not_touched_by_anothers_bad_events(model, presets):
    def play(disturb):
        engine = Engine(model, presets)
        for number, preset in ((1, "pads"), (2, "free")):
            engine.open(number, SessionHello(48000, channels=1, preset=preset))
            engine.handle(number, Trigger(0, 0))
        heard = []
        for playhead in range(0, 28800, 4800):
            for number in (1, 2):
                engine.handle(number, Heartbeat(playhead, playhead, 48000))
            if disturb:
                for event in BAD:
                    engine.handle(2, event)
                engine.handle(2, Trigger(playhead, playhead // 4800 % 4))
            while engine.wants_work():
                heard += [out for number, out in engine.work() if number == 1 and isinstance(out, AudioOut)]
        return heard

    calm, disturbed = play(False), play(True)
    assert [out.at_sample for out in calm] == [out.at_sample for out in disturbed] and calm
    assert all(np.array_equal(a.wave, b.wave) for a, b in zip(calm, disturbed, strict=True))


def test_ten_thousand_events_in_one_block_are_bounded(client):
    """Their work is one rewind, their state is bounded, and they cost no more than a few ms of thought
    each.
    """
    player = client(seconds=1, preset="free", slices=20)
    player.send(Trigger(0, 0))
    player.run_to(24000)
    made = player.engine.session(1).playback.frames_made
    began = time.process_time()
    for i in range(2000):
        at = 24000 + i % 480
        player.send(Control(at, 1, i % 128), Control(at, 2, i % 100), NoteOn(at, 36 + i % 4))
        player.send(TransportEvent(at, 120 + i % 7, i * 0.37), Parameter(at, "top_p", i % 100 / 100))
    spent = time.process_time() - began
    schedule = player.engine.session(1).score.schedule
    assert len(schedule.edits) < 200 and len(schedule.cues) < 10
    player.work(100)
    assert player.engine.session(1).playback.frames_made - made < 60
    assert spent < 20
    player.run_to(player.total)
    assert not player.faults


def test_a_flood_of_bad_events_gives_few_faults(model, presets):
    engine = Engine(model, presets)
    engine.open(1, SessionHello(48000))
    faults = [output for _ in range(10_000) for output in engine.handle(1, Trigger(0, 99))]
    assert len(faults) == FAULTS_A_BEAT
    engine.handle(1, Heartbeat(0, 0, 0))
    assert engine.handle(1, Trigger(0, 99))


@pytest.mark.parametrize(
    ("hello", "hint"),
    [
        ({"sample_rate": 4000}, "8000..384000"),
        ({"channels": 9}, "1..8"),
        ({"channels": 0}, "1..8"),
        ({"block_size": 0}, "1..65536"),
        ({"seed": -1}, "0.."),
        ({"preset": "nowhere"}, "pads, keys, free"),
        ({"model": "other"}, "tiny"),
        ({"lead_ms": float("nan")}, "0..60000"),
        ({"commit_ms": -1.0}, "0..60000"),
    ],
)
def test_a_hello_that_cannot_be_served_is_refused(model, presets, hello, hint):
    engine = Engine(model, presets)
    with pytest.raises(HostError) as caught:
        engine.open(1, SessionHello(**{"sample_rate": 48000, **hello}))
    assert hint in str(caught.value) and len(str(caught.value).splitlines()) == 3
    assert engine.sessions() == ()


def test_opening_closing_and_leaving(model, presets):
    engine = Engine(model, presets)
    welcome = engine.open(7, SessionHello(44100, lead_ms=300, commit_ms=80))
    assert (welcome.session, welcome.preset, welcome.lead_ms) == (7, "pads", pytest.approx(300, abs=0.1))
    assert welcome.presets == ("pads", "keys", "free") and "melody" in welcome.controls
    assert welcome.weights_hash == model.weights_hash
    with pytest.raises(SessionError, match="open already"):
        engine.open(7, SessionHello(44100))
    assert engine.handle(7, Goodbye(0)) == [] and engine.sessions() == ()
    (fault,) = engine.handle(7, Trigger(0, 0))
    assert isinstance(fault, FaultOut) and fault.code == "session"
    engine.close(7)
    assert engine.work() == [] and not engine.wants_work()


def test_credit_and_lead_bound_what_is_made(model, presets):
    engine = Engine(model, presets)
    engine.open(1, SessionHello(48000, channels=1))
    engine.handle(1, Trigger(0, 0))

    def made():
        ends = [0]
        while engine.wants_work():
            ends += [
                out.at_sample + out.wave.shape[1] for _, out in engine.work() if isinstance(out, AudioOut)
            ]
        return max(ends)

    assert made() == 0  # no heartbeat, no credit
    engine.handle(1, Heartbeat(0, 0, 12000))
    assert made() == 12000
    engine.handle(1, Heartbeat(0, 0, 10**9))
    assert made() == 19200  # 400 ms of lead
    engine.handle(1, Mode(0, "offline"))
    engine.handle(1, Heartbeat(0, 0, 40000))
    assert made() == 40000


def test_an_engine_lost_in_mid_song_is_carried_on_by_another(client, model, presets):
    player = client(seconds=4, slices=8)
    player.send(TransportEvent(0, 120, 0.0), Trigger(0, 1), Control(10, 1, 100))
    player.send(Prompt(20, 0, "words of my own"))
    player.run_to(144000)
    assert player.resumes
    last = player.resumes[-1]
    assert len(last.snapshot) < 200_000
    epoch = player.epoch
    player.engine = Engine(model, presets)
    welcome = player.engine.resume(1, last.snapshot)
    assert welcome.sample_rate == 48000 and not player.engine.wants_work()
    player.placed[:, player.playhead :] = 0
    player.run_to(player.total)
    assert player.epoch > epoch
    heard = np.abs(player.heard[:, 144000 + player.commit + 4800 :])
    assert heard.max() > 0.01
    session = player.engine.session(1)
    assert session.score.pads.texts[0] == "words of my own"
    scene = session.score.schedule.scene(player.playhead)
    assert scene.text == "words of my own" and scene.temperature == pytest.approx(0.2 + 1.6 * 100 / 127)
    assert session.score.timeline.line(144001, "bar") == 192000


def test_a_resumed_stream_keeps_its_tokens(client, model, presets):
    player = client(seconds=2, slices=12, preset="free")
    player.send(Trigger(0, 0))
    player.run_to(60000)
    before = player.engine.session(1).playback.current().tokens
    player.engine = Engine(model, presets)
    player.engine.resume(1, player.resumes[-1].snapshot)
    player.run_to(72000)
    generator = player.engine.session(1).playback.current()
    first, after = generator.first_frame, generator.tokens
    shared = min(before.shape[1], first + after.shape[1]) - first - 8
    assert shared > 4 and torch.equal(before[:, first : first + shared], after[:, :shared])


def test_an_outage_is_made_good_without_a_word_and_later_lateness_is_told(client, model, presets):
    """The stream goes on where it was, however long no engine lived; only what comes after is news."""
    player = client(seconds=8, slices=8, preset="free")
    player.send(Trigger(0, 0))
    player.run_to(60_000)
    before = player.engine.session(1).playback.current().tokens
    last = player.resumes[-1]
    player.engine = Engine(model, presets)
    player.engine.resume(1, last.snapshot)
    for away in (120_000, 140_000):  # the second time while it catches up
        player.playhead = player.promised = away
        player.placed[:] = 0
        player.beat()
        player.work(3)
    player.run_to(180_000)
    assert not player.faults
    assert np.abs(player.heard[:, 140_000 + player.commit + 5 * 960 :]).max() > 0.01
    generator = player.engine.session(1).playback.current()
    first, after = generator.first_frame, generator.tokens
    shared = (last.at_sample - player.commit) // 960 - first
    assert shared > 4 and torch.equal(before[:, first : first + shared], after[:, :shared])
    player.run_to(260_000)
    player.slices = 0
    player.run_to(300_000)
    player.slices = 8
    player.run_to(player.total)
    assert [fault.code for fault in player.faults] == ["late"]


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x80" * 100])
def test_bytes_that_are_no_session_are_refused(model, presets, data):
    with pytest.raises(SessionError):
        Engine(model, presets).resume(1, data)


def test_a_session_of_another_model_is_refused(client, model, presets):
    player = client(seconds=1.2, slices=12, preset="free")
    player.send(Trigger(0, 0))
    player.run_to(48000)
    with pytest.raises(SessionError, match="another model"):
        Engine(tiny_model(seed=3), presets).resume(1, player.resumes[-1].snapshot)


def test_a_stream_far_behind_begins_anew_in_time(client):
    player = client(seconds=2, slices=8, preset="free")
    player.send(Trigger(0, 0))
    player.run_to(24000)
    player.slices = 0
    player.run_to(60000)
    player.slices = 8
    player.run_to(player.total)
    late = [fault for fault in player.faults if fault.code == "late"]
    assert 1 <= len(late) <= 3
    assert np.abs(player.heard[:, 72000:]).max() > 0.01


def test_all_that_waited_is_known_before_a_stream_is_called_late(client):
    """After a standstill of two seconds hundreds of heartbeats come at once: one stream anew, one fault."""
    player = client(seconds=4, slices=8, preset="free")
    player.send(Trigger(0, 0))
    player.run_to(48_000)
    for at in range(48_000, 144_000, 480):
        player.playhead = player.promised = at
        player.beat()
    player.run_to(player.total)
    late = [fault for fault in player.faults if fault.code == "late"]
    assert len(late) == 1 and "again" in late[0].do
    sounding = np.flatnonzero(player.heard[:, 144_000:].any(axis=0))
    assert sounding[0] <= player.commit + 6 * 960


def test_a_broken_stream_is_silent_and_a_trigger_begins_anew(presets):
    model = tiny_model(seed=5)
    engine = Engine(model, presets)
    engine.open(1, SessionHello(48000, channels=1, preset="free"))
    engine.handle(1, Heartbeat(0, 0, 48000))
    engine.handle(1, Trigger(0, 0))
    weight = model.lm.heads.weight
    sound = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(float("nan"))
    outputs = []
    while engine.wants_work():
        outputs += [output for _, output in engine.work()]
    faults = [output for output in outputs if isinstance(output, FaultOut)]
    with torch.no_grad():
        weight.copy_(sound)
    if faults:  # NaN may be refused by the sampler; if it is not, the audio is finite all the same
        assert len(faults) == 1 and faults[0].severity == "error"
    assert all(np.isfinite(output.wave).all() for output in outputs if isinstance(output, AudioOut))
    engine.handle(1, Heartbeat(24000, 24000, 48000))
    engine.handle(1, Trigger(24000, 1))
    outputs = []
    while engine.wants_work():
        outputs += [output for _, output in engine.work()]
    assert any(np.abs(output.wave).max() > 0 for output in outputs if isinstance(output, AudioOut))


def test_meters_measure_with_the_timer_that_is_given(model, presets):
    ticks = iter(range(10**6))
    engine = Engine(model, presets, timer=lambda: next(ticks) * 0.001)
    engine.open(1, SessionHello(48000, channels=1, preset="free"))
    engine.handle(1, Heartbeat(0, 0, 48000))
    engine.handle(1, Mode(0, "offline"))
    engine.handle(1, Trigger(0, 0))
    outputs = []
    while engine.wants_work():
        outputs += [output for _, output in engine.work()]
    meter = next(output for output in outputs if type(output).__name__ == "MeterOut")
    assert 0.04 < meter.real_time_factor < 0.08  # 1 ms a slice of 20 ms
    assert meter.lead_ms >= 500


def test_render_refuses_lengths(model, presets):
    for seconds in (0, -1, float("nan"), 1e9):
        with pytest.raises(HostError):
            render(model, presets, [], seconds, SessionHello(48000))


def test_prompts_are_encoded_ahead_of_the_pads_that_ask_for_them(presets, monkeypatch):
    """While nothing else is to do, one a slice; a pad then finds its words encoded."""
    model = tiny_model()
    monkeypatch.setattr(model.text, "_recent", OrderedDict())  # all tests share it
    engine = Engine(model, presets)
    engine.open(1, SessionHello(48_000, preset="pads"))
    slots = [slot.text for slot in presets["pads"].prompts]
    while engine.wants_work():
        engine.work()
    for done in range(1, len(slots) + 1):
        assert engine.work() == []
        encoded = [text for text in slots if text in model.text._recent]
        assert set(encoded) == {text for text in slots[:done] if text}
    engine.handle(1, PresetChange(0, "keys"))
    assert engine.work() == [] and not engine.wants_work()
