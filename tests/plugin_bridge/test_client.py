"""The bridge in Python against a real server: what is played, what is told, what a lost host does to it.

Time is simulated: the playhead moves when read, the heartbeat clock when told.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from descant.plugin_bridge import BridgeClient, WireError, wire
from descant.plugin_bridge.announced import Announced
from descant.plugin_bridge.errors import Code
from tests.plugin_bridge.small_host import Clock, SmallHost, ipc_endpoint, joined, until, voice

FADE = 240  # samples, 5 ms at 48 kHz


@pytest.fixture
def endpoint():
    with ipc_endpoint() as address:
        yield address


@pytest.fixture
def host(endpoint):
    host = SmallHost(endpoint)
    yield host
    host.server.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(host, clock):
    client = BridgeClient(host.endpoint, clock=clock)
    joined(client, host)
    yield client
    client.close()


def exchange(client: BridgeClient, host: SmallHost) -> None:
    client.pump(1)
    host.serve()


def deliver(client: BridgeClient, host: SmallHost, end: int) -> None:
    """Wait until all audio up to sample `end` has come."""
    until(lambda: client.ready(end - client.playhead - FADE), lambda: exchange(client, host))


def test_the_welcome_says_who_serves(client, host):
    assert client.welcome is not None and client.state == "live"
    assert (client.welcome.model, client.welcome.controls) == ("small", ("text",))
    assert client.session == host.session == 42
    assert host.hellos[0].client == "python" and host.hellos[0].lead_ms == host.hellos[0].commit_ms == 0


def test_what_the_host_made_is_what_is_played_whatever_the_block_size(client, host):
    heard = []
    for i in range(60):
        host.make_until(client.playhead + 4800)
        n = (256, 1, 777, 64)[i % 4]
        deliver(client, host, client.playhead + n + FADE)
        heard.append(client.read(n))
    out = np.concatenate(heard, axis=1)
    np.testing.assert_array_equal(out[:, FADE:], voice(0, 0, out.shape[1])[:, FADE:])
    assert client.underruns == 0


def test_a_later_epoch_is_heard_from_its_first_sample_on(client, host):
    host.make_until(19200)
    deliver(client, host, 19200)
    client.read(4800)
    host.epoch, host.made = 1, 4800 + 5760
    host.make_until(24000)
    until(lambda: client.ready(24000 - client.playhead - FADE), lambda: exchange(client, host))
    out = client.read(9600)
    line = 5760
    np.testing.assert_array_equal(out[:, :line], voice(0, 4800, line))
    after = out[:, line + FADE :]
    np.testing.assert_array_equal(after, voice(1, 4800 + line + FADE, after.shape[1]))
    x = np.arange(FADE) / FADE * math.pi / 2
    joint = voice(0, 4800 + line, FADE) * np.cos(x) ** 2 + voice(1, 4800 + line, FADE) * np.sin(x) ** 2
    np.testing.assert_allclose(out[:, line : line + FADE], joint, atol=1e-6)


def test_the_playhead_is_reported_as_it_moves_with_the_credit(client, host):
    until(lambda: host.of(wire.Heartbeat), lambda: exchange(client, host))
    for _ in range(20):
        client.read(256)
        exchange(client, host)
    until(lambda: host.of(wire.Heartbeat)[-1].playhead >= 5120 - 480, lambda: exchange(client, host))
    playheads = [beat.playhead for beat in host.of(wire.Heartbeat)]
    assert playheads == sorted(playheads) and max(np.diff(playheads)) <= 2 * 480
    assert {beat.free_samples for beat in host.of(wire.Heartbeat)} == {client.ring.capacity}


def test_without_reading_there_is_still_a_heartbeat(client, host, clock):
    until(lambda: host.of(wire.Heartbeat), lambda: exchange(client, host))
    before = len(host.of(wire.Heartbeat))
    for _ in range(4):
        clock.now += 0.051
        host.beat()
        exchange(client, host)
    until(lambda: len(host.of(wire.Heartbeat)) >= before + 4, lambda: exchange(client, host))


def test_every_event_arrives_as_it_was_told(client, host):
    client.read(1000)
    told = [
        (client.trigger(3, 90), wire.Trigger(3, 90, "press")),
        (client.trigger(3, action="release"), wire.Trigger(3, 127, "release")),
        (client.note_on(60, 101, 2), wire.NoteOn(2, 60, 101)),
        (client.note_on(60, 0, 2), wire.NoteOff(2, 60, 0)),
        (client.note_off(60), wire.NoteOff(0, 60, 0)),
        (client.control(1, 64), wire.Control(0, 1, 64)),
        (client.program(5, 9), wire.Program(9, 5)),
        (client.parameter("heat", 0.25), wire.Parameter("heat", 0.25)),
        (client.prompt("slow brass", 2), wire.Prompt(2, "slow brass")),
        (client.preset("night"), wire.Preset("night")),
        (client.transport(98.5, 16.0, 3, 4), wire.Transport(98.5, 16.0, 3, 4)),
        (
            client.transport(120, loop=(8.0, 16.0)),
            wire.Transport(120, loop_start=8.0, loop_end=16.0, looping=True),
        ),
        (client.mode("offline"), wire.Mode("offline")),
    ]
    assert all(queued for queued, _ in told)
    assert client.trigger(0, at_sample=4321)
    until(lambda: host.of(wire.Trigger)[2:], lambda: exchange(client, host))
    came = [m for _, m in host.got if not isinstance(m, wire.Heartbeat)]
    for message, (_, expected) in zip(came, told, strict=False):
        assert same_but_header(message, expected)
        assert (message.session, message.at_sample) == (42, 1000)
    assert came[-1].at_sample == 4321
    sequences = [m.sequence for _, m in host.got]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


def same_but_header(a: wire.Message, b: wire.Message) -> bool:
    names = [name for name in a.__struct_fields__ if name not in wire.Message.__struct_fields__]
    return type(a) is type(b) and all(getattr(a, name) == getattr(b, name) for name in names)


def test_values_no_host_would_take_are_refused_at_once(client):
    for tell in (
        lambda: client.note_on(128),
        lambda: client.control(0, 0, midi_channel=16),
        lambda: client.prompt(""),
        lambda: client.prompt("x" * 2001),
        lambda: client.transport(float("nan")),
        lambda: client.parameter("heat", float("inf")),
        lambda: client.capture(np.array([0.0, np.nan], np.float32)),
        lambda: client.capture(np.zeros(0, np.float32)),
        lambda: client.capture(np.zeros(2**23 + 1, np.float32)),
    ):
        with pytest.raises(WireError):
            tell()
    assert client.state == "live"


def test_a_clip_arrives_in_pieces_that_join(client, host):
    clip = np.random.default_rng(1).uniform(-1, 1, (1, 40_000)).astype(np.float32)
    assert client.capture(clip[0], 44100, at_sample=99)
    assert client.capture(clip[:, :5])
    until(lambda: len(host.of(wire.Capture)) == 4, lambda: exchange(client, host))
    pieces = host.of(wire.Capture)
    np.testing.assert_array_equal(np.concatenate([piece.wave for piece in pieces[:3]], axis=1), clip)
    assert [piece.index for piece in pieces] == [0, 1, 2, 0]
    assert [piece.last for piece in pieces] == [False, False, True, True]
    assert [(piece.sample_rate, piece.at_sample) for piece in pieces] == [(44100, 99)] * 3 + [(48000, 0)]
    assert pieces[0].clip != pieces[3].clip


def test_plans_meters_and_faults_are_kept_but_not_without_end(client, host):
    for i in range(300):
        host.server.send(host.client, wire.Plan(i, 0, float(i), "chorus"))
        exchange(client, host)
    host.server.send(host.client, wire.Meter(1.0, 0.25, 0, 10.0, 20.0, 0.5))
    host.server.send(host.client, wire.Fault(Code.ENGINE_LOST, "error", "a", "b", "c"))
    until(lambda: client.faults, lambda: exchange(client, host))
    assert len(client.plans) == 256 and client.plans[-1].epoch == 299
    assert client.meters[-1].real_time_factor == 0.25 and client.faults[-1].what == "a"


def test_mono_goes_to_all_channels_and_other_shapes_are_counted(client, host):
    host.server.send(host.client, wire.Audio(0, voice(0, 0, 960, channels=3)))
    host.server.send(host.client, wire.Audio(0, voice(0, 0, 960, channels=1)))
    deliver(client, host, 960)
    out = client.read(720)
    np.testing.assert_array_equal(out[:, FADE:], np.repeat(voice(0, 0, 720, 1), 2, axis=0)[:, FADE:])
    assert client.malformed == 1


def test_a_silent_host_is_noticed_after_three_heartbeats_and_the_sound_fades(client, host, clock):
    host.make_until(9600)
    deliver(client, host, 9600)
    heard = [client.read(4800)]
    for _ in range(3):
        clock.now += 0.05
        client.pump()
        assert client.state == "live"
    clock.now += 0.01
    client.pump()
    assert client.state == "lost" and client.losses == 1
    fault = client.faults[-1]
    assert fault.code == Code.LOST and all((fault.what, fault.still, fault.do))
    heard.append(client.read(9600))
    out = np.concatenate(heard, axis=1)
    np.testing.assert_array_equal(out[:, FADE : 9600 - FADE], voice(0, 0, 9600)[:, FADE : 9600 - FADE])
    assert np.abs(np.diff(out)).max() < 0.02 and (out[:, 9600:] == 0).all()
    assert client.underruns == 1


@pytest.mark.parametrize(
    ("plans", "gaps"),
    [
        ((), 1),
        (((4000, ""),), 0),
        (((4000, ""), (9000, "piano")), 0),
        (((4000, ""), (4000, "piano")), 1),
        (((4000, ""), (2000, "piano")), 1),
        (((6000, ""),), 1),
    ],
    ids=[
        "nothing told",
        "a stop",
        "a stop, then music",
        "a stop taken back",
        "music before it",
        "a later stop",
    ],
)
def test_a_stop_that_was_announced_is_no_underrun(client, host, plans, gaps):
    for from_sample, text in plans:
        host.server.send(host.client, wire.Plan(0, from_sample, 0.0, text))
    host.make_until(4800)
    deliver(client, host, 4800)
    for _ in range(20):
        client.read(256)
    assert client.underruns == gaps
    assert not client.read(256).any()


def test_what_was_announced_for_the_old_place_does_not_hold_at_the_new_one(client, host):
    host.server.send(host.client, wire.Plan(0, 4000, 0.0, ""))
    host.server.send(host.client, wire.Plan(0, 40_000, 3.0, "piano"))
    host.made = 48_000
    client.seek(48_000)
    host.make_until(57_600)
    until(lambda: client.ready(9600 - FADE), lambda: exchange(client, host))
    client.seek(4800)  # music sounds, and goes on there
    until(lambda: host.of(wire.Heartbeat)[-1].playhead == 4800, lambda: exchange(client, host))
    host.epoch, host.made = 1, 4800
    host.make_until(9600)
    until(lambda: client.ready(4800 - FADE), lambda: exchange(client, host))
    client.read(9600)
    assert client.underruns == 1


def test_a_host_that_comes_back_by_itself_goes_on_in_the_same_session(client, host, clock):
    clock.now += 1
    client.pump()
    assert client.state == "lost"
    assert client.note_off(60)  # kept for a host that may still be there
    host.beat()
    until(lambda: client.state == "live", lambda: exchange(client, host))
    until(lambda: host.of(wire.NoteOff), lambda: exchange(client, host))
    assert client.reconnects == 0 and len(host.hellos) == 1


def test_a_host_started_anew_is_greeted_with_the_old_session_and_may_count_epochs_afresh(client, host, clock):
    host.epoch = 7
    host.make_until(4800)
    deliver(client, host, 4800)
    host.server.close()
    again = SmallHost(host.endpoint)
    clock.now += 1
    client.pump()
    assert client.state == "lost"

    def step() -> None:
        clock.now += 0.06
        exchange(client, again)

    until(lambda: client.state == "live", step)
    assert [hello.session for hello in again.hellos] == [42] and client.session == 42
    assert client.reconnects == client.losses == 1
    again.made = 2400
    again.make_until(9600)
    deliver(client, again, 9600)
    client.read(2400 + FADE)
    np.testing.assert_array_equal(client.read(2000), voice(0, 2400 + FADE, 2000))
    again.server.close()


def test_a_goodbye_from_the_host_is_a_loss(client, host):
    host.server.send(host.client, wire.Goodbye("closing time"))
    until(lambda: client.state == "lost", lambda: exchange(client, host))
    assert "closing time" in client.faults[-1].what


def test_a_refused_hello_is_an_error_with_the_hosts_words(endpoint):
    class Unwilling(SmallHost):
        def answer(self, hello: wire.Hello) -> wire.Message:
            error = WireError(Code.MODEL, "No model 'x'.", "Nothing changed.", "Take 'embedded'.")
            return wire.refusal(error, hello.sequence)

    host = Unwilling(endpoint)
    client = BridgeClient(endpoint, model="x")
    with pytest.raises(WireError, match="No model 'x'") as caught:
        joined(client, host)
    assert caught.value.code == Code.MODEL and client.state == "closed"
    host.server.close()


def test_no_host_is_an_error_that_says_what_to_do(endpoint):
    with pytest.raises(WireError, match="descant host") as caught:
        BridgeClient(endpoint).connect(timeout_ms=50)
    assert caught.value.code == Code.TIMEOUT


def test_a_client_no_host_could_accept_is_refused_before_anything_is_opened(endpoint):
    for wrong in ({"sample_rate": 100}, {"channels": 9}, {"name": ""}, {"seed": -1}):
        with pytest.raises(WireError):
            BridgeClient(endpoint, **wrong)


def test_a_host_waits_with_its_welcome_and_the_client_keeps_it_open(endpoint, clock):
    """A host that loads its model first hears heartbeats meanwhile, and those are not refused."""
    host = SmallHost(endpoint)
    client = BridgeClient(endpoint, clock=clock)
    client.hello()
    waiting: list = []

    def look() -> None:
        clock.now += 0.06
        client.pump(1)
        waiting.extend(host.server.poll(1))

    until(lambda: len(waiting) > 5, look)
    assert [type(message) for _, message in waiting[:3]] == [wire.Hello, wire.Heartbeat, wire.Heartbeat]
    host.server.send(waiting[0][0], host.answer(waiting[0][1]))
    until(lambda: client.state == "live", look)
    assert not any(isinstance(message, WireError) for _, message in waiting)
    client.close()
    host.server.close()


def test_a_jump_is_told_in_its_place_among_the_events(client, host):
    """Only what leaves something unheard counts as one: not a leap within what has come."""
    host.make_until(9600)
    deliver(client, host, 9600)
    client.read(480)
    client.seek(2400)
    client.seek(2400)
    assert client.read(240).any()
    until(lambda: host.of(wire.Heartbeat)[-1].playhead == 2640, lambda: exchange(client, host))
    assert host.of(wire.Heartbeat)[-1].jumps == 0
    host.got.clear()
    client.note_on(60)
    client.seek(100)
    client.note_on(61)
    client.seek(1_000_000)
    client.note_on(62)
    until(lambda: len(host.of(wire.NoteOn)) == 3, lambda: exchange(client, host))
    told = [
        (m.playhead, m.jumps) if isinstance(m, wire.Heartbeat) else m.key
        for _, m in host.got
        if not isinstance(m, WireError)
    ]
    assert told[:5] == [60, (100, 1), 61, (1_000_000, 2), 62]
    assert client.unsent == 0


def test_nothing_grows_when_nobody_reads(client, host):
    block = voice(0, 0, 16384)
    for i in range(400):
        host.server.send(host.client, wire.Audio(0, block, at_sample=16384 * i))
        exchange(client, host)
    until(lambda: client.overruns > 100, lambda: exchange(client, host))
    assert client._pushed <= 2 * client.ring.capacity + 16384
    for at in range(3000):
        client.seek(at)
        client.control(1, 1)
    assert len(client._outbox) <= 2048


def test_reading_needs_no_socket_at_all(client, host):
    host.make_until(4800)
    until(lambda: client._pushed == 4800, lambda: exchange(client, host))
    client.close()
    out = np.empty((2, 2400), np.float32)
    assert client.read_into(out) == 2400
    np.testing.assert_array_equal(out[:, FADE:], voice(0, 0, 2400)[:, FADE:])


def test_with_a_background_thread_audio_is_read_and_events_are_told_from_here(host):
    client = BridgeClient(host.endpoint)
    joined(client, host)
    client.start()
    heard: list[np.ndarray] = []
    out = np.empty((2, 480), np.float32)
    while len(heard) < 40:
        host.make_until(client.playhead + 9600)
        host.beat()
        host.serve(1)
        if client.ready(480):
            client.read_into(out)
            heard.append(out.copy())
            assert client.note_on(60, 1 + len(heard))
    until(lambda: len(host.of(wire.NoteOn)) == 40, lambda: host.serve(1))
    all_of_it = np.concatenate(heard, axis=1)
    np.testing.assert_array_equal(all_of_it[:, FADE:], voice(0, 0, all_of_it.shape[1])[:, FADE:])
    assert [note.velocity for note in host.of(wire.NoteOn)] == list(range(2, 42))
    client.close("done")
    until(lambda: host.of(wire.Goodbye), lambda: host.serve(1))
    assert client.underruns == 0 and not client.note_on(1)


def test_what_is_still_is_what_is_announced_as_silence_or_lies_before_all_music():
    told = Announced()
    told.moved(0)
    assert told.still(100, 5_000)
    told.planned(9_000, "calm jazz")
    assert told.still(100, 8_999) and not told.still(100, 9_000) and not told.still(9_500, 9_600)
    told.planned(20_000, "")
    assert told.still(20_000, 90_000) and not told.still(19_999, 30_000)
    told.moved(25_000)
    assert told.still(0, 1_000)
    told.planned(2_000, "bright pop")
    told.moved(3_000)
    assert not told.still(0, 1_000)
