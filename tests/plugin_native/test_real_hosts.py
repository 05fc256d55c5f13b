"""The plugin in hosts of others: JUCE's (minihost, pedalboard) load the VST3, jalv the LV2 on JACK."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import SmallHost, ipc_endpoint, voice
from tests.plugin_native.jack_rig import RATE, Recorder, jack_server
from tests.plugin_native.rig import ROOT, tool
from tests.plugin_native.serving import Serving
from tests.plugin_native.test_core_native import until

BLOCK = 256


class Ahead(SmallHost):
    """Keeps half a second of `wave` ahead of the playhead it is told of, in blocks of 480."""

    def wave(self, first: int, n: int) -> np.ndarray:
        """[2, n] float32: what lies at samples first..first + n - 1."""
        return voice(0, first, n)

    def answer(self, hello: wire.Hello) -> wire.Message:
        self.made, self.jumps = 0, 0
        return super().answer(hello)

    def go_on(self) -> None:
        if not self.hellos:
            return
        self.beat()
        beats = self.of(wire.Heartbeat)
        if beats and beats[-1].jumps != self.jumps:
            self.jumps, self.epoch, self.made = beats[-1].jumps, self.epoch + 1, beats[-1].playhead
        end = (beats[-1].playhead if beats else 0) + RATE // 2
        while self.made < end:
            wave = self.wave(self.made, 480)
            if not self.server.send(self.client, wire.Audio(self.epoch, wave, at_sample=self.made)):
                return
            self.made += 480


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    with ipc_endpoint() as endpoint:
        monkeypatch.setenv("DESCANT_ENDPOINT", endpoint)
        host = Ahead(endpoint)
        made = Serving(host, host.go_on)
        yield made
        made.close()


def exact(heard: np.ndarray, places: np.ndarray) -> int:
    """How many samples in a row, at most, are the host's, bit for bit and at their address."""
    wanted = (
        voice(0, 0, int(places.max(initial=0)) + 1, 1)[0][np.maximum(places, 0)] if len(places) else places
    )
    edges = np.flatnonzero(np.diff(np.concatenate(([0], heard == wanted, [0]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))


class Mini:
    """A track of minihost, block by block."""

    def __init__(self, path: Path, rate: int = RATE, block: int = BLOCK) -> None:
        import minihost

        self.plugin: Any = minihost.Plugin(str(path), rate, block)
        self.block = block
        self.heard: list[np.ndarray] = []

    def process(
        self, midi: list[tuple[int, int, int, int]] | None = None, given: np.ndarray | None = None
    ) -> np.ndarray:
        silence = np.zeros((2, self.block), np.float32)
        out = np.zeros((2, self.block), np.float32)
        self.plugin.process_midi(silence if given is None else given, out, midi or [])
        self.heard.append(out)
        return out

    def live(self) -> None:
        until(lambda: self.value("Link") == 2, self.process)

    def value(self, name: str) -> float:
        """Of a parameter, in its own unit."""
        index = self.plugin.find_param(name)
        text = self.plugin.param_to_text(index, self.plugin.get_param(index))
        words = {"live": 2.0, "looking for a host": 1.0, "off": 0.0}
        return words[text] if text in words else float(text.split()[0])


@pytest.fixture
def mini(built: Path, serving: Serving) -> Iterator[Callable[..., Mini]]:
    made: list[Mini] = []

    def make(name: str = "descant", **options: int) -> Mini:
        made.append(Mini(vst3(built, name), **options))
        return made[-1]

    yield make
    for one in made:
        one.plugin.close()


def vst3(built: Path, name: str) -> Path:
    return built / "native" / "bin" / f"{name}.vst3"


@pytest.mark.parametrize("name", ["descant", "descant-effect"])
def test_minihost_hears_the_hosts_audio_bit_for_bit(mini, name):
    track = mini(name)
    track.live()

    def heard_so_far() -> bool:
        track.process()
        heard = np.concatenate(track.heard, axis=1)
        return exact(heard[0], np.arange(heard.shape[1])) >= RATE

    until(heard_so_far, seconds=60)


def test_minihosts_midi_arrives_at_its_sample(mini, serving):
    track = mini()
    track.live()
    at = len(track.heard) * BLOCK
    track.process([(0, 0x90, 60, 1), (7, 0x93, 61, 100), (8, 0x83, 61, 0), (255, 0x9F, 127, 127)])
    until(lambda: len(serving.host.of(wire.NoteOn)) == 3)
    notes = [(m.midi_channel, m.key, m.velocity, m.at_sample) for m in serving.host.of(wire.NoteOn)]
    assert notes == [(0, 60, 1, at), (3, 61, 100, at + 7), (15, 127, 127, at + 255)]
    (off,) = serving.host.of(wire.NoteOff)
    assert (off.midi_channel, off.key, off.at_sample) == (3, 61, at + 8)
    for controller, value in ((0, 1), (1, 64), (74, 99), (127, 127)):
        track.process([(5, 0xB0, controller, value)])
    until(lambda: len(serving.host.of(wire.Control)) == 4)
    controls = [(m.controller, m.value) for m in serving.host.of(wire.Control)]
    assert controls == [(0, 1), (1, 64), (74, 99), (127, 127)]
    for low, high in ((0, 0), (1, 0), (0, 64), (127, 127)):
        track.process([(5, 0xE0, low, high)])
    until(lambda: len(serving.host.of(wire.Bend)) == 4)
    assert [m.value for m in serving.host.of(wire.Bend)] == [0, 1, 8192, 16383]


def test_minihosts_transport_is_told_and_followed(mini, serving):
    track = mini()
    track.live()
    frame, tempo = 96000, 90.0
    for _ in range(40):
        track.plugin.set_transport(tempo, 7, 8, frame, frame / RATE * tempo / 60, True)
        track.process()
        frame += BLOCK
    until(lambda: serving.host.of(wire.Transport))
    told = next(m for m in serving.host.of(wire.Transport) if m.playing)
    assert (told.tempo, told.numerator, told.denominator) == (90, 7, 8)
    assert told.at_sample == 96000 and told.beat == pytest.approx(3.0)
    until(lambda: any(m.jumps == 1 and m.playhead >= 96000 for m in serving.host.of(wire.Heartbeat)))
    places = []

    def heard_so_far() -> bool:
        nonlocal frame
        track.plugin.set_transport(tempo, 7, 8, frame, frame / RATE * tempo / 60, True)
        track.process()
        places.append(np.arange(frame, frame + BLOCK))
        frame += BLOCK
        heard = np.concatenate(track.heard[-len(places) :], axis=1)[0]
        return exact(heard, np.concatenate(places)) >= RATE // 2

    until(heard_so_far, seconds=60)


def test_minihosts_state_comes_back_byte_for_byte_and_random_bytes_are_harmless(mini):
    track, other = mini(), mini()
    for name, value in (("Gain", 0.3), ("Guidance", 0.7), ("Seed", 0.5), ("Play on when stopped", 1.0)):
        track.plugin.set_param_by_name(name, value)
    track.process()
    state = track.plugin.get_state()
    other.process()
    other.plugin.set_state(state)
    other.process()
    assert other.plugin.get_state() == state
    for name in ("Gain", "Guidance", "Seed", "Play on when stopped"):
        there = track.plugin.get_param_by_name(name)
        assert other.plugin.get_param_by_name(name) == pytest.approx(there, abs=1e-4)  # whole seeds
    random = np.random.default_rng(5)
    for size in (2**20, 2**20 + 1, 2**20 - 7):
        with pytest.raises(RuntimeError):
            other.plugin.set_state(random.bytes(size))
        other.process()
    assert other.plugin.get_state() == state


def test_minihost_sees_the_first_parameter_and_few_controllers(mini):
    track = mini()
    names = [track.plugin.get_param_info(i)["name"] for i in range(track.plugin.num_params)]
    assert len(names) < 200 and names.index("Gain") == 130
    track.plugin.set_param_by_name("Gain", 0.25)
    track.process([(0, 0xB0, 1, 99)])
    assert track.plugin.get_param_by_name("Gain") == pytest.approx(0.25)


@pytest.mark.parametrize("block", [1, 17, 4096])
@pytest.mark.parametrize("rate", [22050, 44100, 96000, 192000])
def test_minihost_takes_any_rate_and_block(mini, serving, rate, block):
    track = mini(rate=rate, block=block)
    track.process()
    until(lambda: (rate, block) in [(h.sample_rate, h.block_size) for h in serving.host.hellos])
    assert np.isfinite(np.concatenate(track.heard, axis=1)).all()


def test_pedalboard_plays_the_instrument(built, serving, monkeypatch):
    import pedalboard

    monkeypatch.setenv("DESCANT_PATIENCE", "0.2")  # it always bounces, and keeps Python's lock meanwhile

    plugin: Any = pedalboard.VST3Plugin(str(vst3(built, "descant")))
    assert plugin.is_instrument and plugin.reported_latency_samples == 0
    notes = [
        mido.Message("note_on", note=64, velocity=99, time=0.25),
        mido.Message("note_on", note=65, velocity=1, time=0.25 + 12347 / RATE),
    ]

    def played() -> bool:
        heard = plugin(notes, duration=1.0, sample_rate=float(RATE), buffer_size=512, reset=False)
        assert heard.shape == (2, RATE) and np.isfinite(heard).all()
        got = serving.host.of(wire.NoteOn)[-2:]  # what was pressed before the link lived is told at once
        return len(got) == 2 and got[0].at_sample < got[1].at_sample and got[1].key == 65

    until(played, lambda: time.sleep(0.02), seconds=60)  # it keeps Python's lock, which the host wants, too
    first, second = serving.host.of(wire.NoteOn)[-2:]
    assert (first.key, first.velocity, second.velocity) == (64, 99, 1)
    assert second.at_sample - first.at_sample == 12347


def test_pedalboards_input_passes_the_effect_bit_for_bit_without_latency(built, serving, monkeypatch):
    import pedalboard

    monkeypatch.setenv("DESCANT_PATIENCE", "0.2")
    plugin: Any = pedalboard.VST3Plugin(str(vst3(built, "descant-effect")))
    assert plugin.is_effect and plugin.reported_latency_samples == 0
    given = np.random.default_rng(1).uniform(-1, 1, (2, RATE)).astype(np.float32)
    plugin(given, float(RATE), buffer_size=512, reset=False)  # `Dry` has come to rest
    np.testing.assert_array_equal(plugin(given, float(RATE), buffer_size=512, reset=False), given)


@pytest.fixture
def jalv(built: Path, serving: Serving, tmp_path: Path) -> Iterator[Recorder]:
    """jalv with the instrument on a dummy server, beside a recorder."""
    bundles = tmp_path / "lv2"
    bundles.mkdir()
    for name in ("descant", "descant-effect"):
        (bundles / f"{name}.lv2").symlink_to(built / "native" / "bin" / f"{name}.lv2")
    with jack_server() as environment:
        recorder = Recorder(environment)
        words = [tool("jalv"), "-n", "descant", "-x", "https://descant.dev/plugins/instrument"]
        player = subprocess.Popen(
            words,
            env={**environment, "LV2_PATH": f"{bundles}:/usr/lib/lv2", "DESCANT_ENDPOINT": serving.endpoint},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: serving.host.hellos)
            yield recorder
        finally:
            player.terminate()
            player.wait(20)
            player.stdin.close()
            recorder.close()


def test_jalv_hears_the_hosts_audio_bit_for_bit_where_jack_is(jalv):
    jalv.listen("descant")
    jalv.client.transport_frame = 5 * RATE
    jalv.client.transport_start()
    until(lambda: exact(*jalv.taken()) >= RATE // 2, seconds=60)


def test_jalvs_midi_arrives_at_its_frame(jalv, serving):
    jalv.control("descant")
    jalv.client.transport_start()
    until(lambda: len(jalv.taken()[0]) > 20 * BLOCK)
    jalv.play(11, 0x92, 60, 77)
    jalv.play(200, 0x82, 60, 0)
    until(lambda: serving.host.of(wire.NoteOff))
    (on,), (off,) = serving.host.of(wire.NoteOn), serving.host.of(wire.NoteOff)
    assert (on.midi_channel, on.key, on.velocity) == (2, 60, 77)
    assert [on.at_sample, off.at_sample] == [frame for frame, _ in jalv.sent]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a real engine with a tiny model is, in a process of its own: minihost keeps Python's lock."""
    with ipc_endpoint() as endpoint:
        monkeypatch.setenv("DESCANT_ENDPOINT", endpoint)
        words = [sys.executable, "-m", "tests.plugin_native.engine_host", endpoint]
        host = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert host.stdout.readline() == "ready\n"
            yield endpoint
        finally:
            host.kill()
            host.wait()
            host.stdout.close()


def bounced(track: Mini) -> np.ndarray:
    """Four seconds of a song, offline."""
    track.plugin.non_realtime = True
    track.plugin.clear_transport()
    track.process()
    track.heard.clear()
    for frame in range(0, 4 * RATE, 512):
        track.plugin.set_transport(140.0, 4, 4, frame, frame / RATE * 140 / 60, True)
        notes = {4096: (7, 0x90, 36, 100), 59904: (300, 0x90, 37, 99), 120320: (0, 0x90, 38, 1)}
        track.process([notes[frame]] if frame in notes else [])
    track.plugin.non_realtime = False
    return np.concatenate(track.heard, axis=1)


def test_minihost_bounces_the_same_twice(built, engine):
    track = Mini(vst3(built, "descant"), block=512)
    first = bounced(track)
    assert np.abs(first).max() > 1e-3 and track.value("Underruns") == 0
    np.testing.assert_array_equal(bounced(track), first)
    track.plugin.close()


def test_a_clap_host_bounces_the_same_twice(built, engine, tmp_path):
    for name in ("a", "b"):
        clap_host, plugin = built / "rig" / "clap_host", built / "native" / "bin" / "descant.clap"
        words = [clap_host, plugin, "bounce", 4, RATE, 333, 140, tmp_path / name]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=100)
        assert "link 2\nunderruns 0\n" in done.stdout, (done.stdout, done.stderr)
    first, second = (np.fromfile(tmp_path / name, np.float32) for name in ("a", "b"))
    assert np.abs(first).max() > 1e-3
    np.testing.assert_array_equal(first, second)
