"""The supervisor: routes messages between bridges and the engine, and answers for the engine when it cannot.

One thread that never waits for anybody (see the list in runner.py). Knows nothing about music, models or
torch. It passes heartbeats on only while the engine's work loop stamps its frames, so a hung engine falls
silent to its clients although this process lives; then it says so, ends that engine, starts another, and
reopens each session from its last resume snapshot and the messages since.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal

import zmq

from descant.host.edge.engine_process import RUNNER, EngineProcess
from descant.host.edge.link import Frame, Kind
from descant.host.edge.sessions import Session, SessionTable, unpack_resume
from descant.host.edge.settings import EngineSettings, Timings
from descant.host.errors import HostError
from descant.plugin_bridge import BridgeServer, Code, WireError, wire

_STALLED = 0.25  # seconds of one turn, which never takes so long by itself
_FRAMES_A_TURN = 512  # of the engine's, before the clients are looked at again
_POLLS_A_TURN = 4
_SAY_AGAIN = 60.0  # seconds between two lines about the same trouble of bridges
_FADES = "What was made so far plays, then fades out; nothing else stops."


class Supervisor:
    """Bridges on one side, an engine process on the other.

    Thread: supervisor (the main thread of the host process). `request_stop` may be called from a signal
    handler.
    on_ready: called once, when clients are answered. runner: the module an engine process runs. idle: seconds
    without a session after which `run` returns by itself, once clients have been answered.
    """

    def __init__(
        self,
        server: BridgeServer,
        settings: EngineSettings,
        timings: Timings | None = None,
        log: Callable[[str], None] = print,
        on_ready: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        runner: str = RUNNER,
        idle: float = math.inf,
    ) -> None:
        self._server = server
        self._settings = settings
        self._timings = timings or Timings()
        self._log = log
        self._on_ready = on_ready
        self._clock = clock
        self._runner = runner
        self._idle = idle
        self._needed_at = clock()  # when there was a session, or might have been
        self._sessions = SessionTable()
        self._engine: EngineProcess | None = None
        self._restart_at = 0.0
        self._restarts = 0  # in a row
        self._ever_ready = False
        self._told_late = False
        self._version_said = -math.inf
        self._stop = False

    def request_stop(self) -> None:
        """Thread: any, signal handlers too. Make `run` return soon."""
        self._stop = True

    def run(self) -> None:
        """Thread: supervisor. Serve until asked to stop. Raises HostError when the first engine cannot
        start."""
        try:
            self._start_engine()
            turned = next_tick = self._clock()
            while not self._stop:
                now = self._clock()
                if now - turned > _STALLED:
                    self._excuse(now, now - turned)
                turned = now
                self._check_engine(now)
                if now >= next_tick:
                    self._tick(now)
                    next_tick = max(next_tick + self._timings.beat, now)
                self._take_from_engine()
                self._take_from_clients()
                self._wait(next_tick - self._clock())
        finally:
            self._close()

    def _excuse(self, now: float, seconds: float) -> None:
        """This process stood still for so long (stopped, or the machine asleep): nobody else was silent."""
        self._log(f"stood still for {seconds:.1f} s")
        if self._engine is not None:
            self._engine.last_beat = min(now, self._engine.last_beat + seconds)
        for session in self._sessions:
            session.heard = min(now, session.heard + seconds)

    def _tick(self, now: float) -> None:
        for session in self._sessions.silent(now, self._timings.silent):
            self._free(session, f"bridge silent for {now - session.heard:.1f} s")
        if len(self._sessions) or not self._ever_ready:
            self._needed_at = now
        elif now - self._needed_at > self._idle:
            self._log(f"nobody has been there for {now - self._needed_at:.0f} s")
            self._stop = True
        engine = self._engine
        if engine is not None and engine.ready and not engine.late(now):
            for session in self._sessions:
                if session.open and session.welcome is not None:
                    self._server.send(session.client, wire.Heartbeat(session=session.number))

    def _wait(self, seconds: float) -> None:
        """Until a client or the engine says something, for at most that long."""
        poller = zmq.Poller()
        self._server.register(poller)
        if self._engine is not None:
            poller.register(self._engine.link.socket, zmq.POLLIN)
            if self._engine.end is not None:
                poller.register(self._engine.end, zmq.POLLIN)
        poller.poll(max(0, math.ceil(1000 * seconds)))

    def _close(self) -> None:
        for session in self._sessions:
            self._server.send(session.client, wire.Goodbye("The host was stopped.", session=session.number))
        if self._engine is not None:
            self._engine.stop()
        self._server.close()

    # the engine's side

    def _start_engine(self) -> None:
        engine = EngineProcess(self._settings, self._timings, self._clock(), self._runner)
        self._engine = engine
        self._log(f"engine {engine.pid} starting: {self._settings.model}, {self._settings.threads} threads")

    def _take_from_engine(self) -> None:
        engine = self._engine
        if engine is None:
            return
        was_ready = engine.ready
        for _ in range(_FRAMES_A_TURN):
            frame = engine.receive(self._clock())
            if frame is None:
                break
            self._on_frame(frame)
        if engine.info is not None and not was_ready:
            info = engine.info
            name = f"{info.model} {info.weights_hash[:12]}"
            self._log(f"engine {engine.pid} ready: {name} in {info.load_seconds:.1f} s")
            for session in self._sessions:
                self._open(engine, session)
            if not self._ever_ready:
                self._ever_ready = True
                self._on_ready()

    def _on_frame(self, frame: Frame) -> None:
        session = self._sessions.of_number(frame.session)
        if session is None:
            return  # closed while this was on its way
        if frame.kind is Kind.MESSAGE:
            message = wire.decode(frame.parts)
            if isinstance(message, wire.Welcome):
                session.welcome = message
            self._server.send(session.client, message)
        elif frame.kind is Kind.RESUME:
            count, snapshot = unpack_resume(frame.parts)
            session.taken(snapshot, count)
        elif frame.kind is Kind.REOPENED:
            how = "from where it was" if frame.parts[0] == b"resumed" else "from the beginning"
            self._log(f"session {session.number} reopened {how}")
            what = f"The engine was started again; the music goes on {how}."
            self._fault(
                session, Code.ENGINE_RESTARTED, what, "Everything works again.", "Nothing need be done."
            )
        elif frame.kind is Kind.CLOSED:
            self._free(session, "refused by the engine")

    def _open(self, engine: EngineProcess, session: Session) -> None:
        if session.welcome is not None:
            engine.send(Kind.REOPEN, session.number, (session.snapshot, *session.hello))
        else:
            engine.send(Kind.OPEN, session.number, session.hello)
        for parts in session.replay():
            engine.send(Kind.MESSAGE, session.number, parts)
        session.open = True

    def _check_engine(self, now: float) -> None:
        engine = self._engine
        if engine is None:
            if now >= self._restart_at:
                self._start_engine()
            return
        self._take_from_engine()  # what it said last counts, before it is judged
        if (why := engine.gone()) is not None:
            self._lose(engine, now, why)
        elif engine.hung(now):
            silent = now - engine.last_beat
            self._lose(engine, now, f"The engine did not answer for {silent:.1f} s and was ended.")
        elif engine.ready and engine.late(now):
            if not self._told_late:
                self._told_late = True
                self._log(f"engine {engine.pid} late: no sign of life for {now - engine.last_beat:.3f} s")
                for session in self._sessions:
                    what, do = "The engine does not answer.", "Wait: it is replaced if it stays silent."
                    self._fault(session, Code.ENGINE_LATE, what, _FADES, do)
        elif self._told_late:
            self._told_late = False
            self._log(f"engine {engine.pid} answers again")

    def _lose(self, engine: EngineProcess, now: float, why: str) -> None:
        """Tell everyone first; then clean up and set the time of the next start."""
        if not self._ever_ready:
            missing = (why, "Nothing was started.", "Run descant doctor to see what is missing.")
            raise HostError(*(engine.failure or missing))
        lived = now - engine.started
        self._restarts = 1 if lived > self._timings.settled else self._restarts + 1
        wait = self._timings.wait_before(self._restarts)
        for session in self._sessions:
            session.open = False
            if self._restarts > 1:  # what it is told may be what ends it: forget that, then the past itself
                session.drop_past(snapshot_too=self._restarts > 2)
            goes_on = ", and the music goes on from where it was" if session.snapshot else " by itself"
            do = f"Wait: another is started{goes_on}."
            self._fault(session, Code.ENGINE_LOST, why, _FADES, do, "error")
        self._log(
            f"engine {engine.pid} lost after {lived:.1f} s: {why} Restart {self._restarts} in {wait:.1f} s."
        )
        self._engine = None
        self._told_late = False
        self._restart_at = now + wait
        engine.kill()

    # the clients' side

    def _take_from_clients(self) -> None:
        for _ in range(_POLLS_A_TURN):  # a flood must not keep us from the engine and the heartbeats
            came = self._server.poll(0)
            if not came:
                return
            for client, message in came:
                if isinstance(message, WireError):  # answered by the server
                    self._note_refused(message)
                else:
                    self._on_message(client, message)

    def _note_refused(self, error: WireError) -> None:
        """A bridge of another version asks again and again: that is said once in a while, not each time."""
        now = self._clock()
        if error.code == Code.VERSION and now >= self._version_said + _SAY_AGAIN:
            self._version_said = now
            self._log(f"bridge refused: {error.what} {error.still} {error.do}")

    def _on_message(self, client: bytes, message: wire.Message) -> None:
        now = self._clock()
        session = self._sessions.of_client(client)
        if isinstance(message, wire.Hello):
            self._greet(client, session, message, now)
            return
        if session is None:
            return  # freed while this was on its way
        session.heard = now
        if isinstance(message, wire.Goodbye):
            self._free(session, f"goodbye {message.reason}".rstrip())
            return
        parts = tuple(wire.encode(message))
        engine = self._engine if session.open else None
        if engine is not None and not engine.send(Kind.MESSAGE, session.number, parts):
            return  # the engine is swamped or hung: one event less; a hung one is noticed elsewhere
        if isinstance(message, wire.Heartbeat):
            session.keep_clock(parts)
        else:
            session.keep(parts)

    def _greet(self, client: bytes, session: Session | None, hello: wire.Hello, now: float) -> None:
        """A bridge says hello: a new one, one that waits for its welcome, or one that thinks it has lost
        us."""
        parts = tuple(wire.encode(hello))
        if session is not None and session.same_hello(parts):
            session.heard = now
            session.greeting = session.welcome is not None  # else its welcome is on the way: the engine loads
            self._welcome_back(session)
            return
        if session is not None:
            self._free(session, "its bridge begins anew", forget=False)
        session = self._sessions.add(client, parts, now)
        who = f"{hello.client}, {hello.sample_rate} Hz, blocks of {hello.block_size}"
        self._log(f"session {session.number} opened: {who}; {len(self._sessions)} in all")
        if self._engine is not None and self._engine.ready:
            self._open(self._engine, session)

    def _welcome_back(self, session: Session) -> None:
        """Welcome a bridge that asks for its session again, once an engine plays it; until then it keeps
        asking."""
        engine = self._engine
        alive = engine is not None and engine.ready and not engine.late(self._clock())
        if session.greeting and session.open and alive and session.welcome is not None:
            session.greeting = False
            self._server.send(session.client, session.welcome)

    def _free(self, session: Session, why: str, forget: bool = True) -> None:
        self._sessions.remove(session)
        if forget:
            self._server.forget(session.client)
        if session.open and self._engine is not None:
            self._engine.send(Kind.CLOSE, session.number)
        self._log(f"session {session.number} freed: {why}; {len(self._sessions)} left")

    def _fault(
        self,
        session: Session,
        code: Code,
        what: str,
        still: str,
        do: str,
        severity: Literal["warning", "error"] = "warning",
    ) -> None:
        fault = wire.Fault(code, severity, what[:500], still, do, session=session.number)
        self._server.send(session.client, fault)
