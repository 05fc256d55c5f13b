"""The main job: plays a performance and a hum into a real host over its socket, and writes what came back.

`tools/run` sets up and calls this. Nothing beyond the standard library is imported before the options are
read, so that `--help` works on a machine where nothing is installed yet.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from descant.host.edge.cues import Hum, Performance
    from descant.host.preset import Preset
    from tools.hum_synth import HumNote
    from tools.listen import Following, SectionMeasure
    from tools.take import Take

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "presets" / "performances" / "first-light"
PRESET = "daybreak"
ENDS = ("wav", "png", "txt")
HUM_BAR = 4  # the shipped performance: hummed over the first bars, handed in at bar 4, followed from bar 5 on
EPILOG = """examples:
  tools/run                                           the shipped performance and hum
  tools/run --prompt "smoky jazz with tenor saxophone"  your words instead of the pads, the shipped hum
  tools/run --hum me.wav                              your hum instead of the shipped one
  tools/run --midi song.mid --preset first-light      your pads, keys and controllers

Notes trigger the prompts that the preset binds to them (`.venv/bin/descant presets show daybreak` lists
keys and controllers; a preset is a small TOML file, see presets/). A pad acts on the next bar line, so
press it a little before. A hum (WAV, FLAC or OGG, one voice) is followed from the bar line after it was
handed in, and loops."""


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line, read and checked."""
    parser = argparse.ArgumentParser(
        prog="tools/run",
        description="Sets up, starts a Descant host, plays a performance into it as a DAW would, and writes "
        "what it heard: first-light.wav, first-light.png and first-light.txt.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--midi", type=Path, metavar="FILE", help="a Standard MIDI File: its notes are pads and keys"
    )
    parser.add_argument(
        "--hum", type=Path, metavar="WAV", help="a recording of one voice: the melody to follow"
    )
    parser.add_argument(
        "--hum-bar", type=int, metavar="N", help="the bar at which the hum is handed in (from 0)"
    )
    parser.add_argument("--no-hum", action="store_true", help="play without a hum")
    parser.add_argument("--prompt", metavar="TEXT", help="the music wanted, in words, from the start")
    parser.add_argument(
        "--preset", default=PRESET, metavar="NAME", help=f"what pads and controllers do ({PRESET})"
    )
    parser.add_argument(
        "--presets", action="append", default=[], metavar="DIR",
        help="a further folder of preset files; may be given again",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, metavar="S", help="how long to play (the whole performance)")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="the same seed gives the same music (1)"
    )
    parser.add_argument(
        "--rate", type=int, default=48000, metavar="HZ", help="sample rate of the DAW's side (48000)"
    )
    parser.add_argument(
        "--out",
        type=_folder,
        default=ROOT / "out",
        metavar="FOLDER",
        help="where to write, made if need be (out/)",
    )
    parser.add_argument("--silent", action="store_true", help="use no audio device even where there is one")
    parser.add_argument("--model", default="embedded", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.seconds is not None and not 1.0 <= chosen.seconds <= 600.0:
        parser.error(f"--seconds {chosen.seconds:g}: 1 to 600 can be played")
    if not 8000 <= chosen.rate <= 192000:
        parser.error(f"--rate {chosen.rate}: 8000 to 192000 Hz can be played")
    if chosen.seed < 0 or (chosen.hum_bar is not None and chosen.hum_bar < 0):
        parser.error("--seed and --hum-bar start at 0")
    return chosen


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: name a folder")
    return Path(text)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: done, 1: failed (three lines say what happened, what still works, what to do), 2: wrong
    use."""
    chosen = options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # both ways of being stopped end the host as well
        signal.signal(number, signal.default_int_handler)
    try:
        perform(chosen)
    except (Exception, KeyboardInterrupt) as error:
        from descant.host.edge.errors_shown import show

        if sys.stderr.isatty():  # below a bar that is half done
            print(file=sys.stderr)
        show(error)
        return 1
    return 0


def perform(chosen: argparse.Namespace) -> None:
    """Everything after the options: play, listen, write, report."""
    from descant.host.edge.performer import host_gone
    from descant.host.edge.preset_files import choose_preset
    from tools.listen import follow, measure_sections
    from tools.played import play

    folders = tuple(chosen.presets)
    preset = choose_preset(folders, chosen.preset, "Nothing was played.")[1]
    performance, notes = _material(chosen)
    if chosen.midi or not performance.prompt:  # words in place of the shipped pads need none
        _check_sounding(performance, preset)
    _make_folder(chosen.out)
    take = play(
        performance, preset, notes, chosen.model, chosen.rate, chosen.seed, chosen.silent, say, progress,
        folders,
    )  # fmt: skip
    sections, following = measure_sections(take), follow(take)
    write(chosen.out, take, sections, following)
    if take.silent_from is not None:
        raise host_gone(take.time(take.silent_from), f"{chosen.out} holds the take so far and its report.")


def _make_folder(folder: Path) -> None:
    """The folder of the results, and whether each can be written there. Raises HostError."""
    from descant.host.edge.whole import check_name, check_writable
    from descant.host.errors import HostError

    check_name(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a file has that name" if is_file else (error.strerror or str(error)).lower()
        raise HostError(
            f"{folder} cannot be made a folder: {reason}.",
            "Nothing was played and nothing was written.",
            "Name a folder that is there or can be made, as in --out out.",
        ) from error
    for end in ENDS:
        check_writable(folder / f"first-light.{end}")


def _check_sounding(performance: Performance, preset: Preset) -> None:
    """Warn of notes that the preset does not know; where nothing else sounds, raise HostError."""
    from descant.host.edge.inputs import unbound
    from descant.host.errors import HostError

    unheard = unbound(performance, preset)
    if unheard is None:
        return
    if not performance.prompt and performance.hum is None:
        raise HostError(
            unheard.removesuffix(" There will be silence."),
            "Nothing was played.",
            "Choose another --preset, move the notes to those keys, or add --prompt or --hum.",
        )
    say(unheard)


def write(folder: Path, take: Take, sections: list[SectionMeasure], following: Following) -> None:
    """The report on standard output, then the three files, together or none of them."""
    from descant.host.edge.store import sound_to
    from descant.host.edge.whole import whole_files
    from tools.picture import draw
    from tools.report import report

    text = report(take, sections, following)
    print(text, flush=True)
    files = [folder / f"first-light.{end}" for end in ENDS]
    with whole_files(files) as (wav, png, txt):
        sound_to(wav, take.wave, take.sample_rate)
        draw(take, sections, following).savefig(png, format="png")
        txt.write_text(text, encoding="utf-8")
    for name in files:
        print(f"wrote {name.relative_to(Path.cwd()) if name.is_relative_to(Path.cwd()) else name}")


def _material(chosen: argparse.Namespace) -> tuple[Performance, list[HumNote]]:
    """What is to be played, and the notes of its hum. Bad files and words raise HostError."""
    from dataclasses import replace

    from descant.host.edge.inputs import check_hum_bar, check_melody, read_performance

    hum = chosen.hum or (None if chosen.midi else SHIPPED.with_name("first-light-hum.wav"))
    performance = read_performance(
        chosen.prompt,
        chosen.midi or SHIPPED.with_suffix(".mid"),
        None if chosen.no_hum else hum,
        0,
        chosen.seconds,
        first_pad=False,
    )
    song = performance.song
    assert song is not None
    if chosen.prompt is not None and not chosen.midi:  # the words replace the pads, the ride stays
        song = replace(song, events=tuple(event for event in song.events if event.kind == "control"))
    seconds = chosen.seconds if chosen.seconds is not None else float(song.end)
    performance = replace(performance, song=song, seconds=seconds)
    if performance.hum is None or hum is None:
        return performance, []
    bar = chosen.hum_bar if chosen.hum_bar is not None else (0 if chosen.midi else HUM_BAR)
    performance = replace(performance, hum=replace(performance.hum, at_bar=bar))
    late = song.seconds_at(song.beat_of_bar(bar)) >= performance.length
    if late and chosen.hum is None and chosen.hum_bar is None:
        say(f"the shipped hum comes at bar {bar}, after the end: played without it")
        return replace(performance, hum=None), []
    check_hum_bar(performance)
    check_melody(performance, hum)
    return performance, _notes(performance.hum, hum) if performance.hum is not None else []


def _notes(hum: Hum, path: Path) -> list[HumNote]:
    """What is hummed: the notes written down beside the clip, if they are its own, else those one hears."""
    from tools.hum_synth import read_notes
    from tools.listen import heard_notes

    truth = path.with_suffix(".json")
    if truth.exists():
        try:
            return read_notes(truth, hum.wave.shape[1] / hum.sample_rate)
        except (OSError, ValueError) as error:
            say(f"{truth} is not used: {error}")
    return heard_notes(hum.wave.mean(axis=0), hum.sample_rate)


def say(line: str) -> None:
    """One line of progress, on standard error."""
    print(f"first light: {line}", file=sys.stderr, flush=True)


def progress(done: float, total: float) -> None:
    """A bar on a terminal; elsewhere a line every ten seconds."""
    if sys.stderr.isatty():
        filled = int(40 * done / total)
        end = "\n" if done >= total else ""
        print(
            f"\r  [{'█' * filled}{'·' * (40 - filled)}] {done:5.1f} of {total:.0f} s ",
            end=end,
            file=sys.stderr,
        )
        sys.stderr.flush()
    else:
        marks: set[int] = progress.__dict__.setdefault("marks", set())
        if int(done) // 10 not in marks:
            marks.add(int(done) // 10)
            say(f"{done:.0f} of {total:.0f} s played")


if __name__ == "__main__":
    raise SystemExit(main())
