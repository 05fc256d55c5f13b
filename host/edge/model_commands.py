"""`descant models list | pull | show | rm | convert`: the model store as a person uses it.

Knows nothing about how files are fetched or checked.
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from descant.host.edge.known_models import KNOWN, known_model
from descant.host.edge.model_store import Hub, Offer, not_here, partial, pull, pulled, remove
from descant.host.errors import HostError
from descant.model import CodecSpec, ModelError, ModelSpec
from descant.model.checkpoints.pulled import Manifest, find, models_folder, read_manifest


def list_models() -> None:
    """Thread: main. Print the known models and those on this machine."""
    here = {manifest.id: manifest for manifest in pulled()}
    table = Table(box=None)
    for title in ("model", "here", "size", "licence"):
        table.add_column(title, no_wrap=True)
    table.add_column("about")
    table.add_row("embedded", "yes", "", "Apache-2.0", "the small one that ships")
    for name in [model.id for model in KNOWN] + [name for name in here if known_model(name).about == ""]:
        manifest, known = here.get(name), known_model(name)
        begun = 0 if manifest else partial(name)
        state = "yes" if manifest else "in part" if begun else ""
        size = _size(manifest.size if manifest else begun) if manifest or begun else ""
        table.add_row(
            name, state, size, escape(manifest.licence if manifest else known.licence), escape(known.about)
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(f"They lie in {escape(str(models_folder()))}.", soft_wrap=True)


def pull_model(name: str, revision: str | None, yes: bool, pickles: bool) -> None:
    """Thread: main. Fetch a model, its licence agreed to. Raises HostError; then nothing changed."""
    console = Console(stderr=True, highlight=False)
    folder = find(name)
    manifest = read_manifest(folder) if folder is not None else None
    if manifest is not None and revision is None:
        console.print(
            f"{name} is here already, revision {manifest.revision[:12]}. "
            f"For the hub's latest one: descant models pull {name} --revision main",
            soft_wrap=True,
        )
        return
    hub = Hub()
    offer = hub.offer(name, revision, pickles)
    if manifest is not None and manifest.revision == offer.revision:
        said = f"{name} is here already, and its revision {offer.revision[:12]} is that one."
        console.print(said, soft_wrap=True)
        return
    console.print(f"[bold]{escape(name)}[/bold], revision {offer.revision[:12]}, {_size(offer.size)}")
    for file in offer.files:
        console.print(f"  {escape(file.name)} {_size(file.size)}")
    console.print(f"licence: {escape(offer.licence)}", soft_wrap=True)
    _agree(f"Pull {name} under this licence?", yes, console)
    manifest = _with_bar(hub, offer, console)
    console.print(
        f"{name} is ready: {_size(manifest.size)}, sha256 of every file checked. {_use_of(name)}",
        soft_wrap=True,
    )


def _use_of(name: str) -> str:
    """What can be done now with a model that was pulled; of pickles, how they become one."""
    from descant.model.checkpoints import read_spec

    try:
        spec = read_spec(name)
    except ModelError as error:
        return error.do
    if isinstance(spec, ModelSpec):
        return f"Try: descant render --model {name} --prompt TEXT --out FILE"
    return "Models whose files name it use it."


def show_model(name: str) -> None:
    """Thread: main. Print what a model is: numbers, controls, lag, size, licence. Raises ModelError."""
    from descant.model.checkpoints import read_spec

    console = Console(highlight=False)
    folder = find(name)
    manifest = read_manifest(folder) if folder else None
    for line in _description(name, read_spec(name)):
        console.print(escape(line), soft_wrap=True)
    if manifest is not None:
        _print_manifest(manifest, console)


def remove_model(name: str, yes: bool) -> None:
    """Thread: main. Remove a model from this machine, when that is meant. Raises HostError."""
    console = Console(stderr=True, highlight=False)
    folder = find(name)
    if folder is None and not partial(name):
        raise not_here(name)
    _agree(f"Remove {name} from this machine?", yes, console)
    console.print(f"{name} is removed; {_size(remove(name))} are free again.")


def convert_model(folder: str, out: Path) -> None:
    """Thread: main. audiocraft's pickles as safetensors. Raises ModelError; then nothing was written."""
    from descant.model.checkpoints import convert

    written = convert(folder, out)
    size = sum(path.stat().st_size for path in written)
    Console(stderr=True, highlight=False).print(
        f"{escape(str(out))}: {', '.join(path.name for path in written)}, {_size(size)}. "
        f"Use it: descant render --model {escape(str(out))} --prompt TEXT --out FILE",
        soft_wrap=True,
    )


def _description(name: str, spec: ModelSpec | CodecSpec | None) -> list[str]:
    """What a person wants to know of a model's numbers, a line each."""
    if spec is None:
        return [f"{name}: a text encoder, used by models whose config names it"]
    codec = spec.codec if isinstance(spec, ModelSpec) else spec
    sides = "stereo" if codec.channels == 2 else "mono"
    audio = (
        f"{codec.sample_rate} Hz {sides}, {codec.n_codebooks} codebooks of {codec.cardinality}, "
        f"{codec.frame_rate:g} frames a second"
    )
    if not isinstance(spec, ModelSpec):
        late = 1000 * codec.lookahead / codec.sample_rate
        return [f"{name}: a codec", audio, f"lag {late:.1f} ms ({codec.lookahead} samples)"]
    lm = spec.lm
    controls = [
        f"{control.name} ({control.dim} values, "
        + (f"{control.length} before the music)" if control.form == "prefix" else "a frame)")
        for control in lm.controls
    ]
    if lm.text_dim:
        controls.insert(0, "text")
    late = 1000 * spec.lag / spec.sample_rate
    seconds = f", windows of {lm.window / spec.frame_rate:g} s" if lm.window else ""
    return [
        f"{spec.name}: makes music",
        audio,
        f"language model {lm.dim} wide, {lm.n_layers} layers, {lm.n_heads} heads, {lm.pattern} pattern"
        + seconds,
        f"controls: {', '.join(controls) or 'none'}",
        f"lag {late:.1f} ms ({spec.lag} samples)",
    ]


def _print_manifest(manifest: Manifest, console: Console) -> None:
    console.print(f"licence: {escape(manifest.licence)}")
    console.print(
        f"revision {manifest.revision}, pulled {manifest.pulled}, {_size(manifest.size)}", soft_wrap=True
    )
    for file in manifest.files:
        console.print(f"  {escape(file.name)} {_size(file.size)} sha256 {file.sha256[:12]}")


def _with_bar(hub: Hub, offer: Offer, console: Console) -> Manifest:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    here = dict.fromkeys((file.name for file in offer.files), 0)
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=offer.size)

            def progress(name: str, so_far: int, size: int) -> None:
                here[name] = so_far
                bar.update(task, description=name, completed=sum(here.values()))

            return pull(offer, hub, progress)
    except BaseException:
        if partial(offer.id):
            console.print("What has come so far is kept; the same command goes on from there.")
        raise


def _agree(question: str, yes: bool, console: Console) -> None:
    """Ask, unless the answer was given. Raises HostError for a no, and where there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise HostError(question, "Nothing was changed.", "Say yes on the command line: --yes")
    if not typer.confirm(question, err=True):
        raise HostError("The answer was no.", "Nothing was changed.", "Run the command again when you like.")


def _size(n_bytes: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes} bytes"
