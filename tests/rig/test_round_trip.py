"""The round trip as a command: a JACK server whose output is connected to its input has a known one."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from descant.host.edge.audio_server import AudioServer
from descant.host.edge.round_trip_command import agreed
from descant.host.edge.round_trips import (
    Measured,
    keep_round_trip,
    measured,
    read_round_trips,
    round_trips_file,
)
from descant.host.errors import DeviceError
from tests.rig.conftest import wait_for
from tests.rig.test_live_audio import loop_back

WORDS = [sys.executable, "-m", "descant.host.cli", "devices", "--round-trip"]


@pytest.fixture(autouse=True)
def kept_here(monkeypatch, tmp_path):
    monkeypatch.setenv("DESCANT_ROUND_TRIPS", str(tmp_path / "trips.json"))


@pytest.mark.jack
@pytest.mark.slow
def test_the_command_finds_keeps_and_tells_the_round_trip_and_it_is_used(jack):
    process = subprocess.Popen(WORDS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    connected = threading.Event()

    def connect():
        give_up = time.monotonic() + 60
        while not {"PortAudio:in_1", "PortAudio:out_1"} <= set(jack.ports().split()):
            if time.monotonic() > give_up:
                return
            time.sleep(1.0)  # each look is another client, which holds up the graph for a moment
        loop_back(jack)
        connected.set()

    threading.Thread(target=connect, daemon=True).start()
    said, why = process.communicate(timeout=120)
    assert process.returncode == 0 and connected.wait(10), why
    print(said)
    assert said.startswith("system: 512 samples at 48000 Hz, 10.67 ms there and back")  # two periods
    assert measured("system", 48000, 256) == 512 and measured("system", 44100, 256) is None
    keep_round_trip(Measured("system", 48000, 256, 600))  # another than the device reports
    with AudioServer(slots=1, pool_seconds=1, round_trip=measured) as audio:

        def turned():
            audio.turn()
            return audio.latency

        wait_for(turned, "a device")
        assert audio.latency == 600 and audio.reported == 512


@pytest.mark.jack
@pytest.mark.slow
def test_without_a_cable_three_lines_say_so_and_nothing_is_kept(jack):
    done = subprocess.run(WORDS, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "did not come back" in done.stderr and not read_round_trips()


def test_one_measurement_a_device_is_kept_and_a_broken_file_is_none(tmp_path):
    for samples in (500, 512):
        keep_round_trip(Measured("a", 48000, 256, samples))
    keep_round_trip(Measured("b", 44100, 64, 100))
    assert [row.samples for row in read_round_trips()] == [512, 100]
    assert (measured("a", 48000, 256), measured("b", 44100, 64), measured("a", 48000, 64)) == (512, 100, None)
    for broken in (b"", b"{", b'[{"device":"a","rate":1,"block":1,"samples":-1}]', b"[" * 70_000):
        round_trips_file().write_bytes(broken)
        assert read_round_trips() == []
    keep_round_trip(Measured("a", 48000, 256, 77))
    assert measured("a", 48000, 256) == 77


def test_what_cannot_be_kept_is_said(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("DESCANT_ROUND_TRIPS", str(tmp_path / "file" / "trips.json"))
    with pytest.raises(DeviceError, match="could not be kept"):
        keep_round_trip(Measured("a", 48000, 256, 77))


def test_measurements_agree_to_a_sample_or_not_at_all():
    assert agreed([512, 512, 512, 768, 512, 512]) == 512
    assert agreed([100, 101, 100]) == 100
    assert agreed([512]) is None and agreed([100, 500, 900]) is None
    assert agreed(list(np.full(6, 9))) == 9
