"""`descant presets audition` as a user meets it: figures on the screen, and files that agree with them."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from descant.host.cli import main
from descant.host.edge.audition_command import COLUMNS

PRESET = """tempo = 240
sampling = { top_k = 60 }
[[prompts]]
text = "calm jazz in C major"
chords = ["C", "F"]
[[prompts]]
text = "loud [bold] rock"
[[prompts]]
stop = true
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the command sets it; put back afterwards
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "brisk.toml").write_text(PRESET)
    return folder


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in ("presets", "audition", *words)])
    return end.value.code if isinstance(end.value.code, int) else 0


def test_it_writes_what_it_tells(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ("brisk", "--presets", mine, "--model", "tiny", "--bars", "1", "--seeds", "2")
    assert run(*words, "--out", out) == 0
    said = capsys.readouterr().out
    assert "brisk, 240 bpm" in said and "loud [bold] rock" in said and "1 presets" in said
    assert sorted(path.name for path in out.iterdir()) == ["audition.csv", "brisk.png", "brisk.wav"]
    rows = list(csv.DictReader((out / "audition.csv").read_text("utf-8").splitlines()))
    assert tuple(rows[0]) == COLUMNS and [(row["pad"], row["seed"]) for row in rows] == [
        *(("0", "0"), ("0", "1"), ("1", "0"), ("1", "1"))
    ]
    wave, rate = soundfile.read(out / "brisk.wav")
    assert len(wave) == 2 * rate  # two pads of a bar, a second each
    first = 20 * np.log10(np.sqrt(np.mean(wave[:rate] ** 2)))
    assert abs(first - float(rows[0]["level_dbfs"])) < 0.3
    assert (out / "brisk.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("brisk", "--pad", "2"), "It has: 0, 1."),
        (("brisk", "--bars", "64", "--out", "nowhere/out"), "cannot be made"),
        (("brisk", "--bars", "1", "--pad", "0", "first-light", "--pad", "99"), "no pad 99"),
        (("brsk",), 'did you mean "brisk"?'),
    ],
)
def test_what_cannot_be_heard_is_refused_before_anything_is_played(
    mine: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run(*words, "--presets", mine, "--model", "nothere") == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 3 and said in error
