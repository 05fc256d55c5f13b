"""Wire messages become host events and back without loss."""

import numpy as np
import pytest

from descant.host import translate
from descant.host.errors import HostError, SessionError
from descant.host.events import (
    AudioOut,
    Capture,
    FaultOut,
    Heartbeat,
    MeterOut,
    Mode,
    PlanOut,
    ResumeOut,
    SessionWelcome,
    TransportEvent,
    Trigger,
)
from descant.plugin_bridge import wire

WAVE = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)

MESSAGES = [
    wire.Trigger(at_sample=5, slot=3, velocity=90, action="release"),
    wire.NoteOn(at_sample=5, midi_channel=2, key=60, velocity=9),
    wire.NoteOff(at_sample=5, midi_channel=2, key=60, velocity=8),
    wire.Control(at_sample=5, midi_channel=2, controller=7, value=100),
    wire.Program(at_sample=5, midi_channel=2, program=11),
    wire.Parameter(at_sample=5, name="top_p", value=0.25),
    wire.Prompt(at_sample=5, slot=2, text="slow blues"),
    wire.Preset(at_sample=5, name="jazz-club"),
    wire.Transport(
        at_sample=5, tempo=99.5, beat=3.25, numerator=7, denominator=8, looping=True, loop_end=7.0
    ),
    wire.Capture(at_sample=5, clip=9, sample_rate=44100, index=1, last=False, role="live", wave=WAVE),
    wire.Mode(at_sample=5, mode="offline"),
    wire.Heartbeat(at_sample=5, playhead=77, free_samples=88),
    wire.Bend(at_sample=5, midi_channel=2, value=8193),
    wire.Sync(at_sample=5, playhead=77, free_samples=88, until=99),
    wire.Mix(0.5, 0.0, 1.0, 0.25, 0.0, 0.75, at_sample=5),
    wire.Recount(at_sample=5),
    wire.KeyPrompt(at_sample=5, key=61, text="slow blues"),
    wire.Goodbye(at_sample=5, reason="done"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_field_arrives(message):
    event = translate.to_event(translate.decode(wire.encode(message)))
    assert event.at_sample == 5
    renamed = {"clip": "clip_id", "wave": "part"}
    for name in message.__struct_fields__:
        if name not in ("session", "sequence"):
            assert np.array_equal(getattr(event, renamed.get(name, name)), getattr(message, name))


def test_every_message_a_bridge_may_send_is_understood():
    sent = {row.cls for row in wire.ROWS if row.sender in ("bridge", "both")}
    assert sent == {type(message) for message in MESSAGES} | {wire.Hello}
    assert isinstance(translate.to_event(MESSAGES[0]), Trigger)
    assert isinstance(translate.to_event(MESSAGES[8]), TransportEvent)
    assert isinstance(translate.to_event(MESSAGES[9]), Capture)
    assert isinstance(translate.to_event(MESSAGES[10]), Mode)
    assert isinstance(translate.to_event(MESSAGES[11]), Heartbeat)


def test_hello():
    message = wire.Hello(
        sample_rate=44100,
        block_size=64,
        channels=1,
        client="DAW",
        preset="x",
        lead_ms=300,
        commit_ms=90,
        seed=2**63,
    )
    hello = translate.to_hello(message)
    assert (hello.sample_rate, hello.block_size, hello.channels, hello.preset) == (44100, 64, 1, "x")
    assert (hello.lead_ms, hello.commit_ms, hello.seed) == (300, 90, 2**63)
    with pytest.raises(HostError):
        translate.to_hello(MESSAGES[0])
    with pytest.raises(HostError):
        translate.to_event(message)


def test_outputs():
    audio = translate.decode(translate.from_output(9, AudioOut(100, 3, WAVE)))
    assert isinstance(audio, wire.Audio) and (audio.session, audio.at_sample, audio.epoch) == (9, 100, 3)
    assert np.array_equal(audio.wave, WAVE)
    plan = translate.decode(translate.from_output(9, PlanOut(3, 400, 2.5, "jazz")))
    assert isinstance(plan, wire.Plan) and (plan.from_sample, plan.bar, plan.text) == (400, 2.5, "jazz")
    meter = translate.decode(translate.from_output(9, MeterOut(1, -1e9, 1e9, 4, 130.0, 140.0, 1e9)))
    assert isinstance(meter, wire.Meter) and meter.underruns == 4 and meter.control_delay_ms_p50 == 130
    fault = FaultOut(1, "hum", "warning", "what\0", "still \ud800", "d" * 900)
    sent = translate.decode(translate.from_output(9, fault))
    assert isinstance(sent, wire.Fault) and sent.code == translate.FAULT_CODES["hum"] and len(sent.do) == 500
    with pytest.raises(AssertionError):
        translate.from_output(9, ResumeOut(0, b""))


def test_the_hosts_own_fault_numbers_have_no_other_meaning_on_the_wire():
    own = {name: number for name, number in translate.FAULT_CODES.items() if name != "overload"}
    assert len(set(own.values())) == len(own) and min(own.values()) > max(wire.Code)
    assert translate.FAULT_CODES["overload"] == wire.Code.OVERLOAD  # means just that
    pure = [kind for kind in HostError.__subclasses__() if kind.__module__ == HostError.__module__]
    assert set(translate.FAULT_CODES) >= {HostError.code, *(kind.code for kind in pure)} and len(pure) > 3
    unknown = translate.decode(translate.from_output(9, FaultOut(1, "new", "error", "a", "b", "c")))
    assert isinstance(unknown, wire.Fault) and unknown.code == translate.FAULT_CODES["host"]


def test_welcome_and_refusal():
    answer = SessionWelcome(
        9, 48000, 256, 2, "embedded", "ab12", ("text", "melody"), ("a", "b"), "a", 400.0, 120.0
    )
    message = translate.decode(translate.welcome(answer))
    assert isinstance(message, wire.Welcome) and message.session == 9 and message.presets == ("a", "b")
    assert (message.model, message.weights_hash, message.controls) == ("embedded", "ab12", ("text", "melody"))
    refused = translate.decode(translate.refusal(9, SessionError("no", "others go on", "ask again")))
    assert isinstance(refused, wire.Refused) and (refused.what, refused.do) == ("no", "ask again")
