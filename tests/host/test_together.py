"""Many performers in one batch: each hears what it would hear alone, whoever joins, leaves or fails."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descant.host.engine import Engine
from descant.host.events import (
    AudioOut,
    Control,
    FaultOut,
    Goodbye,
    Heartbeat,
    NoteOn,
    Prompt,
    SessionHello,
    Trigger,
)
from descant.host.render import replay
from descant.model import Generator, tiny_model
from descant.model.kernels.build import load

BLOCK = 480
pytestmark = pytest.mark.skipif(load().handle is None, reason=f"no native library: {load().reason}")


@pytest.fixture(scope="module", params=["native-fp32", "native-int8"])
def native(request):
    torch.set_num_threads(1)
    model = tiny_model()
    model.lm.use_kernel(request.param)
    return model


def work(engine, players, slices):
    """So many slices, and as many more as it takes until all have a tenth of a second in hand."""

    def hungry():
        sessions = [engine.session(number) for number in engine.sessions()]
        return any(each.wants_work() and each.seconds_left < 0.13 for each in sessions)

    while slices > 0 or hungry():
        slices -= 1
        for number, output in engine.work():
            players[number].take([output])


def perform(client, engine, parts, slices):
    """All players and their sessions' logs; a part: number, block of joining, of leaving, events by block."""
    players, logs = {}, {}
    for block in range(max(leave for _, _, leave, _ in parts)):
        for number, join, leave, events in parts:
            if block == join:
                players[number] = client(
                    engine=engine, number=number, seconds=(leave - join) * BLOCK / 48_000, slices=0,
                    seed=number, preset="free", channels=1, lead_ms=200.0 + 60 * number,
                )  # fmt: skip
                logs[number] = engine.session(number).log
            if join <= block < leave:
                player = players[number]
                for event in events.get(block - join, ()):
                    if isinstance(event, int):
                        player.seek(max(0, player.playhead + event))
                    else:
                        player.send(type(event)(**{**event.__dict__, "at_sample": player.playhead}))
                if block + 1 == leave and leave % 2:
                    player.send(Goodbye(player.playhead))
        work(engine, players, slices[block % len(slices)])
        for number, join, leave, _ in parts:
            if join <= block < leave:
                player = players[number]
                player.run_to(player.playhead + BLOCK) if number in engine.sessions() else None
            elif block == leave:
                engine.close(number)
    return players, logs


rides = st.builds(Control, st.just(0), st.sampled_from([1, 2]), st.integers(0, 127))
leaps = st.integers(-4000, 9000)
changes = (
    st.builds(Trigger, st.just(0), st.integers(0, 5)),
    st.builds(NoteOn, st.just(0), st.integers(36, 41)),
    st.builds(Prompt, st.just(0), st.integers(0, 3), st.sampled_from(["soft rain", "loud brass", "a choir"])),
)


@st.composite
def parts(draw):
    found = []
    for number in range(1, draw(st.integers(2, 5)) + 1):
        join = draw(st.integers(0, 12))
        leave = join + draw(st.integers(8, 24))
        more = st.one_of(
            *changes, draw(st.sampled_from([rides, leaps]))
        )  # a log tells of one way along the line
        events = draw(st.dictionaries(st.integers(1, 23), st.lists(more, max_size=2), max_size=5))
        found.append((number, join, leave, {**events, 0: [Trigger(0, 5 if number % 2 else 0)]}))
    return found


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts(), st.lists(st.integers(0, 9), min_size=1, max_size=7))
def test_each_hears_what_it_would_hear_alone(native, presets, client, parts, slices):
    """When a ridden control is heard goes by how much is made ahead: there the log says what is due."""
    together, logs = perform(client, Engine(native, presets), parts, slices)
    for part in parts:
        number, join, leave, events = part
        if any(isinstance(event, Control) for lot in events.values() for event in lot):
            heard = (leave - join - leave % 2) * BLOCK  # nothing after a goodbye
            alone = replay(native, presets, logs[number].entries, heard / 48_000, together[number].hello).wave
        else:
            alone = perform(client, Engine(native, presets), [part], [4])[0][number].heard
        assert np.array_equal(together[number].heard[:, : alone.shape[1]], alone)


def test_one_slice_serves_all_who_want_work(native, presets):
    engine = Engine(native, presets)
    for number in range(1, 11):
        engine.open(number, SessionHello(48_000, channels=1, preset="free"))
        engine.handle(number, Heartbeat(0, 0, 48_000))
        engine.handle(number, Trigger(0, 5))
    slices = 0
    while engine.wants_work():
        engine.work()
        slices += 1
    frames = sum(engine.session(number).playback.frames_made for number in engine.sessions())
    assert frames >= 150 and slices <= frames / 5  # eight pairs of rows fill a batch; a first frame takes six


def test_one_who_fails_harms_nobody_in_the_batch(native, presets, client, monkeypatch):
    """A stream that cannot be run in the batch, and one that breaks on its own."""
    engine = Engine(native, presets)
    players = {
        n: client(engine=engine, number=n, seconds=1, slices=0, preset="free", seed=7) for n in (1, 2, 3)
    }
    for player in players.values():
        player.send(Trigger(0, 5))
    work(engine, players, 12)
    spoilt = engine.session(2).playback.current()
    assert isinstance(spoilt, Generator)
    spoilt._columns._windows[-1].rows.states[0].cache = None  # the library cannot run this one
    for _ in range(60):
        work(engine, players, 2)
        for player in players.values():
            player.run_to(player.playhead + BLOCK)
    assert [fault.severity for fault in players[2].of(FaultOut)] == ["error"]
    assert not players[1].of(FaultOut) and not players[3].of(FaultOut)
    assert np.array_equal(players[1].heard, players[3].heard)
    assert np.abs(players[1].heard[:, 20_000:28_000]).max() > 0
    players[2].send(Trigger(players[2].playhead, 5))
    work(engine, players, 30)
    assert np.abs(players[2].placed[:, players[2].playhead :]).max() > 0


def test_a_past_that_is_run_again_does_not_stall_the_others(native, presets, client):
    """A session carried on from a lost engine runs its context in lots, all others a column beside each."""
    lost = client(engine=Engine(native, presets), seconds=2, slices=12, preset="free")
    lost.send(Trigger(0, 5))
    lost.run_to(60_000)
    engine = Engine(native, presets)
    players = {n: client(engine=engine, number=n, seconds=2, slices=0, preset="free") for n in (2, 3)}
    for player in players.values():
        player.send(Trigger(0, 5))
    work(engine, players, 12)
    engine.resume(1, lost.resumes[-1].snapshot)
    engine.handle(1, Heartbeat(60_000, 60_000, 48_000))
    for player in players.values():
        player.run_to(4800)
    frames = {n: engine.session(n).playback.frames_made for n in players}
    resumed = engine.session(1)
    run, slices, heard = 0, 0, False
    while not heard:
        outputs = engine.work()
        slices += 1
        heard = any(number == 1 and isinstance(output, AudioOut) for number, output in outputs)
        stream = resumed.playback.current()
        now = stream.columns_run if stream is not None else 0
        assert now - run <= native.lm.at_once(2) + 1
        run = now
    assert run >= 24 and slices >= 4  # a context of 24 columns, eight at a time
    made = [engine.session(n).playback.frames_made - before for n, before in frames.items()]
    assert all(count >= 3 for count in made)
