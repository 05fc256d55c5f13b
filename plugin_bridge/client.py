"""The bridge's end of the wire in Python: what a DAW plugin does, usable as a library and in tests as a DAW.

Who does what, and who may wait
- audio thread: `read_into`, `read`, `seek`, `ready`. Touches the playout ring and one queue; never a socket,
  a lock or a clock.
- I/O thread: `connect`, `hello`, `pump`. Touches the socket; waits only where it is told how long. `start`
  runs it in the background; without it the caller pumps, and one thread may be everything.
- user threads: `note_on` and the other events. They put a message in a bounded queue; without a background
  thread it is sent at once.
Blocks go from I/O to audio through a deque, whose append and popleft are atomic.

When the host falls silent for three heartbeats the client is "lost": it says so in `faults` (unless the host
has told of its engine's failing itself), plays what it has (which fades at its end) and keeps sending its own
heartbeats. If the host comes back by itself the client is live again; a host that was started anew refuses
those heartbeats, and is greeted with the old session's number.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import numpy as np

from descant.plugin_bridge import wire
from descant.plugin_bridge.announced import Announced
from descant.plugin_bridge.curve import CurveKeys, check_endpoint
from descant.plugin_bridge.dealer import Dealer
from descant.plugin_bridge.errors import Code, WireError
from descant.plugin_bridge.events import Events
from descant.plugin_bridge.fields import Wave
from descant.plugin_bridge.playout import PlayoutRing

OUTBOX = 2048
"""Messages waiting to be sent."""
MESSAGES_A_PUMP = 1024
KEPT = 256
"""How many of the latest plans, meters and faults are kept."""
REPORT_MS = 10
"""The playhead is reported after this much audio, or after a heartbeat's time without any."""
HEARTBEAT_S = wire.HEARTBEAT_MS / 1000
RING_S = 4.0

State = Literal["closed", "greeting", "live", "lost"]


class BridgeClient(Events):
    """A client of the host.

    endpoint: where the host is. sample_rate (Hz), block_size (samples, the usual read), channels: of the
    audio. name: who we are. model, preset: empty for the host's default. lead_ms, commit_ms: audio made ahead
    of the playhead, and its part that can no longer change (0: as the preset says). curve: our keys and the
    host's public key. clock: seconds, for heartbeats only. ring_s: seconds past the playhead that are
    accepted.

    state: "greeting" until the welcome, "live", "lost" (it keeps trying), "closed". welcome: the last one.
    session: ours. faults, plans, meters: the latest messages, oldest first. losses, reconnects: how often the
    host fell silent, and how often it welcomed us again. unsent, malformed, overruns: messages dropped here.
    """

    def __init__(
        self,
        endpoint: str,
        sample_rate: int = 48000,
        block_size: int = 256,
        channels: int = 2,
        *,
        name: str = "python",
        model: str = "",
        preset: str = "",
        lead_ms: int = 0,
        commit_ms: int = 0,
        seed: int = 0,
        curve: CurveKeys | None = None,
        clock: Callable[[], float] = time.monotonic,
        ring_s: float = RING_S,
    ) -> None:
        check_endpoint(endpoint, curve)
        self.endpoint, self.name = endpoint, name
        self.sample_rate, self.block_size, self.channels = sample_rate, block_size, channels
        self._hello = wire.Hello(
            sample_rate, block_size, channels, name, model, preset, lead_ms, commit_ms, seed
        )
        wire.encode(self._hello)  # what no host could accept is refused here
        self.ring = PlayoutRing(channels, sample_rate, round(ring_s * sample_rate))
        self._announced = Announced()
        self._stops = 0  # ends of sound that were announced
        self.state: State = "closed"
        self.session = 0
        self.welcome: wire.Welcome | None = None
        self.faults: deque[wire.Fault] = deque(maxlen=KEPT)
        self.plans: deque[wire.Plan] = deque(maxlen=KEPT)
        self.meters: deque[wire.Meter] = deque(maxlen=KEPT)
        self.losses = self.reconnects = self.unsent = self.malformed = self.overruns = 0
        self._curve = curve
        self._clock = clock
        self._clips = itertools.count(1)
        self._outbox: deque[wire.Message | None] = deque()  # None: say where the playhead has gone
        self._jumps = 0
        self._jumping = False  # the audio thread is moving the playhead just now
        self._inbox: deque[wire.Audio | None] = deque()  # None: the host counts its epochs afresh
        self._pushed = self._popped = 0  # samples put into and taken out of the inbox
        self._to_greet = False
        self._hello_sequence = 0
        self._refusal: wire.Refused | None = None
        self._told = False  # by the host itself, since it was last heard, that its engine fails
        self._heard = self._reported = 0.0
        self._reported_playhead: int | None = None
        self._dealer: Dealer | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    # I/O thread

    def connect(
        self, timeout_ms: int = 5000, *, meanwhile: Callable[[], object] | None = None
    ) -> wire.Welcome:
        """Thread: I/O. Say hello and wait for the welcome. meanwhile: called while waiting (a host in tests).

        Raises WireError: the host's refusal, or TIMEOUT.
        """
        self.hello()
        give_up = time.monotonic() + timeout_ms / 1000
        while self.state != "live":
            if meanwhile:
                meanwhile()
            self.pump(1 if meanwhile else REPORT_MS)
            if (refusal := self._refusal) is not None:
                self.close()
                raise WireError(refusal.code, refusal.what, refusal.still, refusal.do)
            if time.monotonic() > give_up:
                self.close()
                raise WireError(
                    Code.TIMEOUT,
                    f"No host answered at {self.endpoint} within {timeout_ms / 1000:g} s.",
                    "Nothing was changed.",
                    "Start one with `descant host`, or give its address.",
                )
        assert self.welcome is not None
        return self.welcome

    def hello(self) -> None:
        """Thread: I/O. Open the socket if need be and greet when pumped; does not wait."""
        if self._dealer is None:
            self._dealer = Dealer(self.endpoint, self._curve)
        self.state, self._to_greet, self._refusal = "greeting", True, None

    def pump(self, timeout_ms: int = 0) -> int:
        """Thread: I/O. Send what waits, receive, report the playhead; how many messages came.

        Waits up to timeout_ms for the first message. Never raises for anything the host does.
        """
        if self._dealer is None:
            return 0
        self._flush()
        if timeout_ms:
            self._dealer.wait(timeout_ms)
        came = 0
        while came < MESSAGES_A_PUMP and (message := self._dealer.receive()) is not None:
            came += 1
            if isinstance(message, WireError):
                self.malformed += 1
            else:
                self._take(message)
        silent = self._clock() - self._heard
        if self.state == "live" and silent > wire.HEARTBEAT_MISSES * HEARTBEAT_S:
            self._lose("The host stopped answering.")
        self._flush()
        return came

    def start(self) -> None:
        """Thread: user. Pump in a background thread from now on; `connect` first."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="descant bridge I/O", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Thread: user. End the background thread; the caller pumps again."""
        if self._thread is not None and self._dealer is not None:
            self._stopping.set()
            self._dealer.nudge()
            self._thread.join()
            self._thread = None

    def close(self, reason: str = "") -> None:
        """Thread: user. Say goodbye, end the background thread, close. Harmless when repeated."""
        self.stop()
        if self._dealer is not None:
            self._dealer.post(wire.Goodbye(reason), self.session)
            self._dealer.close(linger_ms=100)
        self._dealer = None
        self._outbox.clear()
        self.state = "closed"

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.pump(REPORT_MS)

    # audio thread

    def read_into(self, out: Wave) -> int:
        """Thread: audio. The next block into out [channels, n] float32; how many of its samples were there.

        What is missing is silence with its edges faded, and counted in `underruns` unless it was announced.
        """
        for _ in range(len(self._inbox)):
            block = self._inbox.popleft()
            if block is None:
                self.ring.forget_epochs()
            else:
                self.ring.place(block.at_sample, block.epoch, block.wave)
                self._popped += block.wave.shape[1]
        start, gaps = self.ring.playhead, self.ring.underruns
        covered = self.ring.read_into(out)
        gaps = self.ring.underruns - gaps
        if gaps and self._announced.silent(start, self.ring.playhead):
            self._stops += gaps
        return covered

    def read(self, n_samples: int) -> Wave:
        """Thread: audio. The next n_samples as a new array [channels, n_samples] float32."""
        out = np.empty((self.channels, n_samples), np.float32)
        self.read_into(out)
        return out

    def ready(self, n_samples: int) -> bool:
        """Thread: audio. Whether the next n_samples and the fade after them are there (offline reading)."""
        self.read_into(np.empty((self.channels, 0), np.float32))
        wanted = n_samples + self.ring.fade
        return self.ring.ahead(wanted) >= wanted

    def seek(self, at_sample: int) -> None:
        """Thread: audio. Go on playing from at_sample (a rewind, a loop); the host's music goes on there.

        What is told before and after it is told in this order. A little ahead, where audio has come already,
        is as if it had been played.
        """
        self.read_into(np.empty((self.channels, 0), np.float32))  # what came was made for the old place
        shift = at_sample - self.ring.playhead
        if shift == 0:
            return
        within = 0 < shift <= self.ring.ahead(shift)
        self._jumping = True
        if not within:
            self._announced.moved(self.ring.playhead)
        self.ring.seek(at_sample)
        self._jumps = (self._jumps + (not within)) % 2**32
        self._jumping = False
        if not within and self._room():
            self._outbox.append(None)

    def skip(self, n_samples: int) -> None:
        """Thread: audio. Time went on while nobody read: what is missed is not heard. That is a leap only
        where it should have sounded and had not come yet."""
        self.read_into(np.empty((self.channels, 0), np.float32))
        playhead = self.ring.playhead
        if n_samples <= self.ring.ahead(n_samples) or self._announced.still(playhead, playhead + n_samples):
            self.ring.seek(playhead + n_samples)
        else:
            self.seek(playhead + n_samples)

    @property
    def playhead(self) -> int:
        """Thread: any. The sample that is read next."""
        return self.ring.playhead

    @property
    def underruns(self) -> int:
        """Thread: any. How often sound ended in a gap, other than where the host had announced silence."""
        return self.ring.underruns - self._stops

    @property
    def room(self) -> int:
        """Thread: user. How many messages can be queued now."""
        return self._room()

    # inside

    def _send(self, message: wire.Message) -> bool:
        """Queue a message; send it now if nobody else does. False, counted: no welcome yet, or full."""
        if self.state not in ("live", "lost") or not self._room():
            self.unsent += 1
            return False
        self._outbox.append(message)
        if self._thread is None:
            self._flush()
        elif self._dealer is not None:
            self._dealer.nudge()
        return True

    def _room(self) -> int:
        return OUTBOX - len(self._outbox)

    def _flush(self) -> None:
        """Greet if need be; else send what waits, in order, as far as the socket takes it, and report."""
        if self._dealer is None:
            return
        if self._to_greet:
            self._hello_sequence = self._dealer.sequence
            self._to_greet = not self._dealer.post(self._hello, self.session)
            return
        while self._outbox:
            waiting, sequence = self._outbox[0], self._dealer.sequence
            if not (self._report() if waiting is None else self._dealer.post(waiting, self.session)):
                break
            if waiting is not None:
                self._posted(waiting, sequence)
            self._outbox.popleft()
        playhead, last = self.ring.playhead, self._reported_playhead
        moved = last is None or not 0 <= playhead - last < REPORT_MS * self.sample_rate // 1000
        if moved or self._clock() - self._reported >= HEARTBEAT_S:
            self._report()

    def _posted(self, message: wire.Message, sequence: int) -> None:
        """A message is on its way; for clients that keep a record."""

    def _report(self) -> bool:
        """Send our heartbeat; False if it cannot be sent now."""
        assert self._dealer is not None
        jumps, playhead = self._jumps, self.ring.playhead
        if self._jumping or jumps != self._jumps:  # the two do not belong together: soon they will
            return False
        credit = wire.Heartbeat(playhead, self.ring.capacity, jumps, at_sample=playhead)
        if not self._dealer.post(credit, self.session):
            return False
        self._reported, self._reported_playhead = self._clock(), playhead
        return True

    def _take(self, message: wire.Message) -> None:
        match message:
            case wire.Audio() | wire.Heartbeat() if message.session == self.session:
                self._heard, self._told = self._clock(), False
                if self.state == "lost" and not self._to_greet:
                    self.state = "live"
                if isinstance(message, wire.Audio):
                    self._queue(message)
            case wire.Welcome():
                self._enter(message)
            case wire.Refused():
                self._be_refused(message)
            case wire.Fault():
                self._told = self._told or message.code in (Code.ENGINE_LATE, Code.ENGINE_LOST)
                self.faults.append(message)
            case wire.Plan():
                self.plans.append(message)
                self._announced.planned(message.from_sample, message.text)
            case wire.Meter():
                self.meters.append(message)
            case wire.Goodbye():
                self._lose("The host said goodbye" + (f": {message.reason}" if message.reason else "") + ".")

    def _queue(self, block: wire.Audio) -> None:
        """Hand a block to the audio thread, unless more than two rings full wait there: then nobody reads."""
        channels, n = block.wave.shape
        if channels not in (1, self.channels):
            self.malformed += 1
        elif self._pushed - self._popped > 2 * self.ring.capacity:
            self.overruns += 1
        else:
            self._pushed += n
            self._inbox.append(block)

    def _enter(self, welcome: wire.Welcome) -> None:
        self.reconnects += self.welcome is not None
        self.welcome, self.session, self.state = welcome, welcome.session, "live"
        self._heard, self._reported_playhead = self._clock(), None
        self._inbox.append(None)

    def _be_refused(self, refusal: wire.Refused) -> None:
        if refusal.code != Code.SESSION:
            if self.state == "greeting":
                self._refusal = refusal
            lines = (refusal.what, refusal.still, refusal.do)
            self.faults.append(wire.Fault(refusal.code, "error", *lines, session=refusal.session))
        elif not self._to_greet and (refusal.refers_to - self._hello_sequence) % 2**32 < 2**31:
            self._lose("The host does not know this session.")
            self._to_greet = True
            self.unsent += sum(message is not None for message in self._outbox)
            self._outbox.clear()

    def _lose(self, what: str) -> None:
        if self.state == "live":
            self.state = "lost"
            self.losses += 1
            if self._told:
                return  # the host lives and has said why no music comes: one story is enough
            still = "What was made so far plays and then fades out; all else goes on."
            do = "Nothing: it is connected again by itself. If that fails, start the host again."
            self.faults.append(wire.Fault(Code.LOST, "error", what, still, do))
