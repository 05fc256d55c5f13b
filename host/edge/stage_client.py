"""The stage's client, on record: it also keeps what a window wants to see, and plays a test tone."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from descant.host.edge.recording_client import RecordingClient
from descant.plugin_bridge import wire
from descant.plugin_bridge.fields import Wave

TONE_HZ = 440.0
TONE_LEVEL = 0.1  # -20 dBFS
KEPT = 64


class StageClient(RecordingClient):
    """See BridgeClient. tone: whether a sine is heard beside the music. seen_faults: oldest first;
    seen_meter: the newest; plan: what sounds from where on, in the order of samples, the latest word for
    each.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.tone = False
        self.seen_faults: deque[wire.Fault] = deque(maxlen=KEPT)
        self.seen_meter: wire.Meter | None = None
        self.plan: list[wire.Plan] = []
        self._toned = 0.0  # level now: it comes and goes without a click

    def read_into(self, out: Wave) -> int:
        at = self.playhead
        covered = super().read_into(out)
        target = TONE_LEVEL if self.tone else 0.0
        n = out.shape[1]
        if n and (target or self._toned):
            level = np.linspace(self._toned, target, n, dtype=np.float32)
            phase = 2 * np.pi * TONE_HZ / self.sample_rate * (at + np.arange(n))
            out += level * np.sin(phase).astype(np.float32)
            self._toned = target
        return covered

    def _take(self, message: wire.Message) -> None:
        match message:
            case wire.Plan():
                earlier = [plan for plan in self.plan if plan.from_sample < message.from_sample]
                self.plan = [*earlier[-KEPT:], message]
            case wire.Meter():
                self.seen_meter = message
            case wire.Fault():
                self.seen_faults.append(message)
        super()._take(message)
