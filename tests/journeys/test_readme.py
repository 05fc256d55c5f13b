"""What the README tells a newcomer to type works as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_of_python_make_eight_seconds_of_music(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(block.strip().splitlines()) <= 10
    assert "torch.set_num_threads(1)" in block  # with more, a busy machine takes many times as long
    (tmp_path / "presets").symlink_to(ROOT / "presets")
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    wave, rate = soundfile.read(tmp_path / "music.wav", dtype="float32")
    assert len(wave) == 8 * rate and np.abs(wave).max() > 0.01


def test_every_command_it_names_exists() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "descant.host.cli", "--help"], capture_output=True, text=True, check=True
    )
    for name in set(re.findall(r"`descant ([a-z]+)", README)):
        assert name in done.stdout, name
    for name in set(re.findall(r"`(tools/[a-z_/.]+)", README)):
        assert (ROOT / name).exists(), name


def test_run_helps_without_anything_installed() -> None:
    """The options are told by the standard library alone."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "tools" / "first_light.py"), "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for option in ("--midi", "--hum", "--prompt", "--preset", "--seconds", "--seed"):
        assert option in done.stdout
