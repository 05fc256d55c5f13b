"""A BridgeClient that also notes where each epoch begins: the places at which a control took effect.

For benchmarks, pictures and reports; a plugin needs none of it.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

from descant.plugin_bridge import BridgeClient, wire

KEPT = 4096


class EpochStart(NamedTuple):
    """The first block of an epoch.

    from_sample: where it begins to replace what was made before. playhead: what was heard when it came.
    seconds: when it came, on the monotonic clock.
    """

    epoch: int
    from_sample: int
    playhead: int
    seconds: float


class ListeningClient(BridgeClient):
    """See BridgeClient; `epochs` are the starts noted so far, oldest first, the first being that of the
    first audio."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.epochs: deque[EpochStart] = deque(maxlen=KEPT)
        self._last_epoch = -1

    @property
    def lost(self) -> bool:
        """Whether the host does not answer just now."""
        return self.state == "lost"

    def _queue(self, block: wire.Audio) -> None:
        if block.epoch > self._last_epoch:
            self._last_epoch = block.epoch
            self.epochs.append(EpochStart(block.epoch, block.at_sample, self.playhead, time.monotonic()))
        super()._queue(block)

    def _enter(self, welcome: wire.Welcome) -> None:
        self._last_epoch = -1
        super()._enter(welcome)
