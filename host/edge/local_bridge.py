"""A bridge and a host in one thread, for simulated time: the same wire messages, engine and ring, and no
socket.

Every pump lets the engine work until it has made all that the client accepts, so what is read depends on the
events
and on nothing else: the same performance gives the same samples on every run.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from descant.host import translate
from descant.host.edge.listening import EpochStart
from descant.host.events import HostOutput, ResumeOut, SessionHello
from descant.plugin_bridge import PlayoutRing, wire
from descant.plugin_bridge.announced import Announced
from descant.plugin_bridge.events import Events

if TYPE_CHECKING:
    from descant.host.engine import Engine

Wave = npt.NDArray[np.float32]
_SESSION = 1
_AHEAD_SECONDS = 1.0  # credit: less than an engine can rewind


class LocalBridge(Events):
    """Speaks the wire with an Engine of its own.

    Thread: one, whichever. engine: not shared. sample_rate: Hz. realtime: pace as in real time (by lead and
    commit window) instead of offline. Raises HostError when the engine refuses the session.
    """

    def __init__(
        self,
        engine: Engine,
        sample_rate: int = 48000,
        block_size: int = 256,
        channels: int = 2,
        *,
        preset: str = "",
        seed: int = 0,
        realtime: bool = False,
    ) -> None:
        self.sample_rate, self.block_size, self.channels = sample_rate, block_size, channels
        self.ring = PlayoutRing(channels, sample_rate, round(_AHEAD_SECONDS * sample_rate))
        self.plans: deque[wire.Plan] = deque()
        self.meters: deque[wire.Meter] = deque()
        self.faults: deque[wire.Fault] = deque()
        self.epochs: deque[EpochStart] = deque()
        self._clips = itertools.count(1)
        self._engine = engine
        self._announced = Announced()
        self._stops = 0  # ends of sound that were announced
        self._last_epoch = -1
        engine.open(
            _SESSION,
            SessionHello(sample_rate, block_size, channels, "local", preset=preset, seed=seed),
        )
        self.mode("realtime" if realtime else "offline")

    @property
    def playhead(self) -> int:
        """The sample that is read next."""
        return self.ring.playhead

    @property
    def underruns(self) -> int:
        """How often sound ended in a gap, other than where the host had announced silence."""
        return self.ring.underruns - self._stops

    @property
    def lost(self) -> bool:
        """Whether the host is gone: never, it is this thread."""
        return False

    def pump(self, timeout_ms: int = 0) -> int:
        """Tell the engine where we are, and let it work until it wants no more; how many messages came of
        it."""
        came = self._say(wire.Heartbeat(self.playhead, self.ring.capacity, at_sample=self.playhead))
        while self._engine.wants_work():
            outputs = [output for _, output in self._engine.work()]
            came += self._take(outputs)
        return came

    def read(self, n_samples: int) -> Wave:
        """The next n_samples [C, n_samples] float32."""
        out = np.empty((self.channels, n_samples), np.float32)
        start, gaps = self.ring.playhead, self.ring.underruns
        self.ring.read_into(out)
        if self.ring.underruns != gaps and self._announced.silent(start, self.ring.playhead):
            self._stops += self.ring.underruns - gaps
        return out

    def _send(self, message: wire.Message) -> bool:
        self._say(message)
        return True

    def _room(self) -> int:
        return 1 << 20

    def _say(self, message: wire.Message) -> int:
        """As if over the wire: encoded, decoded, handled."""
        event = translate.to_event(translate.decode(wire.encode(message, session=_SESSION)))
        return self._take(self._engine.handle(_SESSION, event))

    def _take(self, outputs: list[HostOutput]) -> int:
        for output in outputs:
            if isinstance(output, ResumeOut):
                continue
            message = translate.decode(translate.from_output(_SESSION, output))
            match message:
                case wire.Audio():
                    if message.epoch > self._last_epoch:
                        self._last_epoch = message.epoch
                        start = EpochStart(message.epoch, message.at_sample, self.playhead, time.monotonic())
                        self.epochs.append(start)
                    channels = (self.channels, message.wave.shape[1])
                    self.ring.place(message.at_sample, message.epoch, np.broadcast_to(message.wave, channels))
                case wire.Plan():
                    self.plans.append(message)
                    self._announced.planned(message.from_sample, message.text)
                case wire.Meter():
                    self.meters.append(message)
                case wire.Fault():
                    self.faults.append(message)
        return len(outputs)
