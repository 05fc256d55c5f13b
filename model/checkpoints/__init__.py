"""load_model and load_codec: from a name to what it names. The only part of the package that reads files.

A name is "embedded", a folder or a file in it, or the id of a model that was pulled. Nothing here ever asks
the network. What cannot be loaded leaves nothing behind: checks come before tensors, and an error holds none.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from descant.model.checkpoints.audiocraft_files import AUDIOCRAFT, has_pickles
from descant.model.checkpoints.audiocraft_files import convert as convert_folder
from descant.model.checkpoints.audiocraft_folder import load_audiocraft, plan_audiocraft
from descant.model.checkpoints.config_tree import read_json
from descant.model.checkpoints.embedded import EMBEDDED, load_folder
from descant.model.checkpoints.encodec_files import codec_shape
from descant.model.checkpoints.memory import give_back
from descant.model.checkpoints.musicgen_folder import (
    ENCODEC,
    MELODY,
    MUSICGEN,
    load_encodec,
    load_musicgen,
    plan_musicgen,
)
from descant.model.checkpoints.pulled import find, is_id, models_folder, weights_hash
from descant.model.codec.codec import Codec
from descant.model.errors import ModelError
from descant.model.music_model import MusicModel
from descant.model.spec import CodecSpec, ModelSpec

TONEBANK = "descant"  # a folder of the form of the model that ships
FAMILIES = (TONEBANK, MUSICGEN, MELODY, AUDIOCRAFT, ENCODEC)
_TEXT_ONLY = ("t5", "clap")
_LONGEST = 1000  # characters of what an error says
Loaded = TypeVar("Loaded")


def load_model(
    name: str = "embedded", kernel: str | None = None, *, allow_pickle: bool = False
) -> MusicModel:
    """A model by its name, ready to use. Raises ModelError, and then nothing is half loaded.

    name: "embedded", the one that ships; a folder, or a file in it: as transformers saves MusicGen, as
        audiocraft exports it, or as `descant models convert` writes it; or the hub's id of a pulled model.
    kernel: how its streams compute, see lm/linear.py. None: what the environment variable DESCANT_KERNEL
        says, else native-fp16 for the embedded form, whose weights are in half precision anyway, or fp16
        where the native library is not there yet; and fp32 for MusicGen. Streams are the same, sample by
        sample, under the same kernel only.
    allow_pickle: whether weights may come as pickles. Those are read weights-only: nothing in them is run.
    """

    def load() -> MusicModel:
        if name == "embedded":
            return load_folder(EMBEDDED, kernel)
        folder = _folder(name)
        family = _family(folder)
        if family == TONEBANK:
            return load_folder(folder, kernel)
        if family in (MUSICGEN, MELODY):
            return load_musicgen(folder, _called(name, folder), kernel, allow_pickle)
        if family == AUDIOCRAFT:
            return load_audiocraft(folder, _called(name, folder), kernel, allow_pickle)
        raise ModelError(
            f"{name} is {_an(family)}, which makes no music by itself.",
            "Nothing was loaded.",
            "Load a codec with descant.model.checkpoints.load_codec; use a MusicGen to make music.",
        )

    return _whole(load)


def load_codec(
    name: str, *, n_codebooks: int | None = None, bandwidth: float | None = None, allow_pickle: bool = False
) -> Codec:
    """A codec by its name: an EnCodec's folder or pulled id, or that of a model, whose codec it then is.

    n_codebooks, or bandwidth in kbit/s, of an EnCodec: how much of it is used; default all. ModelError.
    """

    def load() -> Codec:
        folder = None if name == "embedded" else _folder(name)
        if folder is not None and _family(folder) == ENCODEC:
            codec, files = load_encodec(folder, allow_pickle, n_codebooks, bandwidth)
            weights_hash(files)  # refuses what is not as it was pulled
            return codec
        if n_codebooks is not None or bandwidth is not None:
            raise ModelError(
                f"{name} is a model: its codec is used as the model uses it.",
                "Nothing was loaded.",
                "Leave out n_codebooks and bandwidth, or name an EnCodec.",
            )
        return load_model(name, allow_pickle=allow_pickle).codec

    return _whole(load)


def read_spec(name: str) -> ModelSpec | CodecSpec | None:
    """The numbers of a model or codec by its name, without its weights; None: a text encoder. ModelError."""
    if name == "embedded":
        return load_model(name).spec
    folder = _folder(name)
    family = _family(folder)
    if family == TONEBANK:
        return load_folder(folder, None).spec
    if family == AUDIOCRAFT:
        return plan_audiocraft(folder, _called(name, folder))
    config = read_json(folder / "config.json", "Fetch the model again.")
    if family == ENCODEC:
        return codec_shape(config).codec
    if family in (MUSICGEN, MELODY):
        return plan_musicgen(config, _called(name, folder)).spec
    return None


def convert(name: str, out: Path) -> list[Path]:
    """Write the pickles of a folder (or pulled id) as safetensors into a new one. Raises ModelError."""
    return _whole(lambda: convert_folder(_folder(name), out))


def _folder(name: str) -> Path:
    """Where a model's files lie. Raises ModelError."""
    try:
        path = Path(name)
        if name and path.is_dir():
            return path
        if path.is_file():
            return path.parent
    except (OSError, ValueError):
        pass  # no name that a file could have
    pulled = find(name)
    if pulled is not None:
        return pulled
    if is_id(name) and "/" in name:
        raise ModelError(
            f"The model {name} is not on this machine ({models_folder()}), and no folder has that name.",
            "Nothing was loaded.",
            f"Pull it: descant models pull {name}",
        )
    raise ModelError(
        f"There is no model named {name!r}; allowed: embedded, a folder, the id of a pulled model.",
        "Nothing was loaded.",
        'Use "embedded", the model that ships with this package, or see `descant models list`.',
    )


def _family(folder: Path) -> str:
    """Which kind of model lies in a folder. Raises ModelError for one that nothing here can read."""
    path = folder / "config.json"
    if not path.is_file():
        if has_pickles(folder):
            return AUDIOCRAFT
        raise ModelError(
            f"{folder} holds no model: it has neither config.json nor state_dict.bin.",
            "Nothing was loaded.",
            "Name a folder as transformers or audiocraft save it, or pull a model.",
        )
    config = read_json(path, "Fetch the model again.")
    kind = config.get("model_type", None)
    if kind is None and isinstance(config.get("lm", None), dict):
        return TONEBANK
    if kind in FAMILIES or kind in _TEXT_ONLY:
        return str(kind)
    raise ModelError(
        f"{path} has model_type {kind!r}; allowed: {', '.join(FAMILIES)}.",
        "Nothing was loaded.",
        "Use a MusicGen or EnCodec.",
    )


def _called(name: str, folder: Path) -> str:
    """What a model is to be called: its id, or its folder's name."""
    return name if find(name) == folder else folder.resolve().name


def _an(family: str) -> str:
    return "a codec (EnCodec)" if family == ENCODEC else f"a text encoder ({family})"


def _line(text: str) -> str:
    """The text on one line: what torch or a file says may have many."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 3] + "..."


def _whole(load: Callable[[], Loaded]) -> Loaded:
    """What `load` gives. If it fails, the error that is raised keeps no frame alive, and so no tensor, and
    the memory is the machine's again."""
    try:
        return load()
    except ModelError as error:
        failure = ModelError(_line(error.what), error.still, error.do)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        failure = ModelError(
            "There is not enough memory for this model.",
            "Nothing was loaded.",
            "Close other programs, or use a smaller model.",
        )
    give_back()
    raise failure
