"""A live performance on record: what its client knows goes to the recorder, session by session.

Thread: the owner's, that of the client. Nothing here waits.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from pathlib import Path

import msgspec

from descant.host.edge.recording_client import RecordingClient
from descant.host.edge.take_log import Opened, pack, pack_opened
from descant.host.edge.take_recorder import About, TakeRecorder
from descant.host.events import SessionHello
from descant.host.preset import Preset


class Recording:
    """client: connected, or about to be. preset: the one that its hello named. model, threads: see Opened.
    others: presets that may be chosen while it lasts.
    """

    def __init__(
        self,
        client: RecordingClient,
        recorder: TakeRecorder,
        preset: Preset,
        seed: int,
        model: str = "",
        threads: int = 0,
        others: Collection[Preset] = (),
    ) -> None:
        self.recorder = recorder
        self._client = client
        hello = SessionHello(
            client.sample_rate,
            client.block_size,
            client.channels,
            client.name,
            preset=preset.name,
            seed=seed,
        )
        known = [preset, *(other for other in others if other.name != preset.name)]
        self._opened = Opened(0, hello, known, model, threads)
        self._session = 0
        self._known = True

    @classmethod
    def into(
        cls,
        folder: Path,
        client: RecordingClient,
        preset: Preset,
        seed: int,
        model: str = "",
        threads: int = 0,
        others: Collection[Preset] = (),
    ) -> Recording:
        """Takes in a folder, by a recorder of its own, which ends with it."""
        recorder = TakeRecorder(folder, client.sample_rate, client.channels, preset.tempo)
        return cls(client, recorder, preset, seed, model, threads, others)

    def turn(self) -> None:
        """Hand over what is new."""
        self._follow()
        client = self._client
        if (made := client.made()) is not None:
            self.recorder.heard(*made)
        if client.noted or self._known != client.known:
            entries = [client.noted.popleft() for _ in range(len(client.noted))]
            self._known = client.known
            self.recorder.noted(pack(entries, self._known))

    def close(self) -> None:
        """The performance is over: hand over the rest, and wait for the recorder."""
        self.turn()
        if (made := self._client.made(everything=True)) is not None:
            self.recorder.heard(*made)
        self.recorder.close()

    def _follow(self) -> None:
        """A host that was started anew opens a session of its own."""
        if self._session == self._client.sessions:
            return
        self._session, self._known = self._client.sessions, True
        welcome = self._client.welcome
        assert welcome is not None
        opened = self._opened

        def begun(at_sample: int) -> bytes:
            return pack_opened(msgspec.structs.replace(opened, begin=at_sample))

        self.recorder.goes_on_as(
            About(secrets.token_hex(8), welcome.model, welcome.weights_hash, opened.hello.seed, begun)
        )
