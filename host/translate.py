"""Wire messages to host events and back: the only file that knows both languages.

Knows nothing about sockets or sessions; numbers keep their units, only names and containers change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from descant.host.errors import EventError, HostError
from descant.host.events import (
    AudioOut,
    Bend,
    Capture,
    Control,
    FallbackOut,
    FaultOut,
    Goodbye,
    Heartbeat,
    HostEvent,
    HostOutput,
    KeyPrompt,
    MeterOut,
    Mix,
    Mode,
    NotedOut,
    NoteOff,
    NoteOn,
    Parameter,
    PlanOut,
    PresetChange,
    Program,
    Prompt,
    Recount,
    ResumeOut,
    SessionHello,
    SessionWelcome,
    Sync,
    SyncedOut,
    TransportEvent,
    Trigger,
)
from descant.plugin_bridge import wire

_OWN = 128  # from here on numbers are the host's own; wire.Code names none of them
FAULT_CODES = {
    "host": _OWN,
    "preset": _OWN + 1,
    "transport": _OWN + 2,
    "event": _OWN + 3,
    "hum": _OWN + 4,
    "session": _OWN + 5,
    "model": _OWN + 6,
    "late": _OWN + 7,
    "looper": _OWN + 8,
    "device": _OWN + 9,
    "take": _OWN + 10,
    "overload": int(wire.Code.OVERLOAD),
}
_F32_MAX = 1e6


def decode(parts: Sequence[bytes]) -> wire.Message:
    """The message in the parts. Errors: WireError."""
    return wire.decode(list(parts))


def to_hello(message: wire.Message) -> SessionHello:
    """Who wants a session. Errors: EventError for any other message."""
    if not isinstance(message, wire.Hello):
        raise _unexpected(message, "hello")
    return SessionHello(
        message.sample_rate,
        message.block_size,
        message.channels,
        message.client,
        message.model,
        message.preset,
        float(message.lead_ms),
        float(message.commit_ms),
        message.seed,
    )


def to_event(message: wire.Message) -> HostEvent:
    """The event that a client's message is. Errors: EventError for a message that is none."""
    at = message.at_sample
    match message:
        case wire.Trigger():
            return Trigger(at, message.slot, message.velocity, message.action)
        case wire.NoteOn():
            return NoteOn(at, message.key, message.velocity, message.midi_channel)
        case wire.NoteOff():
            return NoteOff(at, message.key, message.velocity, message.midi_channel)
        case wire.Control():
            return Control(at, message.controller, message.value, message.midi_channel)
        case wire.Program():
            return Program(at, message.program, message.midi_channel)
        case wire.Bend():
            return Bend(at, message.value, message.midi_channel)
        case wire.Parameter():
            return Parameter(at, message.name, message.value)
        case wire.Prompt():
            return Prompt(at, message.slot, message.text)
        case wire.KeyPrompt():
            return KeyPrompt(at, message.key, message.text)
        case wire.Mix():
            mixed = (message.pad_0, message.pad_1, message.pad_2, message.pad_3, message.pad_4, message.pad_5)
            return Mix(at, *mixed)
        case wire.Preset():
            return PresetChange(at, message.name)
        case wire.Transport():
            return TransportEvent(
                at,
                message.tempo,
                message.beat,
                message.numerator,
                message.denominator,
                message.playing,
                message.loop_start,
                message.loop_end,
                message.looping,
            )
        case wire.Capture():
            return Capture(
                at,
                message.clip,
                message.sample_rate,
                message.wave,
                message.index,
                message.last,
                message.role,
            )
        case wire.Mode():
            return Mode(at, message.mode)
        case wire.Heartbeat():
            return Heartbeat(
                at,
                message.playhead,
                message.free_samples,
                jumps=message.jumps,
                sequence=message.sequence,
            )
        case wire.Sync():
            return Sync(at, message.playhead, message.free_samples, message.until, message.sequence)
        case wire.Recount():
            return Recount(at)
        case wire.Goodbye():
            return Goodbye(at, message.reason)
    raise _unexpected(message, "a message of a bridge")


def welcome(answer: SessionWelcome) -> tuple[bytes, ...]:
    """The parts of `welcome`."""
    return tuple(
        wire.encode(
            wire.Welcome(
                session=answer.session,
                protocol=wire.PROTOCOL_VERSION,
                sample_rate=answer.sample_rate,
                block_size=answer.block_size,
                channels=answer.channels,
                model=answer.model,
                weights_hash=answer.weights_hash,
                controls=answer.controls,
                presets=answer.presets,
            )
        )
    )


def refusal(session: int, error: HostError) -> tuple[bytes, ...]:
    """The parts of `refused` for a session that cannot be opened."""
    code = FAULT_CODES.get(error.code, _OWN)
    return tuple(
        wire.encode(wire.refusal(wire.WireError(code, error.what, error.still, error.do), session=session))
    )


def from_output(session: int, output: HostOutput) -> tuple[bytes, ...]:
    """The parts of the message that an output is. A ResumeOut never travels: AssertionError."""
    return tuple(wire.encode(to_message(session, output)))


def to_message(session: int, output: HostOutput) -> wire.Message:
    """The message that an output is. A ResumeOut never travels: AssertionError."""
    match output:
        case AudioOut():
            wave = np.ascontiguousarray(output.wave, np.float32)
            return wire.Audio(session=session, at_sample=output.at_sample, epoch=output.epoch, wave=wave)
        case PlanOut():
            return wire.Plan(
                session=session,
                at_sample=output.from_sample,
                epoch=output.epoch,
                from_sample=output.from_sample,
                bar=output.bar,
                text=output.text,
            )
        case MeterOut():
            return wire.Meter(
                session=session,
                at_sample=output.at_sample,
                lead_ms=_bounded(output.lead_ms, -_F32_MAX),
                real_time_factor=_bounded(output.real_time_factor),
                underruns=output.underruns,
                control_delay_ms_p50=_bounded(output.control_delay_p50_ms),
                control_delay_ms_p95=_bounded(output.control_delay_p95_ms),
                load=min(_bounded(output.load), 1e3),
                eased=output.eased,
            )
        case FaultOut():
            return wire.Fault(
                session=session,
                at_sample=output.at_sample,
                code=FAULT_CODES.get(output.code, _OWN),
                severity=output.severity,
                what=_line(output.what),
                still=_line(output.still),
                do=_line(output.do),
            )
        case SyncedOut():
            return wire.Synced(session=session, at_sample=output.at_sample, refers_to=output.refers_to)
        case FallbackOut():
            return wire.Fallback(session=session, at_sample=output.at_sample, manner=output.manner)
        case NotedOut():
            return wire.Noted(
                session=session, at_sample=output.at_sample, complete=output.complete, entries=output.entries
            )
        case ResumeOut():
            raise AssertionError("snapshots stay in the host")


def _bounded(value: float, low: float = 0.0) -> float:
    return min(max(value, low), _F32_MAX)


def _line(text: str) -> str:
    """Text the wire accepts: no NUL, no half characters, at most 500 characters."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")[:500]


def _unexpected(message: wire.Message, wanted: str) -> EventError:
    return EventError(
        f"a {type(message).__name__.lower()} message came where {wanted} belongs",
        "the session goes on unchanged",
        "send only what a bridge may send",
    )
