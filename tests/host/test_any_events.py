"""Whatever a client sends, in whatever order: the engine goes on, and its promises hold."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descant.host.engine import Engine
from descant.host.events import (
    AudioOut,
    Capture,
    Control,
    FaultOut,
    Heartbeat,
    Mix,
    Mode,
    NoteOff,
    NoteOn,
    Parameter,
    PresetChange,
    Program,
    Prompt,
    SessionHello,
    TransportEvent,
    Trigger,
)
from descant.host.render import replay

small, numbers = st.integers(-2, 140), st.floats(allow_nan=True, allow_infinity=True)
offsets = st.one_of(st.integers(-3000, 9000), st.integers(-3000, 60_000), st.sampled_from([-(2**53), 2**53]))
names = st.sampled_from(["temperature", "guidance", "top_k", "top_p", "melody", "chords", "beat", "x"])
sane = {"tempo": st.floats(60, 300), "beat": st.floats(0, 64)}


def hum(n):
    return (0.3 * np.sin(np.arange(n) * 0.1))[None].astype(np.float32)


events = st.one_of(
    st.builds(Trigger, offsets, st.integers(0, 5)),
    st.builds(Trigger, offsets, small, small, st.sampled_from(["press", "release"])),
    st.builds(NoteOn, offsets, small, small),
    st.builds(NoteOff, offsets, small),
    st.builds(Control, offsets, st.sampled_from([1, 2, 120, 123]), st.integers(0, 127)),
    st.builds(Program, offsets, small),
    st.builds(Parameter, offsets, names, numbers),
    st.builds(Parameter, offsets, names, st.floats(0, 1)),
    st.builds(Mix, offsets, numbers, st.floats(0, 1)),
    st.builds(Prompt, offsets, small, st.text(max_size=20)),
    st.builds(PresetChange, offsets, st.sampled_from(["pads", "keys", "free", "none"])),
    st.builds(TransportEvent, offsets, numbers, numbers, small, small),
    st.builds(TransportEvent, offsets, playing=st.booleans(), **sane),
    st.builds(TransportEvent, offsets, looping=st.just(True), loop_start=st.just(2.0), loop_end=numbers,
    **sane), st.builds(TransportEvent, offsets, looping=st.just(True), loop_start=st.just(2.0),
    loop_end=st.floats(3, 9), **sane), st.builds(
        Capture, offsets, st.integers(0, 5), st.just(16000), st.integers(0, 9000).map(hum),
        st.integers(0, 2), st.booleans(),
    ),
    st.builds(Mode, offsets, st.just("realtime")),
)  # fmt: skip
moves = st.lists(
    st.one_of(
        st.tuples(st.just("event"), events),
        st.tuples(st.just("play"), st.integers(0, 6000)),
        st.tuples(st.just("work"), st.integers(1, 6)),
    ),
    min_size=6,
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves, st.sampled_from(["pads", "keys", "free"]))
def test_promises_hold_for_any_events(model, presets, moves, preset):
    engine = Engine(model, presets)
    hello = SessionHello(48000, channels=1, preset=preset)
    engine.open(1, hello)
    commit = 5760
    playhead, epoch, end, promised, late = 0, 0, None, 0, False
    total = 400_000
    placed, heard = np.zeros((1, total), np.float32), np.zeros((1, total), np.float32)

    def take(outputs):
        nonlocal epoch, end, late
        for output in outputs:
            if isinstance(output, FaultOut):
                assert output.severity == "warning" and output.what and output.do
                late |= output.code == "late"
            if not isinstance(output, AudioOut):
                continue
            assert np.isfinite(output.wave).all() and output.epoch in (epoch, epoch + 1)
            if output.epoch > epoch:
                assert output.at_sample >= promised
                placed[:, output.at_sample :] = 0
            elif end is not None:
                assert output.at_sample >= end
            epoch, end = output.epoch, output.at_sample + output.wave.shape[1]
            assert end <= playhead + 19200
            placed[:, output.at_sample : end] = output.wave

    engine.handle(1, Heartbeat(0, 0, 96000))
    if preset != "keys":
        moves = [("event", Trigger(0, 5)), ("play", 9600), *moves]
    for kind, value in [*moves, ("play", 9600)]:
        if kind == "event":
            moved = type(value)(**{**value.__dict__, "at_sample": value.at_sample + playhead})
            take(engine.handle(1, moved))
        elif kind == "work":
            for _ in range(value):
                take(output for _, output in engine.work())
        else:
            while engine.wants_work():
                take(output for _, output in engine.work())
            heard[:, playhead : playhead + value] = placed[:, playhead : playhead + value]
            playhead += value
            promised = playhead + commit
            take(engine.handle(1, Heartbeat(playhead, playhead, 96000)))
    session = engine.session(1)
    if not late and session.log.complete:
        again = replay(model, presets, session.log.entries, playhead / 48000, hello)
        assert np.array_equal(again.wave, heard[:, : again.wave.shape[1]])
