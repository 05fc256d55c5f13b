"""The command line as a user meets it: what it makes, and three lines and an exit code for whatever is
wrong."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from descant.host.edge.bench import append
from descant.host.errors import HostError
from tests.cli.conftest import Run

RATE = 16_000


def tone(seconds: float = 1.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 220 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def wav(path: Path, wave: np.ndarray) -> Path:
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    return path


def midi(path: Path, *messages: mido.Message) -> Path:
    file = mido.MidiFile()
    file.tracks.append(mido.MidiTrack(messages))
    file.save(path)
    return path


NOISE = np.random.default_rng(3).uniform(-0.5, 0.5, 2 * RATE).astype(np.float32)
NO_MODEL = ("--model", "nothere")  # what is refused with it was refused before any model was looked for
SHORT = ("--model", "tiny", "--seconds", "0.5", "--rate", "16000")


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    words = (
        "import sys\nfrom descant.host.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'numpy', 'zmq', 'soundfile', 'mido', 'sounddevice'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for command in ("render", "host", "play", "presets", "doctor", "bench", "devices"):
        assert command in done.stdout


def test_the_installed_command_renders_and_exits_with_zero(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("descant")
    out = tmp_path / "a.wav"
    done = subprocess.run(
        [command, "render", "--prompt", "slow piano", *SHORT, "--out", out],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    wave, rate = soundfile.read(out)
    assert rate == 16_000 and len(wave) == 8_000 and np.abs(wave).max() > 0
    assert "real-time factor" in done.stderr


def test_the_same_seed_gives_the_same_samples_and_another_others(run: Run, tmp_path: Path) -> None:
    waves = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        out = tmp_path / f"{name}.wav"
        code, _, err = run("render", "-p", "funk", "--seed", seed, *SHORT, "--out", out)
        assert code == 0, err
        waves.append(soundfile.read(out)[0])
    np.testing.assert_array_equal(waves[0], waves[1])
    assert not np.array_equal(waves[0], waves[2])


def test_melody_midi_and_preset_render_together(run: Run, tmp_path: Path) -> None:
    song = midi(
        tmp_path / "s.mid",
        mido.Message("note_on", note=36, velocity=90, time=0),
        mido.Message("note_off", note=36, time=240),
        mido.Message("control_change", control=74, value=90, time=0),
    )
    loud = wav(tmp_path / "loud.wav", np.clip(tone(level=3.0), -1, 1))
    words = ("--midi", song, "--melody", loud, "--preset", "hum-along", *SHORT)
    code, _, err = run("render", *words, "--out", tmp_path / "a.wav")
    assert code == 0, err
    assert "clipped" in err
    assert np.abs(soundfile.read(tmp_path / "a.wav")[0]).max() > 0


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("missing", None, "no such file"),
        ("empty", lambda path: path.touch(), "empty file"),
        ("text", lambda path: path.write_text("hello " * 50), "not a sound file"),
        ("silent", lambda path: wav(path, np.zeros(RATE, np.float32)), "silent"),
        ("nan", lambda path: wav(path, np.full(RATE, np.nan, np.float32)), "not numbers"),
        ("long", lambda path: wav(path, np.tile(tone(), 70)), "at most 60 s"),
        ("folder", lambda path: path.mkdir(), "is a folder"),
        ("slow", lambda path: soundfile.write(path, tone(), 4000), "allowed: 8000..384000 Hz"),
    ],
)
def test_a_melody_that_cannot_be_used(
    fails: Callable[..., list[str]],
    tmp_path: Path,
    name: str,
    make: Callable[[Path], object] | None,
    said: str,
) -> None:
    path = tmp_path / f"{name}.wav"
    if make is not None:
        make(path)
    (line, *_) = fails("render", "-p", "piano", "--melody", path, *NO_MODEL, "--out", "OUT")
    assert said in line and str(path) in line
    song = midi(tmp_path / "s.mid", mido.Message("note_on", note=36, velocity=90))
    assert said in fails("play", song, "--hum", path, "--silent", *NO_MODEL)[0]


def test_music_goes_on_from_a_file_under_settings(
    run: Run, fails: Callable[..., list[str]], tmp_path: Path
) -> None:
    first, other, given = tmp_path / "a.wav", tmp_path / "b.wav", wav(tmp_path / "given.wav", tone(0.5))
    words = ("render", "-p", "piano", "--model", "tiny", "--rate", RATE, "--continue", given)
    for path, more in ((first, ("--set", "temperature=0")), (other, ("--set", "temperature=1.5"))):
        code, _, err = run(*words, "--seconds", "1", *more, "--out", path)
        assert code == 0, err
    waves = [soundfile.read(path)[0] for path in (first, other)]
    known = RATE // 2 - RATE // 50  # what was given is heard first, whatever comes of it
    assert np.array_equal(waves[0][:known], waves[1][:known]) and np.abs(waves[0][:known]).max() > 0
    assert not np.array_equal(waves[0], waves[1]) and len(waves[0]) == RATE
    assert "all of the 0.4 s" in fails(*words, "--seconds", "0.4", "--out", "OUT")[0]
    code, _, err = run(*words, "--out", first)
    assert code == 0 and len(soundfile.read(first)[0]) == RATE * 21 // 2, err
    for setting, said in (("guidance=99", "allowed: 1..8"), ("nothing=1", "no parameter 'nothing'")):
        assert said in fails(*words, *NO_MODEL, "--set", setting, "--out", "OUT")[0]
    assert run(*words, "--set", "guidance", "--out", first)[0] == 2


def test_a_melody_without_a_pitch_is_none_for_the_model_that_ships(
    fails: Callable[..., list[str]], tmp_path: Path
) -> None:
    path, song = wav(tmp_path / "noise.wav", NOISE), tmp_path / "s.mid"
    midi(song, mido.Message("note_on", note=36, velocity=90))
    (line, *_) = fails("render", "-p", "piano", "--melody", path, "--out", "OUT")
    assert "no pitch" in line and str(path) in line
    assert "no pitch" in fails("play", song, "--hum", path, "--silent")[0]
    # others hear melodies in their own way: they are looked for first
    assert "nothere" in fails("render", "-p", "piano", "--melody", path, *NO_MODEL, "--out", "OUT")[0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: midi(path, mido.Message("control_change", control=1, value=1)), "no notes"),
        (lambda path: path.write_bytes(b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0"), "not a MIDI file"),
        (lambda path: path.write_text("words"), "not a MIDI file"),
        (lambda path: path.write_bytes(b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\0\x99\0\x90"), "cut off"),
    ],
    ids=["no notes", "corrupt", "text", "cut off"],
)
def test_a_midi_file_that_cannot_be_used(
    fails: Callable[..., list[str]], tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / "a.mid"
    make(path)
    assert said in fails("render", "--midi", path, *SHORT, "--out", "OUT")[0]
    assert said in fails("play", path, "--silent")[0]


@pytest.mark.parametrize(("length", "said"), [(0, "0 characters"), (100_000, "100000 characters")])
def test_a_prompt_that_cannot_be_used(fails: Callable[..., list[str]], length: int, said: str) -> None:
    assert said in fails("render", "--prompt", "x" * length, *SHORT, "--out", "OUT")[0]


def test_a_prompt_of_no_words_is_refused_where_it_is_played_too(
    fails: Callable[..., list[str]], tmp_path: Path
) -> None:
    song = midi(tmp_path / "s.mid", mido.Message("note_on", note=36, velocity=90))
    for prompt in ("", "  "):
        lines = fails("play", song, "--prompt", prompt, *NO_MODEL, "--silent", "--out", "OUT")
        assert "0 characters" in lines[0]


@pytest.mark.parametrize("prompt", ["\udcff\udcfe bad", "half \ud83d"])
def test_a_prompt_of_bytes_that_are_no_text(fails: Callable[..., list[str]], prompt: str) -> None:
    assert "not UTF-8" in fails("render", "--prompt", prompt, *NO_MODEL, "--out", "OUT")[0]


def test_bytes_that_are_no_text_on_a_real_command_line(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "descant.host.cli",
        "render",
        "--out",
        "x.wav",
        "--prompt",
        b"\xff\xfe bad",
    ]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 1 and done.stderr.count(b"\n") == 3 and b"not UTF-8" in done.stderr


def test_a_hum_alone_is_enough(run: Run, tmp_path: Path) -> None:
    clip = wav(tmp_path / "hum.wav", tone(level=0.5))
    code, _, err = run("render", "--melody", clip, *SHORT, "--out", tmp_path / "a.wav")
    assert code == 0, err
    assert np.abs(soundfile.read(tmp_path / "a.wav")[0]).max() > 0


def test_a_midi_file_whose_notes_no_pad_knows_is_rendered_with_a_warning(run: Run, tmp_path: Path) -> None:
    song = midi(tmp_path / "s.mid", mido.Message("note_on", note=60, velocity=90))
    words = ("--midi", song, "--preset", "daybreak", *SHORT, "--out", tmp_path / "a.wav")
    code, _, err = run("render", *words)
    assert code == 0
    (line,) = (line for line in err.splitlines() if "bound" in line)
    assert "preset daybreak; it binds keys 36–" in line and line.endswith("There will be silence.")
    assert "Only what else was given" in run("render", "-p", "piano", *words)[2]
    bound = midi(tmp_path / "s.mid", mido.Message("note_on", note=36, velocity=90))
    assert "bound" not in run("render", "--midi", bound, *SHORT, "--out", tmp_path / "a.wav")[2]


def test_unknown_names(fails: Callable[..., list[str]]) -> None:
    lines = fails("render", "-p", "piano", "--preset", "nothere", *SHORT, "--out", "OUT")
    assert "nothere" in lines[0] and lines[1] == "Nothing was written." and "first-light" in lines[2]
    lines = fails("render", "-p", "piano", "--model", "nothere", "--seconds", "1", "--out", "OUT")
    assert "nothere" in lines[0] and "embedded" in " ".join(lines)
    assert "nothere" in fails("presets", "show", "nothere")[0]
    assert "nothere" in fails("bench", "--model", "nothere", "--log", "OUT")[0]


def test_presets_are_listed_shown_and_checked(
    run: Run, fails: Callable[..., list[str]], tmp_path: Path
) -> None:
    assert "first-light" in run("presets", "list")[1]
    assert "guidance" in run("presets", "show", "hum-along")[1]
    code, out, _ = run("presets", "find", "HUM", "along")
    assert code == 0 and "hum-along" in out and "first-light" not in out
    code, out, _ = run("presets", "find", "[bold]", "zither")
    assert code == 0 and "None of" in out and "[bold] zither" in out
    good = tmp_path / "mine.toml"
    good.write_text('[[prompts]]\ntext = "piano"\nkey = 36\n')
    assert "ok" in run("presets", "check", good)[1]
    assert "mine" in run("presets", "list", "--presets", tmp_path)[1]
    bad = tmp_path / "bad.toml"
    for text, said in (
        ("prompts = [", "not TOML"),
        ('[[prompts]]\ntext = "a"\ncolour = 1', "colour"),
        ('[[prompts]]\ntext = "a"\n[cc.1]\nparameter = "wetness"\nrange = [0, 1]', "wetness"),
        ("[[prompts]]\nkey = 300", "127"),
    ):
        bad.write_text(text)
        assert str(bad) in fails("presets", "check", bad)[0]
        assert said in " ".join(fails("presets", "check", bad))
    bad.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in fails("presets", "check", bad)[0]
    assert "could not be read" in fails("presets", "check", tmp_path / "none.toml")[0]
    bad.unlink()
    os.mkfifo(bad)
    assert "not a regular file" in fails("presets", "check", bad)[0]


def test_a_broken_preset_among_many_is_left_out_with_a_word(
    run: Run, fails: Callable[..., list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "good.toml").write_text('[[prompts]]\ntext = "piano"\nkey = 36\n')
    (folder / "bad.toml").write_text("prompts = [")
    (folder / "deep.toml").write_text("a = " + "[" * 9999)
    (folder / "first.toml").symlink_to("/dev/zero")
    here = ("--presets", folder)
    for words in (
        ("presets", "list", *here),
        ("presets", "show", "good", *here),
        ("render", "-p", "x", "--preset", "good", *here, *SHORT, "--out", tmp_path / "a.wav"),
    ):
        code, _, err = run(*words)
        assert code == 0, err
        told = [line for line in err.splitlines() if "left out" in line]
        assert [Path(line.split(".toml")[0]).name for line in told] == ["bad", "deep", "first"]
    assert "good" in run("presets", "list", *here)[1]
    (folder / "first.toml").unlink()
    (folder / "deep.toml").unlink()
    lines = fails("render", "-p", "x", "--preset", "bad", *here, *NO_MODEL, "--out", "OUT")
    assert str(folder / "bad.toml") in lines[0]
    song = midi(tmp_path / "s.mid", mido.Message("note_on", note=36, velocity=90))
    assert "bad.toml" in fails("play", song, "--preset", "bad", *here, *NO_MODEL, "--silent")[0]


def test_files_nobody_may_read_are_three_lines(tmp_path: Path) -> None:
    """Root, too, is a user here: without the rights by which it reads whatever there is."""
    song = midi(tmp_path / "a.mid", mido.Message("note_on", note=36, velocity=90))
    sound, preset, folder = wav(tmp_path / "a.wav", tone()), tmp_path / "a.toml", tmp_path / "presets"
    preset.write_text('[[prompts]]\ntext = "piano"\nkey = 36\n')
    folder.mkdir()
    readable = midi(tmp_path / "b.mid", mido.Message("note_on", note=36, velocity=90))
    for path in (song, sound, preset, folder):
        path.chmod(0)
    rights = "-dac_override,-dac_read_search"
    as_user = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.getuid() == 0 else []
    out = ("--out", tmp_path / "out.wav", *NO_MODEL)
    for words, path in (
        (("render", "--midi", song, *out), song),
        (("render", "--melody", sound, *out), sound),
        (("play", song, "--silent", *out), song),
        (("play", readable, "--hum", sound, "--silent", *out), sound),
        (("presets", "check", preset), preset),
        (("presets", "list", "--presets", folder), folder),
    ):
        done = subprocess.run(
            [*as_user, sys.executable, "-m", "descant.host.cli", *words],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 1 and done.stderr.count("\n") == 3, done.stderr
        assert str(path) in done.stderr and "permission denied" in done.stderr
    folder.chmod(0o700)


def test_a_name_of_bytes_that_are_no_text_is_refused_before_any_work(
    run: Run, fails: Callable[..., list[str]], tmp_path: Path
) -> None:
    song = midi(tmp_path / "s.mid", mido.Message("note_on", note=36, velocity=90))
    name = tmp_path / "out" / os.fsdecode(b"a\xff.wav")
    assert "not UTF-8" in fails("render", "-p", "piano", *NO_MODEL, "--out", name)[0]
    assert "not UTF-8" in fails("play", song, "--silent", *NO_MODEL, "--out", name)[0]
    assert "not UTF-8" in fails("bench", *NO_MODEL, "--log", name)[0]


def test_a_log_that_finds_no_room_is_what_it_was(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for before in (None, b"{}\n"):
        if before is not None:
            log.write_bytes(before)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
        try:
            with pytest.raises(HostError, match="Nothing was written"):
                append(log, b"x" * 100)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (log.read_bytes() if log.exists() else None) == before


def test_places_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    song = midi(tmp_path / "s.mid", mido.Message("note_on", note=36, velocity=90))
    commands: tuple[tuple[object, ...], ...] = (
        ("render", "-p", "piano", *SHORT, "--out"),
        ("play", song, "--silent", "--model", "nothere", "--out"),
        ("bench", "--model", "nothere", "--log"),
    )
    for place in (tmp_path / "no" / "a.wav", tmp_path, Path("/proc/a.wav"), pipe):
        for words in commands:
            code, _, err = run(*words, place)
            assert code == 1 and err.count("\n") == 3 and "cannot be written" in err, err
    assert pipe.is_fifo() and not (tmp_path / "no").exists()
    for words in commands[:2]:
        code, _, err = run(*words, tmp_path / "a.mp3")
        assert code == 1 and "allowed: .wav" in err
    for words in commands:
        code, _, err = run(*words, "")
        assert code == 2 and "empty" in err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("sing",),
        ("render",),
        ("render", "--out", "x.wav"),
        ("render", "--out", "x.wav", "-p", "a", "--seconds", "-1"),
        ("render", "--out", "x.wav", "-p", "a", "--seconds", "nan"),
        ("render", "--out", "x.wav", "-p", "a", "--seconds", "long"),
        ("render", "--out", "x.wav", "-p", "a", "--rate", "1"),
        ("render", "--out", "x.wav", "-p", "a", "--seed", "-1"),
        ("render", "--out", "x.wav", "-p", "a", "--loudness", "11"),
        ("host", "--threads", "-1"),
        ("presets",),
        ("presets", "show"),
    ],
)
def test_wrong_use_is_two(
    run: Run, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*words)
    assert code == 2
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_host_refuses_addresses_it_must_not_or_cannot_open(run: Run, tmp_path: Path) -> None:
    for endpoint in (
        "tcp://0.0.0.0:47999",
        "tcp://127.0.0.1:99999",
        "smoke://signals",
        f"ipc://{tmp_path}/no/host",
    ):
        code, out, err = run("host", "--endpoint", endpoint, "--model", "tiny")
        assert code == 1 and len(err.rstrip().split("\n")) == 3, err
        assert out == ""


@pytest.mark.parametrize("pads", [False, True], ids=["loading", "pads playing"])
def test_an_interrupted_render_says_so_at_once_and_leaves_nothing(tmp_path: Path, pads: bool) -> None:
    """While it loads, and while pads play: a session's own guard against errors is no hindrance."""
    song = mido.MidiTrack()
    for _ in range(1000):
        song.append(mido.Message("note_on", note=36, velocity=90))
        song.append(mido.Message("note_off", note=36, time=960))
    words = [sys.executable, "-m", "descant.host.cli", "render", "--model", "tiny", "--seconds", "3000"]
    words += ["--midi", midi(tmp_path / "song.mid", *song)] if pads else ["-p", "piano"]
    folder = tmp_path / "out"
    folder.mkdir()
    render = subprocess.Popen([*words, "--out", "x.wav"], cwd=folder, stderr=subprocess.PIPE, text=True)
    assert render.stderr is not None
    if pads:
        assert "rendering" in render.stderr.readline()  # a line of progress: the work is on
    else:
        caught = Path(f"/proc/{render.pid}/status")
        mask = 1 << (signal.SIGINT - 1)
        until = time.monotonic() + 60
        while not int(
            caught.read_text().split("SigCgt:")[1].split()[0], 16
        ) & mask or "libtorch" not in _loaded(render.pid):
            assert time.monotonic() < until and render.poll() is None
            time.sleep(0.01)
    began = time.monotonic()
    render.send_signal(signal.SIGINT)
    _, said = render.communicate(timeout=60)
    assert render.returncode == 1
    lines = [line for line in said.splitlines() if not line.startswith("rendering")]
    assert lines[0] == "Interrupted." and len(lines) == 3
    assert list(folder.iterdir()) == []
    if pads:
        assert time.monotonic() - began < 5, "a second, and more only where the machine is busy"


def _loaded(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def test_devices_and_version_answer(run: Run) -> None:
    assert run("devices")[0] == 0
    assert run("--version")[1].startswith("descant ")


def test_doctor_says_ok_or_what_to_do_on_every_line(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("doctor", "--model", "tiny", "--endpoint", f"ipc://{tmp_path}/host")
    lines = out.rstrip().split("\n")
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in lines), out
    assert all("→" in line for line in lines if not line.startswith("ok")), out
    assert code == int(any(line.startswith("fail") for line in lines))
    assert {line.split()[1] for line in lines} >= {
        "python",
        "cores",
        "torch",
        "model",
        "speed",
        "audio",
        "endpoint",
    }
    assert next(line for line in lines if "endpoint" in line).startswith("ok")
    code, out, _ = run("doctor", "--model", "nothere")
    assert code == 1 and "nothere" in out


@pytest.mark.parametrize(
    "words",
    [
        ("--musicgen", "--model", "tiny"),
        ("--musicgen", "--skip-host"),
        ("--musicgen", "--seconds", "5"),
        ("--kernel", "fp32"),
        ("--plot", "x.png"),
    ],
)
def test_bench_refuses_options_that_would_do_nothing(run: Run, words: tuple[str, ...]) -> None:
    code, _, err = run("bench", *words)
    assert code == 2 and "musicgen" in err


def test_bench_prints_a_table_and_appends_one_line_with_machine_and_commit(run: Run, tmp_path: Path) -> None:
    import msgspec

    from descant.host.edge.bench import Entry

    log = tmp_path / "log.jsonl"
    for _ in range(2):
        code, out, err = run("bench", "--model", "tiny", "--seconds", "1", "--skip-host", "--log", log)
        assert code == 0, err
        assert "LM" in out and "codec" in out and "sampling" in out and "real-time factor" in out
    lines = log.read_bytes().splitlines()
    assert len(lines) == 2
    entry = msgspec.json.decode(lines[1], type=Entry)
    assert entry.stamp.commit and entry.stamp.machine.cores >= 1
    assert (
        entry.model.frame.n == 50
        and entry.model.frame.p50 <= entry.model.frame.p99 <= entry.model.frame.worst
    )
    assert entry.model.real_time_factor > 0


def test_an_error_nobody_foresaw_is_three_lines_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import descant.host.edge.devices_command as devices

    def broken() -> None:
        raise KeyError("a bug\nof two lines")

    monkeypatch.setattr(devices, "run", broken)
    code, _, err = run("devices")
    assert code == 1 and err.count("\n") == 3 and "KeyError" in err and "Traceback" not in err
