"""A host of a few lines for bridge tests: a real server, a welcome, audio computed from its address."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from descant.plugin_bridge import BridgeClient, BridgeServer, wire


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def voice(epoch: int, start: int, n: int, channels: int = 2) -> np.ndarray:
    """[channels, n] float32: what epoch `epoch` sounds like from sample `start` on."""
    p = np.arange(start, start + n)
    return np.stack([0.5 * np.sin(0.01 * p + epoch + c) for c in range(channels)]).astype(np.float32)


class SmallHost:
    """Owns a BridgeServer. `serve` answers hellos and keeps what else came in `got`, WireErrors included."""

    def __init__(self, endpoint: str, **options) -> None:
        self.clock = Clock()
        self.server = BridgeServer(endpoint, clock=self.clock, **options)
        self.endpoint = self.server.endpoint
        self.got: list[tuple[bytes, wire.Message | wire.WireError]] = []
        self.hellos: list[wire.Hello] = []
        self.client = b""
        self.session = 41
        self.made = 0
        self.epoch = 0

    def serve(self, timeout_ms: int = 0) -> None:
        for client, message in self.server.poll(timeout_ms):
            if isinstance(message, wire.Hello):
                self.client = client
                self.hellos.append(message)
                self.session = message.session or self.session + 1
                self.server.send(client, self.answer(message))
            else:
                self.got.append((client, message))

    def answer(self, hello: wire.Hello) -> wire.Message:
        """What a hello gets."""
        rate, block, channels = hello.sample_rate, hello.block_size, hello.channels
        return wire.Welcome(
            1, rate, block, channels, "small", "cafe", ("text",), ("one",), session=self.session
        )

    def make_until(self, end: int, block: int = 480) -> None:
        """Send audio of the present epoch up to sample `end`, in whole blocks."""
        while self.made < end:
            audio = wire.Audio(self.epoch, voice(self.epoch, self.made, block), at_sample=self.made)
            assert self.server.send(self.client, audio)
            self.made += block

    def beat(self) -> None:
        self.server.send(self.client, wire.Heartbeat())

    def of(self, kind: type) -> list:
        return [message for _, message in self.got if isinstance(message, kind)]


@contextmanager
def ipc_endpoint() -> Iterator[str]:
    """An ipc address short enough for a socket path."""
    folder = tempfile.mkdtemp(prefix="descant-")
    try:
        yield f"ipc://{folder}/w"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def until(condition: Callable[[], object], *steps: Callable[[], object], tries: int = 5000) -> None:
    """Run the steps (they wait in their own polls) until the condition holds."""
    for _ in range(tries):
        if condition():
            return
        for step in steps:
            step()
    raise AssertionError("it never happened")


def joined(client: BridgeClient, host: SmallHost) -> None:
    """Connect client to host in one thread."""
    client.connect(meanwhile=host.serve)
