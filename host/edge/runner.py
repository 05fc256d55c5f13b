"""The engine process: one loop that takes in messages, makes at most one frame of audio, and sends what came
of it.

Concurrent activities, who may block, and what happens when one does:

- Work loop (this file; engine process, main thread): up to one model step, which may be one column of each of
  several sessions; longer only when it says so first.
  Then its stamps stop: clients are told after 150 ms, and the process is killed and replaced after 1.5 s
  (30 s for models with windows, which may have to run a whole one again).
- Lifeline (engine process, a thread): asleep in one read for ever; wakes at the supervisor's death and ends
the
  process.
- Routing and heartbeats (supervisor.py; supervisor process, main thread): never; a send is refused rather
than
  waited for. Were it to hang, clients would hear no heartbeats and fade; its death ends the engine.
- Socket traffic (ZeroMQ's I/O thread in each process): never.
- Playout (BridgeClient or the plugin, in the client's process): its audio thread never. Were it to, that
client
  underruns and nobody else notices.
- Device callback (audio_device.py, in a client with an audio device; PortAudio's thread): never, it copies
and
  returns; what is missing is silence and counted.

torch's own threads: `settings.thread_environment` sets their number and passive waiting before torch is
imported.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from descant.host import translate
from descant.host.edge.engine_process import EngineInfo, StartOrder
from descant.host.edge.errors_shown import three_lines
from descant.host.edge.inbox import Inbox, Waiting
from descant.host.edge.link import Kind, Link
from descant.host.edge.sessions import pack_resume
from descant.host.edge.settings import EngineSettings, ask_for_priority
from descant.host.errors import HostError
from descant.host.events import Heartbeat, HostOutput, ResumeOut, SessionHello

if TYPE_CHECKING:
    from descant.host.engine import Engine

_STAMP_EVERY = 0.020  # seconds; well under the 50 ms at which the supervisor passes them on
_IDLE_WAIT = 0.020
_LISTENING = 0.010  # seconds of taking in messages before audio that is wanted is made
_STALLED = 0.25  # seconds of one turn after which clients may have gone on far without us
_CATCHING_UP = 0.1
_RESUME_SILENCE = 10.0  # a resume runs its whole context through the model at once
_WINDOW_PATIENCE = 30.0  # a model with windows may have to run a whole one again, on a slow machine
_CRASHED = 70  # exit code of an engine that met an error nobody foresaw


class Runner:
    """The work loop around one Engine.

    Thread: engine (the main thread of its process).
    """

    def __init__(self, engine: Engine, link: Link) -> None:
        self._engine = engine
        self._link = link
        self._inbox = Inbox(link)
        self._taken: defaultdict[int, int] = defaultdict(
            int
        )  # messages taken in, by session, heartbeats aside
        self._stamped = 0.0
        self._stop = False

    def run(self) -> None:
        """Work until told to stop."""
        turned = time.monotonic()
        while not self._stop:
            self._stamp()
            began = time.monotonic()
            if began - turned > _STALLED:
                self._catch_up(began + _CATCHING_UP)
            turned = began = time.monotonic()
            self._inbox.collect()
            while (waiting := self._inbox.take()) is not None:
                self._take(waiting)
                self._stamp()
                if time.monotonic() - began > _LISTENING and self._engine.wants_work():
                    break  # a flood of messages costs the music at most every other slice
                self._inbox.collect()
            for session, output in self._engine.work():
                self._give(session, output)
            if not self._inbox and not self._engine.wants_work():
                self._link.wait(_IDLE_WAIT)

    def _catch_up(self, until: float) -> None:
        """Listen before anything is made: after a standstill, what clients have said is still on its
        way, and audio made for where they were then would be late at once."""
        while (left := until - time.monotonic()) > 0 and self._link.wait(left):
            before = len(self._inbox)
            self._inbox.collect()
            if len(self._inbox) == before:
                time.sleep(min(0.002, left))  # full, or heartbeats alone
            self._stamp()

    def _take(self, waiting: Waiting) -> None:
        frame, session = waiting.frame, waiting.frame.session
        if waiting.message is not None:
            event = translate.to_event(waiting.message)
            if not isinstance(event, Heartbeat):
                self._taken[session] += 1
            for output in self._engine.handle(session, event, waiting.message.sequence):
                self._give(session, output)
        elif frame.kind is Kind.OPEN:
            self._open(session, translate.to_hello(translate.decode(frame.parts)))
        elif frame.kind is Kind.REOPEN:
            self._reopen(session, frame.parts[0], translate.to_hello(translate.decode(frame.parts[1:])))
        elif frame.kind is Kind.CLOSE:
            self._engine.close(session)
            self._taken.pop(session, None)
        elif frame.kind is Kind.STOP:
            self._stop = True

    def _open(self, session: int, hello: SessionHello) -> None:
        try:
            welcome = self._engine.open(session, hello)
        except HostError as error:
            self._send(Kind.MESSAGE, session, translate.refusal(session, error))
            self._send(Kind.CLOSED, session)
            return
        self._send(Kind.MESSAGE, session, translate.welcome(welcome))

    def _reopen(self, session: int, snapshot: bytes, hello: SessionHello) -> None:
        """Go on from the snapshot; anew when there is none or it is no use."""
        how = b"anew"
        self._announce(_RESUME_SILENCE)
        try:
            if snapshot:
                with suppress(HostError):
                    self._engine.resume(session, snapshot)
                    how = b"resumed"
            if how == b"anew":
                self._engine.open(session, hello)
        except HostError as error:
            self._send(Kind.MESSAGE, session, translate.refusal(session, error))
            self._send(Kind.CLOSED, session)
        else:
            self._send(Kind.REOPENED, session, (how,))
        finally:
            self._announce(0.0)

    def _give(self, session: int, output: HostOutput) -> None:
        if isinstance(output, ResumeOut):
            self._send(Kind.RESUME, session, pack_resume(self._taken[session], output.snapshot))
        else:
            self._send(Kind.MESSAGE, session, translate.from_output(session, output))

    def _stamp(self) -> None:
        now = time.monotonic()
        if now - self._stamped >= _STAMP_EVERY:
            self._announce(0.0)
            self._stamped = now

    def _announce(self, silence: float) -> None:
        self._send(Kind.BEAT, 0, (msgspec.json.encode(silence),))

    def _send(self, kind: Kind, session: int, parts: tuple[bytes, ...] = ()) -> None:
        # A supervisor that does not read is hung or dead; in both cases it is for others to end this process.
        while not self._link.send(kind, session, parts):
            time.sleep(0.005)


def main(build: Callable[[EngineSettings], tuple[Engine, EngineInfo]] | None = None) -> int:
    """Thread: engine. Read the start order, build the engine, work; the exit code of the process.

    build: makes the engine and says what it is (load_seconds aside); by default the real one.
    """
    began = time.monotonic()
    # Ctrl-C reaches the whole group: ending is the supervisor's task. Until here it was blocked.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    first_line = sys.stdin.buffer.readline()
    if not first_line:
        return 0  # the supervisor is gone already
    order = msgspec.json.decode(first_line, type=StartOrder)
    die_with_parent()
    ask_for_priority()
    link = Link.connect(order.link)
    try:
        engine, info = (build or build_engine)(order.settings)
        info = msgspec.structs.replace(info, load_seconds=time.monotonic() - began)
        gc.collect()
        gc.freeze()  # weights and modules never die: keep them out of every later collection
        link.send(Kind.READY, 0, (msgspec.json.encode(info),))
        Runner(engine, link).run()
    except Exception as error:
        three = three_lines(error)
        if three is None:
            traceback.print_exc()
            what = " ".join(f"The engine met an error of its own ({type(error).__name__}: {error}).".split())
            three = (
                what,
                "What was made so far still plays.",
                "Please report this with the text printed above.",
            )
        link.send(Kind.FAILED, 0, tuple(line.encode() for line in three))
        link.close(linger_ms=500)
        return _CRASHED
    link.close()
    return 0


def build_engine(settings: EngineSettings) -> tuple[Engine, EngineInfo]:
    """Thread: engine. Load the model and the presets, and make a few frames that nobody hears.

    torch is imported here and nowhere above, so that the lifeline hangs before seconds of importing begin.
    Raises ModelError or HostError.
    """
    from descant.host.edge.models import load_named, warm_up
    from descant.host.edge.preset_files import load_presets
    from descant.host.engine import Engine

    model = load_named(settings.model)
    presets = load_presets(settings.presets)
    warm_up(model, settings.threads)
    spec = model.spec
    patience = 0.0 if spec.lm.context is not None else _WINDOW_PATIENCE
    info = EngineInfo(spec.name, model.weights_hash, spec.sample_rate, spec.channels, 0.0, patience)
    return Engine(model, presets, timer=time.perf_counter), info


def die_with_parent() -> None:
    """Thread: engine, once. End this process when the supervisor ends, however it does.

    Twice over: the kernel's parent-death signal on Linux, and everywhere a thread that waits for the end of
    the pipe the supervisor holds open.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG

    def wait() -> None:
        with suppress(OSError, ValueError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        os._exit(0)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
