"""What no DAW or host should do, done in real DAWs: the plugin is silent or plays on, and recovers."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import zmq

from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import ipc_endpoint
from tests.plugin_native.click_host import ClickHost
from tests.plugin_native.jack_rig import RATE
from tests.plugin_native.rig import ROOT
from tests.plugin_native.serving import Serving
from tests.plugin_native.test_core_native import until
from tests.plugin_native.test_real_hosts import Ahead, Mini, vst3


@contextmanager
def ahead(endpoint: str) -> Iterator[Serving]:
    """A host whose music is `voice`."""
    host = Ahead(endpoint)
    serving = Serving(host, host.go_on)
    try:
        yield serving
    finally:
        serving.close()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with ipc_endpoint() as made:
        monkeypatch.setenv("DESCANT_ENDPOINT", made)
        yield made


@pytest.fixture
def track(built: Path, endpoint: str) -> Iterator[Mini]:
    made = Mini(vst3(built, "descant"))
    yield made
    made.plugin.close()


def link(track: Mini) -> str:
    """What the DAW shows as the state of the link."""
    index = track.plugin.find_param("Link")
    return str(track.plugin.param_to_text(index, track.plugin.get_param(index)))


def plays(track: Mini, song: Callable[[], object] = lambda: None) -> None:
    """Goes on until a quarter of a second of the host's music was heard, and no sample was foul."""
    track.heard.clear()

    def heard_some() -> bool:
        song()
        track.process()
        heard = np.concatenate(track.heard, axis=1)
        assert np.isfinite(heard).all() and np.abs(heard).max() <= 1
        return bool(np.count_nonzero(heard) > RATE // 4)

    until(heard_some, seconds=60)


class Stranger:
    """Another program at an ipc address: it takes connections in, and says what is no ZeroMQ."""

    def __init__(self, endpoint: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(endpoint.removeprefix("ipc://"))
        self._listener.listen()
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                self.connections.append(self._listener.accept()[0])
                self.connections[-1].sendall(b"220 mail.example.org ready\r\n" * 3)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self.connections:
            connection.close()


class Talker:
    """Another program that does speak ZeroMQ: it answers everything with what is no Descant."""

    def __init__(self, endpoint: str) -> None:
        self.connections: list[list[bytes]] = []
        self._context = zmq.Context()
        self._endpoint, self._stop = endpoint, threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        assert self._ready.wait(20)

    def _serve(self) -> None:
        with self._context.socket(zmq.ROUTER) as router:
            router.linger = 0
            router.bind(self._endpoint)
            self._ready.set()
            while not self._stop.is_set():
                if router.poll(10):
                    message = router.recv_multipart()
                    self.connections.append(message)
                    router.send_multipart([message[0], b"", b'{"jsonrpc": "2.0", "error": "no such method"}'])

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._context.term()


@pytest.mark.parametrize("program", [Stranger, Talker])
def test_another_program_at_the_endpoint_is_silence_until_a_host_is_there(endpoint, track, program):
    other = program(endpoint)
    until(lambda: other.connections, track.process)
    for _ in range(200):
        assert not track.process([(0, 0x90, 60, 100)]).any()
    assert link(track) == "looking for a host"
    other.close()
    Path(endpoint.removeprefix("ipc://")).unlink(missing_ok=True)
    with ahead(endpoint):
        track.live()
        plays(track)


@pytest.mark.parametrize("kind", ["a file", "a folder"])
def test_what_is_no_socket_at_the_endpoint_is_silence(endpoint, track, kind):
    place = Path(endpoint.removeprefix("ipc://"))
    if kind == "a file":
        place.write_text("somebody's")
    else:
        place.mkdir()
    for _ in range(200):
        assert not track.process([(0, 0x90, 60, 100)]).any()
    assert link(track) == "looking for a host"
    assert place.is_dir() or place.read_text() == "somebody's"


@pytest.mark.parametrize("tempo", [999.0, 1e-9, 1e300])
def test_minihost_at_a_tempo_that_no_music_has(endpoint, track, tempo):
    with ahead(endpoint) as serving:
        track.live()
        frame = 0

        def song() -> None:
            nonlocal frame
            beat = frame / RATE * tempo / 60
            track.plugin.set_transport(tempo, 4, 4, frame, beat, True)
            frame += track.block

        plays(track, song)
        track.process([(3, 0x90, 60, 100)])
        until(lambda: serving.host.of(wire.NoteOn), track.process)
        assert told_well(serving)


def told_well(serving: Serving) -> bool:
    """Whether a transport was told, and nothing that the wire does not allow."""
    came = [message for _, message in serving.host.got]
    return bool(serving.host.of(wire.Transport)) and not any(isinstance(m, wire.WireError) for m in came)


def test_without_a_transport_it_plays_and_pads_are_told_at_their_samples(endpoint, track):
    with ahead(endpoint) as serving:
        track.live()
        plays(track)
        track.process([(7, 0x90, 60, 100), (100, 0x80, 60, 0)])
        until(lambda: serving.host.of(wire.NoteOff), track.process)
        (on,), (off,) = serving.host.of(wire.NoteOn), serving.host.of(wire.NoteOff)
        assert off.at_sample - on.at_sample == 93 and on.at_sample % track.block == 7
        assert not serving.host.of(wire.Transport)


def test_ten_thousand_events_in_one_block_of_minihost(endpoint, track):
    with ahead(endpoint) as serving:
        track.live()
        track.process([(i % track.block, 0x90, i % 128, 100) for i in range(10_000)])
        plays(track)
        track.process([(0, 0x90, 5, 77)])
        until(lambda: any(m.velocity == 77 for m in serving.host.of(wire.NoteOn)), track.process)
        assert 256 <= len(serving.host.of(wire.NoteOn)) <= 10_001
        assert link(track) == "live"


OTHER = (
    "import sys; from descant.plugin_bridge import table; table.PROTOCOL_VERSION, table.VERSIONS = 2, (2, 2);"
    "from tests.host_edge import stand_in; stand_in.host(sys.argv[1])"
)


def test_a_host_of_another_version_is_said_in_the_daw_and_in_its_log(endpoint, track, tmp_path):
    with (tmp_path / "log").open("w") as log:
        host = subprocess.Popen(
            [sys.executable, "-c", OTHER, endpoint], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log
        )
    try:
        until(lambda: link(track) == "host of another version", track.process, seconds=60)
        said = "bridge refused: A message speaks protocol version 1. Version 2 works here."
        until(lambda: said in (tmp_path / "log").read_text(), track.process)
        for _ in range(100):
            assert not track.process([(0, 0x90, 60, 100)]).any()
    finally:
        host.terminate()
        host.wait(20)
    with ahead(endpoint):
        until(lambda: link(track) == "live", track.process, seconds=60)
        plays(track)


@pytest.fixture
def clicking() -> Iterator[Serving]:
    with ipc_endpoint() as endpoint:
        made = Serving(ClickHost(endpoint))
        yield made
        made.close()


@pytest.mark.parametrize("tempo", ["0", "999", "-120", "1e300", "nan", "inf"])
def test_a_clap_host_at_a_tempo_that_no_music_has(built, clicking, tmp_path, tempo):
    clap_host, plugin = built / "rig" / "clap_host", built / "native" / "bin" / "descant.clap"
    counts = clicking.run(clap_host, plugin, "play", 1, RATE, 512, tempo, tmp_path / "out.raw")
    assert (counts["allocations"], counts["foul"], counts["link"]) == (0, 0, 2)
    heard = np.fromfile(tmp_path / "out.raw", np.float32)
    assert np.isfinite(heard).all() and np.count_nonzero(heard) > RATE // 4
    assert told_well(clicking)


@pytest.mark.parametrize("manner", ["deactivate", "active"])
@pytest.mark.parametrize("name", ["descant", "descant-effect"])
def test_the_sample_rate_changes_in_the_middle_of_playing(built, clicking, name, manner):
    clap_host, plugin = built / "rig" / "clap_host", built / "native" / "bin" / f"{name}.clap"
    counts = clicking.run(
        clap_host, plugin, "rates", manner, *(rates := (48000, 44100, 192000, 22050, 48000))
    )
    assert (counts["allocations"], counts["foul"]) == (0, 0)
    assert counts["sounding"] == len(rates), "music at every rate"
    hellos = [hello.sample_rate for hello in clicking.host.hellos]
    assert [rate for rate, before in zip(hellos, [0, *hellos], strict=False) if rate != before] == list(rates)


@pytest.mark.parametrize("name", ["descant", "descant-effect"])
def test_ten_thousand_events_in_one_block_of_a_clap_host(built, clicking, name):
    clap_host, plugin = built / "rig" / "clap_host", built / "native" / "bin" / f"{name}.clap"
    counts = clicking.run(clap_host, plugin, "crowd", 10_000)
    assert (counts["allocations"], counts["foul"], counts["link"]) == (0, 0, 2)
    assert counts["sounding"] == 1, "it plays on"
    assert clicking.host.of(wire.NoteOn)[-1].velocity == 77
