"""Journey E, offline: the same music from a script or a bounce, deterministic, whatever the pace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from descant.host.events import Control, NoteOn, SessionHello, TransportEvent
from descant.host.render import render, replay
from descant.plugin_bridge import wire
from tests.journeys.stage import BAR, RATE, first_difference, pad, perform, presets, transport

PERFORMANCES = Path(__file__).resolve().parents[2] / "presets" / "performances"


def test_offline_is_the_same_music_whatever_the_block_size(tiny) -> None:
    events = [
        transport(),
        pad(36, 2000),
        pad(37, 2 * BAR - 20_000),
        wire.Control(0, 1, 100, at_sample=BAR + 9600),
    ]
    small, large = (perform(tiny, events, 3.0, block=block, realtime=False) for block in (480, 960))
    assert first_difference(small, large) == 3 * RATE


def test_a_live_take_renders_again_offline_sample_for_sample(tiny) -> None:
    hello = SessionHello(RATE, channels=2, seed=5)
    events = [
        TransportEvent(0, 240.0, 0.0),
        NoteOn(2000, 36),
        Control(BAR + 7000, 1, 90),
        NoteOn(2 * BAR - 9000, 38),
    ]
    first = render(tiny, presets(), events, 3.0, hello)
    second = render(tiny, presets(), events, 3.0, hello)
    again = replay(tiny, presets(), first.log, 3.0, hello)
    assert np.abs(first.wave).max() > 0.01
    assert np.array_equal(first.wave, second.wave)
    assert np.array_equal(first.wave, again.wave)


def descant(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "descant.host.cli", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_descant_render_gives_the_same_file_for_the_same_seed(tmp_path: Path) -> None:
    words = ["render", "--prompt", "gentle folk with acoustic guitar", "--seconds", "2"]
    words += ["--melody", str(PERFORMANCES / "first-light-hum.wav")]
    for name, seed in (("a.wav", "1"), ("b.wav", "1"), ("c.wav", "2")):
        done = descant(*words, "--seed", seed, "--out", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    a, b, c = (soundfile.read(tmp_path / name, dtype="float32")[0] for name in ("a.wav", "b.wav", "c.wav"))
    assert len(a) == 2 * RATE and np.abs(a).max() > 0.01
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav", "c.wav"]


def test_descant_render_plays_the_shipped_performance(tmp_path: Path) -> None:
    words = [
        "render",
        "--midi",
        str(PERFORMANCES / "first-light.mid"),
        "--preset",
        "daybreak",
        "--seconds",
        "3",
    ]
    done = descant(*words, "--model", "tiny", "--out", "take.wav", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    wave, rate = soundfile.read(tmp_path / "take.wav", dtype="float32")
    line = 2 * rate  # the first pad is pressed for bar 1
    sound = np.flatnonzero(np.abs(wave.reshape(len(wave), -1)).max(axis=1))
    assert line <= sound[0] < line + 64


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prompt", "x", "--melody", "missing.wav"], "missing.wav"),
        (["--prompt", "x" * 100_000], "100000"),
        (["--prompt", ""], "prompt"),
        (["--midi", "empty.mid"], "empty.mid"),
        (["--prompt", "x", "--model", "colossal"], "colossal"),
        (["--prompt", "x", "--preset", "nowhere"], "nowhere"),
        (["--prompt", "x", "--melody", "nan.wav"], "nan.wav"),
    ],
    ids=["no file", "long prompt", "empty prompt", "empty midi", "no model", "no preset", "nan"],
)
def test_what_cannot_be_rendered_is_told_in_three_lines(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "empty.mid").write_bytes(b"")
    soundfile.write(tmp_path / "nan.wav", np.full(9600, np.nan, np.float32), 48000, subtype="FLOAT")
    done = descant("render", *words, "--seconds", "1", "--out", "out.wav", cwd=tmp_path)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1, done.stderr
    assert len(lines) == 3 and said in lines[0].lower().replace(",", ""), done.stderr
    assert not list(tmp_path.glob("*out*")), "nothing half-written"
