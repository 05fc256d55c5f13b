"""The real host with a real (tiny) model, in its own processes, over a real socket."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from descant.host.edge.host_process import HostProcess, running_host
from descant.host.edge.listening import ListeningClient
from descant.host.errors import HostError
from descant.plugin_bridge import Code

RATE = 48_000
BLOCK = 256
PRESET = """
quantise = "off"
[[prompts]]
text = "piano"
key = 36
[cc.1]
parameter = "temperature"
range = [0.5, 1.5]
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    folder = tmp_path_factory.mktemp("presets")
    (folder / "pad.toml").write_text(PRESET)
    with running_host("tiny", 1, (str(folder),)) as running:
        yield running


class Daw:
    """A client that reads in real time, however late this machine lets it."""

    def __init__(self, host: HostProcess) -> None:
        self.client = ListeningClient(host.endpoint, RATE, BLOCK, 2, preset="pad", lead_ms=600)
        self.client.connect(20_000)
        self.heard: list[np.ndarray] = []

    def until(self, true: object, seconds: float = 60.0) -> None:
        assert callable(true)
        start, at = time.monotonic(), self.client.playhead
        while not true():
            assert time.monotonic() - start < seconds, "waited in vain"
            self.client.pump(1)
            while self.client.playhead - at < (time.monotonic() - start) * RATE:
                self.heard.append(self.client.read(BLOCK))

    def loud(self) -> bool:
        return len(self.heard) > 20 and max(float(np.abs(block).max()) for block in self.heard[-20:]) > 1e-3

    def silent(self) -> bool:
        return len(self.heard) > 20 and not any(block.any() for block in self.heard[-20:])


@pytest.fixture
def daw(host: HostProcess) -> Iterator[Daw]:
    one = Daw(host)
    yield one
    one.client.close()


def test_a_note_brings_music_and_a_controller_is_heard_after_the_commit_window(daw: Daw) -> None:
    client = daw.client
    assert client.welcome is not None and "pad" in client.welcome.presets
    client.note_on(36)
    daw.until(daw.loud)
    assert client.plans[0].text == "piano"
    client.control(1, 127)
    daw.until(lambda: any(meter.control_delay_ms_p95 >= 119 for meter in client.meters))
    assert all(np.isfinite(block).all() for block in daw.heard)


def test_rewinds_and_leaps_are_followed_without_false_alarm(daw: Daw) -> None:
    client = daw.client
    client.note_on(36)
    daw.until(daw.loud)
    for move in (480_000, -480_000, None):
        client.seek(0 if move is None else client.playhead + move)
        daw.heard.clear()
        daw.until(daw.loud)
    client.trigger(0)
    daw.until(lambda: len(client.plans) == 2)
    assert client.plans[-1].from_sample < client.playhead + RATE
    assert not client.faults


def test_a_killed_engine_is_a_fault_a_fade_and_the_same_session_again(host: HostProcess, daw: Daw) -> None:
    daw.client.note_on(36)
    daw.until(lambda: daw.loud() and daw.client.meters)  # with the first meter the first snapshot is kept
    engine = int(re.findall(r"engine (\d+) ready", host.said())[-1])
    os.kill(engine, signal.SIGKILL)
    began = time.monotonic()
    daw.until(lambda: any(fault.code == Code.ENGINE_LOST for fault in daw.client.faults))
    assert time.monotonic() - began < 1.0
    daw.until(daw.silent)
    daw.until(lambda: any(fault.code == Code.ENGINE_RESTARTED for fault in daw.client.faults), 120)
    session = daw.client.session
    daw.until(daw.loud)
    assert daw.client.session == session
    assert f"session {session} reopened from where it was" in host.said()
    back = time.monotonic()
    daw.until(lambda: time.monotonic() - back > 2.0)
    _one_story(daw)


def test_a_hung_engine_is_one_story_too(host: HostProcess, daw: Daw) -> None:
    daw.client.note_on(36)
    daw.until(lambda: daw.loud() and daw.client.meters)
    os.kill(int(re.findall(r"engine (\d+) ready", host.said())[-1]), signal.SIGSTOP)
    daw.until(lambda: any(fault.code == Code.ENGINE_RESTARTED for fault in daw.client.faults), 120)
    daw.until(daw.loud)
    back = time.monotonic()
    daw.until(lambda: time.monotonic() - back > 2.0)
    assert daw.client.faults.popleft().code == Code.ENGINE_LATE
    _one_story(daw)


def _one_story(daw: Daw) -> None:
    """It ended, another was started, the music goes on: nothing beside that, and no blame for anybody."""
    assert [fault.code for fault in daw.client.faults] == [Code.ENGINE_LOST, Code.ENGINE_RESTARTED]
    lost, back = daw.client.faults
    assert (
        "the music goes on from where it was" in lost.do
        and "the music goes on from where it was" in back.what
    )


@pytest.mark.parametrize("seconds", [1.0, 4.0])  # less and more than an engine may hang, a bridge be silent
def test_a_host_stopped_for_a_while_catches_up_at_once(host: HostProcess, daw: Daw, seconds: float) -> None:
    """All its processes are stopped and go on: what was said meanwhile is taken in, then the music is begun
    anew once."""
    client = daw.client
    client.note_on(36)
    daw.until(lambda: daw.loud() and client.meters)
    engine, underruns = int(re.findall(r"engine (\d+) ready", host.said())[-1]), client.underruns
    session = client.session
    for pid in (host.pid, engine):
        os.kill(pid, signal.SIGSTOP)
    stopped = time.monotonic()
    daw.until(lambda: time.monotonic() - stopped > seconds)
    for pid in (host.pid, engine):
        os.kill(pid, signal.SIGCONT)
    back = time.monotonic()
    daw.until(lambda: client.state == "live" and daw.loud())
    daw.until(lambda: time.monotonic() - back > 2.0)
    whats = [fault.what for fault in client.faults]
    assert len([what for what in whats if "behind" in what]) <= 1, whats
    assert not [what for what in whats if "engine was" in what or "did not answer" in what], whats
    assert client.underruns <= underruns + 2 and client.session == session and client.losses == 1
    assert int(re.findall(r"engine (\d+) ready", host.said())[-1]) == engine


def test_play_plays_a_midi_file_into_it_and_writes_what_was_heard(host: HostProcess, tmp_path: Path) -> None:
    file = mido.MidiFile()
    file.tracks.append(mido.MidiTrack([mido.Message("note_on", note=36, velocity=90, time=0)]))
    file.save(tmp_path / "a.mid")
    words = [sys.executable, "-m", "descant.host.cli", "play", "a.mid", "--preset", "pad", "--out", "a.wav"]
    words += ["--endpoint", host.endpoint, "--seconds", "2", "--silent"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    wave, rate = soundfile.read(tmp_path / "a.wav")
    assert rate == RATE and wave.shape == (2 * RATE, 2) and np.abs(wave).max() > 1e-3
    assert "→ note 36 on" in done.stderr and "← piano" in done.stderr


def test_a_second_host_at_the_same_place_is_refused(host: HostProcess) -> None:
    with pytest.raises(HostError) as caught, running_host("tiny", 1, endpoint=host.endpoint):
        pass
    assert "already" in caught.value.what
    assert host.process.poll() is None


def test_a_host_that_is_killed_while_it_is_played_is_an_error_and_the_take_is_kept(tmp_path: Path) -> None:
    file = mido.MidiFile()
    file.tracks.append(mido.MidiTrack([mido.Message("note_on", note=36, velocity=90, time=0)]))
    file.save(tmp_path / "a.mid")
    (tmp_path / "pad.toml").write_text(PRESET)
    with running_host("tiny", 1, (str(tmp_path),)) as mine:
        words = [sys.executable, "-m", "descant.host.cli", "play", "a.mid", "--preset", "pad", "--silent"]
        words += ["--out", "a.wav", "--endpoint", mine.endpoint, "--seconds", "10"]
        play = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 60
        while " opened: " not in mine.said():
            assert time.monotonic() < until and play.poll() is None
            time.sleep(0.01)
        opened = time.monotonic()
        while time.monotonic() - opened < 2:  # seconds of music, more than it is ahead of what is heard
            time.sleep(0.01)
        mine.process.kill()
        said = play.communicate(timeout=60)[1].splitlines()
    assert play.returncode == 1, said
    wave = soundfile.read(tmp_path / "a.wav")[0]
    assert wave.shape == (10 * RATE, 2)
    silent = np.flatnonzero(wave.any(axis=1))[-1] / RATE if wave.any() else 0.0
    gone, kept, do = said[-3:]
    assert gone.startswith("The host is gone") and abs(silent - _seconds(gone)) < 0.06 and silent < 9
    assert kept.startswith("a.wav holds the take so far") and do
    fault = said.index("fault: The host stopped answering.")
    assert said[fault + 1].startswith("  still works: ") and said[fault + 2].startswith("  what to do: ")


def _seconds(line: str) -> float:
    return float(re.findall(r"silent from ([0-9.]+) s on", line)[0])


@pytest.mark.parametrize("there", ["a file", "a link", "a folder", "a lock of somebody else's"])
def test_whatever_is_no_socket_stays_where_a_host_is_to_listen(tmp_path: Path, there: str) -> None:
    place, song = tmp_path / "host", tmp_path / "song"
    song.write_text("mine")
    if there == "a link":
        place.symlink_to(song)
    elif there == "a folder":
        place.mkdir()
    else:
        (place if there == "a file" else tmp_path / "host.lock").write_text("mine")
    before = {path: path.lstat().st_ino for path in tmp_path.iterdir()}
    words = [sys.executable, "-m", "descant.host.cli", "host", "--model", "nothere"]
    done = subprocess.run(
        [*words, "--endpoint", f"ipc://{place}"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 3, done.stderr
    assert str(place) in done.stderr and "nothere" not in done.stderr
    assert {path: path.lstat().st_ino for path in tmp_path.iterdir()} == before
    assert all(path.read_text() == "mine" for path in tmp_path.iterdir() if path.is_file())


def test_stopped_by_ctrl_c_while_its_engine_starts_it_ends_without_a_trace(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "descant.host.cli", "host", "--model", "tiny", "--endpoint"]
    host = subprocess.Popen(
        [*words, f"ipc://{tmp_path}/host"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert host.stderr is not None
    try:
        said = iter(host.stderr.readline, "")
        (engine,) = next(filter(None, (re.findall(r"engine (\d+) starting", line) for line in said)))
        until = time.monotonic() + 60
        while "numpy" not in Path(f"/proc/{engine}/maps").read_text():  # it is in the midst of its imports
            assert time.monotonic() < until
            time.sleep(0.001)
        os.killpg(host.pid, signal.SIGINT)  # as a terminal does: to all of the group
        lines = list(said)
        assert host.wait(20) == 0
    finally:
        host.kill()
        host.wait()
        host.stderr.close()
    assert [line.split(" ", 1)[1] for line in lines] == ["stopping: SIGINT\n", "stopped\n"]
    assert list(tmp_path.iterdir()) == []


def test_a_host_whose_model_is_unknown_says_so_in_three_lines() -> None:
    with pytest.raises(HostError) as caught, running_host("nothere", 1):
        pass
    assert "nothere" in caught.value.what and "embedded" in str(caught.value)


def test_a_host_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    words = (
        "from descant.host.edge.host_process import running_host\nimport os\n"
        "with running_host('tiny', 1) as host:\n"
        "    ready = [line for line in host.said().splitlines() if ' ready' in line]\n"
        "    print(host.pid, ready[0].split()[2], flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=120)
    processes = [int(word) for word in done.stdout.split()]
    assert len(processes) == 2
    limit = time.monotonic() + 20
    while any(_alive(pid) for pid in processes):
        assert time.monotonic() < limit, "it was left behind"
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
