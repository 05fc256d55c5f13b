"""All sessions of one model, and which of them works next: most urgent first, one model frame at a time.

Knows nothing about threads, clocks, sockets or files; the clients' playheads are its clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from descant.host.errors import HostError, HumError, SessionError
from descant.host.events import (
    FaultOut,
    Heartbeat,
    HostEvent,
    HostOutput,
    ResumeOut,
    SessionHello,
    SessionWelcome,
)
from descant.host.hum import Chroma
from descant.host.preset import Preset
from descant.host.resume import pack, unpack
from descant.host.session import Session
from descant.model import ModelError, MusicModel
from descant.model.conditions.chroma import melody_frames

REPORT_SECONDS = 0.5  # of audio between meters, and between resume points
FAULTS_A_BEAT = 16  # faults sent between two heartbeats of a client; the rest are only counted
MAX_SESSIONS = 64


class Engine:
    """Sessions by number. One thread only; every call returns soon, `work` after at most one model frame.

    model: shared, read-only. presets: by name, the first one is the default.
    timer: seconds, any origin; only measures the real-time factor shown in meters, never decides anything
    musical.
    """

    def __init__(
        self, model: MusicModel, presets: Mapping[str, Preset], timer: Callable[[], float] | None = None
    ) -> None:
        self._model = model
        self._presets = dict(presets)
        self._timer = timer
        self._open: dict[int, _Seat] = {}

    def open(self, session: int, hello: SessionHello) -> SessionWelcome:
        """Start a session.

        Errors: HostError (number in use, too many sessions, rate or channels out of range, unknown model or
        preset).
        """
        return self._seat(
            session, Session(self._checked(session, hello), self._model, self._presets, self._chroma)
        )

    def resume(self, session: int, snapshot: bytes) -> SessionWelcome:
        """Open `session` again from the last ResumeOut.snapshot of a lost engine. Errors: HostError."""
        resumed = unpack(snapshot, self._model, self._presets, self._chroma)
        self._checked(session, resumed.hello)
        return self._seat(session, resumed)

    def close(self, session: int) -> None:
        """Forget a session; unknown numbers are ignored."""
        self._open.pop(session, None)

    def sessions(self) -> tuple[int, ...]:
        """Numbers of the open sessions (a Goodbye closes one)."""
        return tuple(self._open)

    def session(self, session: int) -> Session:
        """An open session, to look at. Errors: SessionError if there is none."""
        if session not in self._open:
            raise SessionError(f"session {session} is not open", "other sessions go on", "say hello first")
        return self._open[session].session

    def handle(self, session: int, event: HostEvent) -> list[HostOutput]:
        """Take one event. Never raises for what a client sends: bad events come back as one FaultOut."""
        seat = self._open.get(session)
        if seat is None:
            error = SessionError(f"session {session} is not open", "other sessions go on", "say hello first")
            return [_fault(error, event.at_sample)]
        if isinstance(event, Heartbeat):
            seat.faults_left = FAULTS_A_BEAT
        try:
            outputs = seat.session.handle(event)
        except (HostError, ModelError) as error:
            if seat.faults_left == 0:
                return []
            seat.faults_left -= 1
            return [_fault(error, event.at_sample)]
        if seat.session.closed:
            self.close(session)
        return outputs

    def work(self) -> list[tuple[int, HostOutput]]:
        """One slice: at most one model frame for the most urgent session; [] when nothing is wanted."""
        waiting = [(number, seat) for number, seat in self._open.items() if seat.session.wants_work()]
        if not waiting:
            return []
        number, seat = min(waiting, key=lambda pair: pair[1].session.seconds_ahead)
        return [(number, output) for output in self._slice(seat)]

    def wants_work(self) -> bool:
        """Whether work() would make audio now."""
        return any(seat.session.wants_work() for seat in self._open.values())

    def _slice(self, seat: _Seat) -> list[HostOutput]:
        session = seat.session
        began = self._timer() if self._timer else 0.0
        made = session.playback.frames_made
        try:
            outputs = session.work()
        except Exception as error:  # whatever breaks one session must not reach the others
            session.fail()
            return [_broken(error, session.playback.sent)]
        if session.restarted:
            session.restarted = False
            outputs.insert(0, _late(session.pacing.playhead))
        frames = session.playback.frames_made - made
        busy = self._timer() - began if self._timer else 0.0
        session.meters.worked(busy, frames / self._model.spec.frame_rate)
        sent = session.playback.samples_sent
        since = sent - seat.reported
        if since >= REPORT_SECONDS * session.hello.sample_rate:
            seat.reported = sent
            at = session.playback.sent
            lead_ms = 1000 * session.seconds_ahead
            outputs.append(session.meters.read(at, lead_ms, since / session.hello.sample_rate))
            outputs.append(ResumeOut(at, pack(session)))
        return outputs

    def _checked(self, number: int, hello: SessionHello) -> SessionHello:
        if number in self._open:
            raise SessionError(f"session {number} is open already", "it goes on", "use another number")
        if len(self._open) >= MAX_SESSIONS:
            raise SessionError(f"{MAX_SESSIONS} sessions are open already", "they go on", "close one of them")
        return _checked_hello(hello, self._model.spec.name)

    def _seat(self, number: int, session: Session) -> SessionWelcome:
        self._open[number] = _Seat(session)
        hello = session.hello
        return SessionWelcome(
            session=number,
            sample_rate=hello.sample_rate,
            block_size=hello.block_size,
            channels=hello.channels,
            model=self._model.spec.name,
            weights_hash=self._model.weights_hash,
            controls=tuple(self._model.spec.controls),
            presets=tuple(self._presets),
            preset=session.score.preset.name,
            lead_ms=session.pacing.lead_ms,
            commit_ms=session.pacing.commit_ms,
        )

    def _chroma(self, wave: np.ndarray[tuple[int, ...], np.dtype[np.float32]], rate: int) -> Chroma:
        spec = self._model.spec
        if not any(control.name == "melody" and control.dim == 12 for control in spec.lm.controls):
            raise HumError(
                f"model {spec.name} follows no melody",
                "the music goes on without the clip",
                "use a model with a melody control, such as embedded or MusicGen's melody models",
            )
        chroma: Chroma = melody_frames(wave, rate, spec.frame_rate).numpy()
        return chroma


class _Seat:
    """What the engine remembers of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.reported = 0
        self.faults_left = FAULTS_A_BEAT


def _fault(error: HostError | ModelError, at_sample: int) -> FaultOut:
    code = error.code if isinstance(error, HostError) else "model"
    return FaultOut(at_sample, code, "warning", error.what, error.still, error.do)


def _late(at_sample: int) -> FaultOut:
    return FaultOut(
        at_sample,
        "late",
        "warning",
        "the engine fell behind the playhead",
        "the same prompt begins anew, in time",
        "if it happens again, close other programs or give the session more lead",
    )


def _broken(error: Exception, at_sample: int) -> FaultOut:
    if isinstance(error, HostError | ModelError):
        fault = _fault(error, at_sample)
        return replace(fault, severity="error")
    what = f"making music failed: {type(error).__name__}: {error}"[:400].replace("\n", " ")
    return FaultOut(
        at_sample,
        "model",
        "error",
        what,
        "the session is silent, all others go on",
        "press a pad to begin anew",
    )


def _checked_hello(hello: SessionHello, model: str) -> SessionHello:
    """The hello, if a session can be opened for it. Errors: SessionError naming what is allowed."""
    bounds: tuple[tuple[Literal["sample_rate", "block_size", "channels", "seed"], int, int], ...] = (
        ("sample_rate", 8000, 384000),
        ("block_size", 1, 65536),
        ("channels", 1, 8),
        ("seed", 0, 2**64 - 1),
    )
    for name, low, high in bounds:
        value = getattr(hello, name)
        if not low <= value <= high:
            raise SessionError(
                f"{name} {value} cannot be served", "other sessions go on", f"ask for {low}..{high}"
            )
    if hello.model not in ("", model):
        raise SessionError(
            f"model {hello.model[:80]!r} is not loaded",
            "other sessions go on",
            f"ask for {model!r} or for none",
        )
    for time in ("lead_ms", "commit_ms"):
        if not 0 <= getattr(hello, time) <= 60_000:
            raise SessionError(
                f"{time} {getattr(hello, time):g} cannot be served",
                "other sessions go on",
                "ask for 0..60000 ms",
            )
    return hello
