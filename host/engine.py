"""All sessions of one model, and which of them work next: most urgent first, together where that is cheaper.

Knows nothing about threads, clocks, sockets or files; the clients' playheads are its clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from descant.host.ear import ears_of
from descant.host.errors import HostError, SessionError
from descant.host.events import (
    Heartbeat,
    HostEvent,
    HostOutput,
    KeyPrompt,
    PresetChange,
    ResumeOut,
    SessionHello,
    SessionWelcome,
)
from descant.host.faults import broken, checked_hello, fault_of, late
from descant.host.preset import Preset
from descant.host.resume import pack, unpack
from descant.host.session import Session
from descant.model import ModelError, MusicModel
from descant.model.work import Answer, Ask, answers

REPORT_SECONDS = 0.5  # of audio between meters, and between resume points
FAULTS_A_BEAT = 16  # faults sent between two heartbeats of a client; the rest are only counted
MAX_SESSIONS = 64
MAX_ROWS = 16  # of one batch
NEAR_SECONDS = 0.2  # of audio: those no further ahead than this, or twice the most urgent one, work beside it
MAX_UNREAD = 64  # prompts waiting to be encoded; the encoder remembers as many


class Engine:
    """Sessions by number. One thread only; every call returns soon, `work` after at most one model frame.

    Where the model's kernel runs columns of several streams for little more than one (MusicLm.batches), a
    slice is one column of each session that may take part; a frame of several columns, as a stream's first,
    and columns of its past that have to be run again then take several slices, between which the others' go
    on. Elsewhere a slice is a frame of one session. Whoever takes part, the samples are the same.
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
        self._unread: deque[str] = deque(maxlen=MAX_UNREAD)  # prompts that a pad may ask for, to be encoded

    def open(self, session: int, hello: SessionHello) -> SessionWelcome:
        """Start a session.

        Errors: HostError (number in use, too many sessions, rate or channels out of range, unknown model or
        preset).
        """
        return self._seat(
            session, Session(self._checked(session, hello), self._model, self._presets, ears_of(self._model))
        )

    def resume(self, session: int, snapshot: bytes) -> SessionWelcome:
        """Open `session` again from the last ResumeOut.snapshot of a lost engine. Errors: HostError."""
        resumed = unpack(snapshot, self._model, self._presets, ears_of(self._model))
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

    def handle(self, session: int, event: HostEvent, sequence: int | None = None) -> list[HostOutput]:
        """Take one event. Never raises for what a client sends: bad events come back as one FaultOut.

        sequence: of the message that it was.
        """
        seat = self._open.get(session)
        if seat is None:
            error = SessionError(f"session {session} is not open", "other sessions go on", "say hello first")
            return [fault_of(error, event.at_sample)]
        if isinstance(event, Heartbeat):
            seat.faults_left = FAULTS_A_BEAT
        try:
            outputs = seat.session.handle(event, sequence)
        except (HostError, ModelError) as error:
            if seat.faults_left == 0:
                return []
            seat.faults_left -= 1
            return [fault_of(error, event.at_sample)]
        if seat.session.closed:
            self.close(session)
        elif isinstance(event, PresetChange):
            self._unread.extend(seat.session.score.pads.texts)
        elif isinstance(event, KeyPrompt):
            self._unread.append(event.text)
        return outputs

    def work(self) -> list[tuple[int, HostOutput]]:
        """One slice: at most one model frame for the most urgent session; [] when nothing is wanted, and then
        one prompt is encoded ahead of the pad that asks for it."""
        for number, seat in self._open.items():
            if (answer := seat.session.synced()) is not None:
                return [(number, answer)]
        waiting = [(number, seat) for number, seat in self._open.items() if seat.session.wants_work()]
        if not waiting:
            self._read_ahead()
            return []
        waiting.sort(key=lambda pair: pair[1].session.seconds_left)
        began = self._timer() if self._timer else 0.0
        outputs: list[tuple[int, HostOutput]] = []
        if self._model.lm.batches:
            worked = self._column_of_each(waiting, outputs)
        else:
            worked = waiting[:1]
            for number, seat in worked:
                self._go_on(number, seat, outputs)
                while seat.session.asked is not None:
                    self._answer(worked, outputs)
        busy = self._timer() - began if self._timer else 0.0
        for number, seat in worked:
            outputs += [(number, output) for output in self._report(seat, busy / len(worked))]
        return outputs

    def wants_work(self) -> bool:
        """Whether work() would make audio now."""
        return any(seat.session.wants_work() for seat in self._open.values())

    def _read_ahead(self) -> None:
        """Encode one of the prompts of open sessions; the text encoder remembers those it knows."""
        if self._model.text is None:
            self._unread.clear()
        elif self._unread:
            with suppress(ModelError):  # whoever asks for it is told
                self._model.encode_text(self._unread.popleft())

    def _column_of_each(self, waiting: _Seats, outputs: list[tuple[int, HostOutput]]) -> _Seats:
        """Run the next column of as many sessions as may share a batch, most urgent first: who took part.

        A session that has columns to run again, or something before them, runs a lot of these instead; one
        session a slice, so that the others wait for no more than that.
        """
        near = max(NEAR_SECONDS, 2 * waiting[0][1].session.seconds_left) if waiting else 0.0
        worked: _Seats = []
        asking: _Seats = []
        rows, paused = 0, False
        for number, seat in waiting:
            session = seat.session
            if rows >= MAX_ROWS or session.seconds_left > near:
                break
            if session.asked is None and not (paused and session.behind):
                session.behind = False
                self._go_on(number, seat, outputs)
                worked.append((number, seat))
                paused |= session.behind
            if session.asked is not None and (not rows or rows + session.asked.rows <= MAX_ROWS):
                rows += session.asked.rows
                asking.append((number, seat))
        self._answer(asking, outputs)
        return [*worked, *(pair for pair in asking if pair not in worked)]

    def _answer(self, asking: _Seats, outputs: list[tuple[int, HostOutput]]) -> None:
        """Run the columns that these sessions wait for, and let each go on."""
        asks = [seat.session.asked for _, seat in asking]
        wanted = [ask for ask in asks if ask is not None]
        found: Sequence[Answer | Exception]
        try:
            found = answers(self._model.lm, wanted) if wanted else []
        except Exception:  # one of them cannot be run: the others can
            found = [_alone(self._model, ask) for ask in wanted]
        for (number, seat), answer in zip(asking, found, strict=True):
            self._go_on(number, seat, outputs, answer)

    def _go_on(
        self,
        number: int,
        seat: _Seat,
        outputs: list[tuple[int, HostOutput]],
        answer: Answer | Exception = None,
    ) -> None:
        """Let a session work until it waits for a column or has made its frame."""
        session = seat.session
        try:
            if isinstance(answer, Exception):
                raise answer
            found = session.go_on(answer)
        except Exception as error:  # whatever breaks one session must not reach the others
            session.fail()
            found = [broken(error, session.playback.sent)]
        if session.restarted:
            session.restarted = False
            outputs.append((number, late(session.pacing.playhead)))
        if isinstance(found, list):
            outputs += [(number, output) for output in found]

    def _report(self, seat: _Seat, busy: float) -> list[HostOutput]:
        """Meters and what a resume needs, now and then. busy: the session's share of the slice, in s."""
        session = seat.session
        outputs: list[HostOutput] = []
        frames, seat.made = session.playback.frames_made - seat.made, session.playback.frames_made
        session.meters.worked(busy, frames / self._model.spec.frame_rate)
        sent = session.playback.samples_sent
        since = sent - seat.reported
        if since >= REPORT_SECONDS * session.hello.sample_rate and not session.working:
            seat.reported = sent
            at = session.playback.sent
            session.meters.eased = session.easing.rung
            lead_ms = 1000 * session.seconds_ahead
            outputs.append(session.meters.read(at, lead_ms, since / session.hello.sample_rate))
            outputs.append(ResumeOut(at, pack(session)))
        return outputs

    def _checked(self, number: int, hello: SessionHello) -> SessionHello:
        if number in self._open:
            raise SessionError(f"session {number} is open already", "it goes on", "use another number")
        if len(self._open) >= MAX_SESSIONS:
            raise SessionError(f"{MAX_SESSIONS} sessions are open already", "they go on", "close one of them")
        return checked_hello(hello, self._model.spec.name)

    def _seat(self, number: int, session: Session) -> SessionWelcome:
        self._open[number] = _Seat(session)
        self._unread.extend(session.score.pads.texts)
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


class _Seat:
    """What the engine remembers of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.reported = 0
        self.made = 0  # frames, when last looked at
        self.faults_left = FAULTS_A_BEAT


_Seats = list[tuple[int, _Seat]]


def _alone(model: MusicModel, ask: Ask) -> Answer | Exception:
    """What one session asked for, or what came in its way."""
    try:
        return answers(model.lm, [ask])[0]
    except Exception as error:
        return error
