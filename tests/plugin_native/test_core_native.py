"""The plugin's core and a real server: what a DAW plays is told in time, what comes is heard bit for bit."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import numpy as np
import pytest

from descant.host.edge import keys as host_keys
from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import SmallHost, ipc_endpoint, voice
from tests.plugin_native import rig
from tests.plugin_native.rig import NativeDaw, Song

RATE, BLOCK, FADE = 48000, 256, 240


def until(condition: Callable[[], object], *steps: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        for step in steps:
            step()


class Stage:
    """A host and a DAW, served and played by turns."""

    def __init__(self, host: SmallHost, daw: NativeDaw) -> None:
        self.host, self.daw = host, daw

    def turn(self) -> None:
        self.host.serve(2)
        if self.host.hellos:
            self.host.beat()

    def live(self) -> None:
        until(lambda: self.daw.report["state"] == rig.LIVE, self.turn)

    def got(self, kind: type, count: int = 1) -> list:
        until(lambda: len(self.host.of(kind)) >= count, self.turn)
        return self.host.of(kind)

    def fill(self, n: int) -> None:
        until(lambda: self.daw.ready(n), self.turn)


@pytest.fixture
def stage(host, daw) -> Stage:
    made = Stage(host, daw())
    made.live()
    return made


def midi(*data: int, at: int = 0) -> tuple[int, bytes]:
    return at, bytes(data)


def test_a_hello_says_what_the_daw_is(stage):
    (hello,) = stage.host.hellos
    assert (hello.sample_rate, hello.block_size, hello.channels, hello.client) == (RATE, 256, 2, "probe")
    credit = stage.got(wire.Heartbeat)[0]
    assert credit.playhead == 0 and credit.free_samples == 2.5 * RATE


def test_what_comes_is_heard_bit_for_bit_at_its_address(stage):
    stage.host.make_until(RATE)
    stage.fill(RATE - FADE)
    heard = np.concatenate([stage.daw.process(n) for n in (1, 63, 512, 1024, 4096, 30000)], axis=1)
    np.testing.assert_array_equal(heard[:, FADE:], voice(0, 0, heard.shape[1])[:, FADE:])
    assert stage.daw.report["underruns"] == 0


def test_midi_arrives_at_its_sample(stage):
    stage.daw.process(100)
    stage.daw.process(
        BLOCK,
        midi=[
            midi(0x93, 60, 101, at=7),
            midi(0x93, 60, 0, at=8),
            midi(0x82, 61, 33, at=9),
            midi(0xB4, 74, 99, at=200),
            midi(0xC5, 12, at=255),
            midi(0xE0, 1, 2, at=3),
            midi(0x90, 62, 1, at=100_000),
        ],
    )
    on = [(m.midi_channel, m.key, m.velocity, m.at_sample) for m in stage.got(wire.NoteOn, 2)]
    assert on == [(3, 60, 101, 107), (0, 62, 1, 100 + BLOCK - 1)], "what lies past the block is at its end"
    off = [(m.midi_channel, m.key, m.velocity, m.at_sample) for m in stage.host.of(wire.NoteOff)]
    assert off == [(3, 60, 0, 108), (2, 61, 33, 109)]
    (bend,) = stage.host.of(wire.Bend)
    assert (bend.midi_channel, bend.value, bend.at_sample) == (0, 257, 103)
    (control,), (program,) = stage.host.of(wire.Control), stage.host.of(wire.Program)
    assert (control.midi_channel, control.controller, control.value, control.at_sample) == (4, 74, 99, 300)
    assert (program.midi_channel, program.program, program.at_sample) == (5, 12, 355)


def test_the_transport_is_told_when_it_changes_and_with_each_event(stage):
    song = Song(True, 0, 0.0, 90.0, (7, 8))
    stage.daw.process(BLOCK, song)
    for block in range(1, 10):
        at = block * BLOCK
        stage.daw.process(
            BLOCK,
            Song(True, at, at / RATE * 1.5, 90.0, (7, 8)),
            [midi(0x90, 60, 100, at=5)] if block == 9 else None,
        )
    stage.got(wire.NoteOn)
    first, again = stage.host.of(wire.Transport)
    assert (first.tempo, first.beat, first.numerator, first.denominator, first.playing) == (90, 0, 7, 8, True)
    assert (first.at_sample, again.at_sample) == (0, 9 * BLOCK)
    assert again.beat == pytest.approx(9 * BLOCK / RATE * 1.5, abs=1e-12)


def test_a_leap_is_told_before_what_happens_after_it(stage):
    stage.host.make_until(20 * BLOCK)
    stage.fill(10 * BLOCK)
    for block in range(4):
        stage.daw.process(BLOCK, Song(True, block * BLOCK, block * BLOCK / RATE * 2))
    far = 10 * RATE
    stage.daw.process(BLOCK, Song(True, far, 20.0), [midi(0x90, 60, 100, at=3)])
    stage.got(wire.NoteOn)
    messages = [message for _, message in stage.host.got]
    leap = next(i for i, m in enumerate(messages) if isinstance(m, wire.Heartbeat) and m.jumps == 1)
    note = next(i for i, m in enumerate(messages) if isinstance(m, wire.NoteOn))
    told = next(i for i, m in enumerate(messages) if isinstance(m, wire.Transport) and m.at_sample == far)
    assert leap < told < note
    assert messages[leap].playhead == far and messages[note].at_sample == far + 3
    assert all(m.jumps == 0 for m in messages[:leap] if isinstance(m, wire.Heartbeat))
    assert all(m.jumps == 1 for m in messages[leap:] if isinstance(m, wire.Heartbeat))
    stage.host.server.send(
        stage.host.client, wire.Audio(0, voice(3, far + BLOCK, 480), at_sample=far + BLOCK)
    )
    until(lambda: stage.daw.ready(1), stage.turn)
    assert np.abs(stage.daw.process(BLOCK, Song(True, far + BLOCK, 20 + BLOCK / RATE * 2))).max() > 0.1


def test_parameters_are_told_by_the_hosts_names_when_they_move(stage):
    stage.daw.process(BLOCK)
    stage.daw.set(rig.GUIDANCE, 4.5)
    stage.daw.set(rig.GAIN, -6)
    stage.daw.process(BLOCK)
    stage.daw.process(BLOCK)
    stage.daw.set(rig.PLAY, 3)
    stage.daw.set(rig.PRESET, 1)
    stage.daw.process(BLOCK)
    (trigger,) = stage.got(wire.Trigger)
    (parameter,) = stage.host.of(wire.Parameter)
    assert (parameter.name, parameter.value, parameter.at_sample) == ("guidance", 4.5, BLOCK)
    assert (trigger.slot, trigger.at_sample) == (2, 3 * BLOCK)
    assert [m.name for m in stage.got(wire.Preset)] == ["one"]


def test_every_name_on_the_wire_is_one_the_host_knows(stage):
    from descant.host.preset import PARAMETERS

    for index in (*range(rig.TEMPERATURE, rig.BEAT + 1), *range(rig.EVERY, rig.BETA + 1)):
        stage.daw.set(index, 2 if index in (rig.TOP_K, rig.GUIDANCE, rig.EVERY) else 0.25)
    stage.daw.process(BLOCK)
    assert {m.name for m in stage.got(wire.Parameter, len(PARAMETERS))} == set(PARAMETERS)


def test_panic_is_silence_at_once_and_in_the_host(stage):
    stage.host.make_until(RATE)
    stage.fill(RATE // 2)
    stage.daw.process(BLOCK, midi=[midi(0x90, 60, 100)])
    stage.daw.process(BLOCK)
    stage.daw.set(rig.PANIC, 1)
    heard = stage.daw.process(1024)
    assert heard[:, 0].any() and not heard[:, 480:].any()
    assert np.abs(np.diff(heard)).max() < 0.02, "a fade, not a click"
    (control,) = stage.got(wire.Control)
    assert control.controller == 123
    stage.daw.set(rig.PANIC, 0)
    stage.daw.process(BLOCK, midi=[midi(0x90, 60, 100)])
    assert stage.daw.process(BLOCK)[:, -1].any(), "a pad opens it again"


def test_a_stopped_daw_is_silent_until_a_pad_is_hit(stage):
    stage.host.make_until(RATE)
    stage.fill(RATE // 2)
    stage.daw.process(BLOCK, Song(True, 0, 0.0))
    heard = stage.daw.process(1024, Song(False, BLOCK, 0.0))
    assert not heard[:, 480:].any() and np.abs(np.diff(heard)).max() < 0.02
    stage.daw.process(1024, Song(False, BLOCK, 0.0), [midi(0x90, 60, 100)])
    assert stage.daw.process(64, Song(False, BLOCK, 0.0)).any()


def test_ten_thousand_events_in_a_block_are_bounded_and_counted(stage):
    stage.daw.process(BLOCK, midi=[midi(0x90, i % 128, 100, at=i % BLOCK) for i in range(10_000)])
    dropped = int(stage.daw.report["dropped"])
    assert 0 < dropped <= 10_000 - 4096

    def told() -> int:  # on a busy machine the link may be lost meanwhile: that is counted, too
        return len(stage.host.of(wire.NoteOn)) + int(stage.daw.report["unsent"])

    until(lambda: told() == 10_000 - dropped, stage.turn)
    stage.live()
    stage.daw.process(BLOCK, midi=[midi(0x90, 5, 77)])
    until(lambda: any(m.velocity == 77 for m in stage.host.of(wire.NoteOn)), stage.turn)


def play(stage: Stage, blocks: int) -> np.ndarray:
    return np.concatenate([stage.daw.process(BLOCK) for _ in range(blocks)], axis=1)


def test_a_host_that_hangs_is_noticed_faded_and_taken_back(stage):
    stage.host.make_until(20 * 480)
    stage.fill(19 * 480)
    until(lambda: stage.daw.report["state"] == rig.LOST)  # nobody serves
    heard = play(stage, 60)
    sound = np.flatnonzero(heard[0])
    assert sound[-1] < 20 * 480 and np.abs(np.diff(heard)).max() < 0.02
    assert stage.daw.report["underruns"] == 1 and stage.daw.report["losses"] == 1
    stage.live()
    stage.host.made = stage.daw.playhead
    stage.host.make_until(stage.host.made + RATE // 2)
    stage.fill(RATE // 4)
    assert play(stage, 4)[:, -1].any()
    assert stage.daw.report["reconnects"] == 0


def test_a_host_started_anew_is_greeted_with_the_old_session_and_told_what_holds(lib, monkeypatch):
    with ipc_endpoint() as endpoint:
        first = SmallHost(endpoint)
        daw = NativeDaw(lib, endpoint)
        stage = Stage(first, daw)
        stage.live()
        daw.set(rig.TEMPERATURE, 0.5)
        song = Song(True, 0, 0.0, 100.0)
        daw.process(BLOCK, song, [midi(0x99, 36, 90), midi(0x90, 60, 80), midi(0xB0, 1, 64)])
        stage.got(wire.Control)
        first.server.close()
        until(lambda: daw.report["state"] == rig.LOST)
        second = SmallHost(endpoint)
        stage.host = second
        stage.live()
        assert second.hellos[0].session == first.session
        daw.process(BLOCK, Song(True, BLOCK, BLOCK / RATE * 100 / 60, 100.0))
        stage.got(wire.NoteOn, 2)
        (transport,), (parameter,) = second.of(wire.Transport), second.of(wire.Parameter)
        assert transport.tempo == 100 and transport.at_sample == BLOCK
        assert (parameter.name, parameter.value) == ("temperature", 0.5)
        assert {(m.midi_channel, m.key, m.velocity) for m in second.of(wire.NoteOn)} == {
            (9, 36, 90),
            (0, 60, 80),
        }
        assert [(m.controller, m.value) for m in second.of(wire.Control)] == [(1, 64)]
        assert daw.report["reconnects"] == 1
        daw.close()
        second.server.close()


class Stubborn(SmallHost):
    """Refuses every hello."""

    code = wire.Code.VERSION

    def answer(self, hello: wire.Hello) -> wire.Message:
        return wire.Refused(self.code, hello.sequence, 1, 2, "what", "still", "do")


@pytest.mark.parametrize(
    ("code", "state"), [(wire.Code.VERSION, rig.OTHER_VERSION), (wire.Code.BUSY, rig.REFUSED)]
)
def test_a_refusal_is_said_and_harmless(lib, code, state):
    with ipc_endpoint() as endpoint:
        host = Stubborn(endpoint)
        host.code = code
        daw = NativeDaw(lib, endpoint)
        stage = Stage(host, daw)
        until(lambda: daw.report["state"] == state, lambda: host.serve(2))
        assert daw.words().split("\n")[:3] == ["what", "still", "do"]
        assert not stage.daw.process(BLOCK, midi=[midi(0x90, 60, 100)]).any()
        daw.close()
        host.server.close()


def test_no_host_at_all_is_silence_and_going_away_takes_no_time(lib):
    with ipc_endpoint() as endpoint:
        daw = NativeDaw(lib, endpoint)
        for _ in range(50):
            assert not daw.process(BLOCK, midi=[midi(0x90, 60, 100)]).any()
        until(lambda: daw.report["state"] == rig.LOOKING)
        began = time.monotonic()
        for _ in range(20):
            daw.deactivate()
            daw.activate()
        daw.close()
        assert time.monotonic() - began < 10


def test_another_seed_is_another_session(stage):
    stage.daw.process(BLOCK)
    stage.daw.set(rig.SEED, 77)
    stage.daw.process(BLOCK)
    until(lambda: len(stage.host.hellos) == 2, stage.turn)
    assert stage.host.hellos[1].seed == 77


KEYED = b"descant-plugin 2\nendpoint=\npreset=\nmodel=\nweights=cafe\nkey.60=slow blues\nkey.61=a choir\n"


def test_words_of_keys_are_told_before_what_is_played_and_told_anew(lib):
    with ipc_endpoint() as endpoint:
        first = SmallHost(endpoint)
        daw = NativeDaw(lib, endpoint)
        daw.settings(KEYED)
        stage = Stage(first, daw)
        stage.live()
        daw.process(BLOCK, midi=[midi(0x90, 60, 100)])
        stage.got(wire.NoteOn)
        told = [m for _, m in first.got if isinstance(m, (wire.KeyPrompt, wire.NoteOn))]
        assert [(m.key, getattr(m, "text", "")) for m in told] == [
            *((60, "slow blues"), (61, "a choir"), (60, ""))
        ]
        daw.settings(KEYED.replace(b"key.60=slow blues\n", b"").replace(b"a choir", b"two choirs"))
        assert [(m.key, m.text) for m in stage.got(wire.KeyPrompt, 4)[2:]] == [(60, ""), (61, "two choirs")]
        assert len(first.hellos) == 1, "no other session for that"
        first.server.close()
        until(lambda: daw.report["state"] == rig.LOST)
        second = stage.host = SmallHost(endpoint)
        assert [(m.key, m.text) for m in stage.got(wire.KeyPrompt)] == [(61, "two choirs")]
        daw.close()
        second.server.close()


def test_another_preset_in_the_project_is_asked_for(stage):
    stage.daw.settings(b"descant-plugin 2\nendpoint=\npreset=daybreak\nmodel=\nweights=\n")
    until(lambda: len(stage.host.hellos) == 2, stage.turn)
    assert stage.host.hellos[1].preset == "daybreak"


def test_a_project_made_with_another_model_is_told(lib, host):
    daw = NativeDaw(lib, host.endpoint)
    stage = Stage(host, daw)
    stage.live()
    daw.settings(b"descant-plugin 2\nendpoint=\npreset=one\nmodel=\nweights=other\n")
    until(lambda: daw.report["state"] == rig.OTHER_MODEL, stage.turn)
    daw.close()


def test_garbage_from_a_host_is_counted_and_nothing_else(stage):
    audio = wire.Audio(0, np.zeros((2, 480), np.float32))
    parts = wire.encode(audio, session=stage.host.session)
    for bad in ([b""], [b"x" * 100], parts[:1], [parts[0], parts[1][:-4]], [*parts, b"more"], [b"y"] * 9):
        stage.host.server._socket.send_multipart([stage.host.client, *bad])
    until(lambda: stage.daw.report["malformed"] == 6, stage.turn)
    assert stage.daw.report["state"] == rig.LIVE


def test_a_host_on_another_machine_is_reached_by_the_keys_that_were_printed(lib, monkeypatch, tmp_path):
    """What `descant keys add` prints is what the plugin reads; without it, nobody comes in."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    lines = host_keys.add("laptop", endpoint)
    known = host_keys.read_keys()
    assert known is not None
    host = SmallHost(endpoint, curve=known.curve())
    monkeypatch.setenv("DESCANT_ENDPOINT", endpoint)
    stranger = Stage(host, NativeDaw(lib, endpoint))
    for _ in range(100):  # without keys nothing of it reaches the host
        stranger.turn()
    (tmp_path / "descant" / "plugin.toml").write_text(lines)
    friend = Stage(host, NativeDaw(lib, endpoint))
    friend.live()
    assert len(host.hellos) == 1 and stranger.daw.report["state"] != rig.LIVE
    for one in (stranger, friend):
        one.daw.close()
    host.server.close()
