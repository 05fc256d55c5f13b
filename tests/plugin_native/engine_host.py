"""The real engine with a tiny model, behind a real server, in one thread: a host without processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from descant.host import translate
from descant.host.engine import Engine
from descant.host.errors import HostError
from descant.host.events import ResumeOut
from descant.host.preset import ControllerRow, Preset, PromptSlot
from descant.model import MusicModel, tiny_model
from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import SmallHost

PRESETS = {
    "pads": Preset(
        name="pads",
        prompts=(
            PromptSlot(text="calm jazz with piano", key=36),
            PromptSlot(text="driving techno", key=37, quantise="beat"),
            PromptSlot(text="warm pad", key=38, quantise="off", transition="cut"),
            PromptSlot(stop=True, key=40),
        ),
        cc={"1": ControllerRow("temperature", (0.2, 1.8))},
    )
}


class EngineHost(SmallHost):
    """Serve it often. frames: how many model frames one turn makes at most. model: None: the tiny one."""

    def __init__(
        self,
        endpoint: str,
        presets: Mapping[str, Preset] = PRESETS,
        frames: int = 8,
        model: MusicModel | None = None,
    ) -> None:
        super().__init__(endpoint)
        self.engine = Engine(model or tiny_model(), presets)
        self.frames = frames
        self.sessions: dict[bytes, int] = {}  # open ones, by client
        self.lost = 0
        self._seen = 0
        self._beat_at = 0.0

    def answer(self, hello: wire.Hello) -> wire.Message:
        self._leave(self.client)
        self.session = self.sessions[self.client] = len(self.hellos)
        try:
            welcome = self.engine.open(self.session, translate.to_hello(hello))
        except HostError as error:
            return wire.decode(list(translate.refusal(self.session, error)))
        return wire.decode(list(translate.welcome(welcome)))

    def _leave(self, client: bytes) -> None:
        if client in self.sessions:
            self.engine.close(self.sessions.pop(client))

    def serve(self, timeout_ms: int = 0) -> None:
        super().serve(0 if self.engine.wants_work() else timeout_ms)
        for client, message in self.got[self._seen :]:
            number = self.sessions.get(client)
            if isinstance(message, wire.WireError) or number is None or message.session != number:
                continue  # of a session that is over
            if isinstance(message, wire.Goodbye):
                self._leave(client)
            else:
                for output in self.engine.handle(number, translate.to_event(message), message.sequence):
                    self._give(client, translate.to_message(number, output))
        self._seen = len(self.got)
        clients = {number: client for client, number in self.sessions.items()}
        for _ in range(self.frames):
            for number, output in self.engine.work():
                if not isinstance(output, ResumeOut):
                    self._give(clients[number], translate.to_message(number, output))
        if time.monotonic() - self._beat_at > 0.02:
            self._beat_at = time.monotonic()
            for client, number in self.sessions.items():
                self.server.send(client, wire.Heartbeat(session=number))

    def _give(self, client: bytes, message: wire.Message) -> None:
        self.lost += not self.server.send(client, message)  # it has gone, or does not read


if __name__ == "__main__":  # for DAWs that keep Python's lock while they wait: ENDPOINT
    host = EngineHost(sys.argv[1])
    print("ready", flush=True)
    while True:
        host.serve(5)
