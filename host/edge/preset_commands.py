"""`descant presets list | find | show | check`: presets as a person reads them.

Knows nothing about models or sessions.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from descant.host.edge.preset_files import choose_preset, load_presets, read_preset
from descant.host.preset import Preset, PromptSlot, SamplingRow, is_found


def list_presets(folders: tuple[str, ...], wanted: str = "") -> None:
    """Thread: main. Print every preset with its number of prompts, or those in which all words are found; a
    file that is none is a warning.
    """
    presets = load_presets(folders).values()
    shown = [one for one in presets if is_found(wanted, one.name, one.description, *_texts(one))]
    if not shown:
        Console().print(
            f"None of {len(presets)} presets has {escape(repr(wanted))} in its name, description or prompts."
        )
        return
    table = Table("preset", "prompts", "tempo", "quantise", "transition", "description", box=None)
    for preset in shown:
        table.add_row(
            preset.name,
            str(len(preset.prompts)),
            f"{preset.tempo:g}",
            preset.quantise,
            preset.transition,
            escape(preset.description),
        )
    Console().print(table)


def _texts(preset: Preset) -> list[str]:
    return [row.text for row in preset.prompts]


def show_preset(name: str, folders: tuple[str, ...]) -> None:
    """Thread: main. Print one preset. Raises PresetError when there is none of that name."""
    _print(choose_preset(folders, name, "Nothing was changed.")[1])


def check_preset(path: Path) -> None:
    """Thread: main. Read one file and print what it binds. Raises PresetError for the first thing wrong in
    it."""
    preset = read_preset(path)
    _print(preset)
    Console().print(f"[green]ok[/green] {escape(str(path))} is a preset named {escape(preset.name)}")


def _print(preset: Preset) -> None:
    console = Console()
    console.print(f"[bold]{escape(preset.name)}[/bold] {escape(preset.description)}")
    console.print(
        f"tempo {preset.tempo:g}, {preset.numerator}/{preset.denominator}, quantise {preset.quantise}, "
        f"{preset.transition}, lead {preset.lead_ms:g} ms, commit {preset.commit_ms:g} ms, "
        f"keys are {preset.keys}, "
        f"a hum starts {'at the next bar' if preset.hum == 'bar' else 'at once'}"
    )
    prompts = Table("pad", "key", "program", "plays", "chords", "quantise", "transition", box=None)
    for slot, row in enumerate(preset.prompts):
        prompts.add_row(
            str(slot),
            "" if row.key is None else str(row.key),
            "" if row.program is None else str(row.program),
            "(stop)" if row.stop else escape(row.text),
            "" if row.stop else _chords(preset, row),
            row.quantise or "",
            row.transition or "",
        )
    console.print(prompts)
    if preset.cc:
        controllers = Table("controller", "moves", "from", "to", box=None)
        for number, controller in preset.cc.items():
            low, high = controller.range
            controllers.add_row(number, controller.parameter, f"{low:g}", f"{high:g}")
        console.print(controllers)
    sampling = preset.sampling
    console.print(
        f"temperature {sampling.temperature:g}, top_k {sampling.top_k}, top_p {sampling.top_p:g}, "
        f"guidance {sampling.guidance:g}{_dial(sampling)}"
    )


def _dial(sampling: SamplingRow) -> str:
    """How guidance is rationed, where it is."""
    every = f", at every {sampling.guidance_every} steps" if sampling.guidance_every > 1 else ""
    return every + (f", falling in {sampling.guidance_fall:g} s" if sampling.guidance_fall else "")


def _chords(preset: Preset, row: PromptSlot) -> str:
    names = preset.chords if row.chords is None else row.chords
    bars = row.bars_per_chord or preset.bars_per_chord
    return " ".join(names) + (f" ({bars} bars each)" if names and bars > 1 else "")
