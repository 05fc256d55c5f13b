"""audiocraft's checkpoints: state_dict.bin and compression_state_dict.bin, or what `convert` makes of them.

The pickles hold best_state (tensors), xp.cfg (YAML text), version, exported; the second may be a stub that
only names a published codec: {pretrained, exported, version}. Converted, the tensors lie in lm.safetensors
and codec.safetensors, as stored, and the rest in config.json with model_type "audiocraft". Reference:
audiocraft utils/export.py, models/loaders.py.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from descant.model.checkpoints.audiocraft_config import AudiocraftConfig
from descant.model.checkpoints.config_tree import read_json
from descant.model.checkpoints.pulled import MANIFEST, Manifest, StoredFile
from descant.model.checkpoints.stored import PICKLE, folder_weights, only_tensors
from descant.model.checkpoints.tensors import StoredTensors, file_hash
from descant.model.checkpoints.weights_only import read_pickle
from descant.model.errors import ModelError

AUDIOCRAFT = "audiocraft"  # model_type of a converted folder
LM_PICKLE, CODEC_PICKLE = "state_dict.bin", "compression_state_dict.bin"
LM_FILE, CODEC_FILE = "lm.safetensors", "codec.safetensors"
_CFG, _STUB = "xp.cfg", "pretrained"
_PUBLISHED = "//pretrained/"
_AGAIN = "Convert the checkpoint again."


@dataclass(frozen=True)
class AudiocraftFiles:
    """A checkpoint that has been opened, not built; close it.

    codec, codec_config: the codec's own, or None: then `pretrained` is the id of a published one. files:
    those that were read.
    """

    lm: StoredTensors
    lm_config: AudiocraftConfig
    codec: StoredTensors | None
    codec_config: AudiocraftConfig | None
    pretrained: str | None
    files: tuple[Path, ...]

    def close(self) -> None:
        """Let go of files and tensors."""
        self.lm.close()
        if self.codec is not None:
            self.codec.close()


def has_pickles(folder: Path) -> bool:
    """Whether audiocraft's language model lies in a folder, as a pickle."""
    return (folder / LM_PICKLE).is_file()


def open_audiocraft(folder: Path, allow_pickle: bool) -> AudiocraftFiles:
    """The checkpoint in a folder, converted or (only when allowed) as pickles. Raises ModelError."""
    if (folder / "config.json").is_file():
        config = read_json(folder / "config.json", _AGAIN)
        config.only("model_type", AUDIOCRAFT)
        headers = {part: config.get(part, {}) for part in ("lm", "codec")}
        if not all(isinstance(header, dict) for header in headers.values()):
            raise config.bad("describes no lm or no codec; allowed: mappings")
        paths = {part: folder / name for part, name in (("lm", LM_FILE), ("codec", CODEC_FILE))}
        if _STUB in headers["codec"] or _CFG not in headers["codec"]:
            del paths["codec"]
        lm = StoredTensors([paths["lm"]], str(paths["lm"]))
        codec = StoredTensors([paths["codec"]], str(paths["codec"])) if "codec" in paths else None
        return _opened(folder, headers, lm, codec, (folder / "config.json", *paths.values()))
    packages = _read_pickles(folder, allow_pickle)
    states = {part: _state(packages[part], folder / name) for part, name in _PARTS if part in packages}
    files = tuple(folder / name for part, name in _PARTS if part in packages)
    lm = StoredTensors(states["lm"], str(folder / LM_PICKLE))
    codec = StoredTensors(states["codec"], str(folder / CODEC_PICKLE)) if states.get("codec") else None
    return _opened(folder, {"codec": {}, **packages}, lm, codec, files)


def convert(folder: Path, out: Path) -> list[Path]:
    """Write a checkpoint's pickles as safetensors into a new folder that load_model reads; its files.

    folder: audiocraft's, or transformers' with pytorch_model.bin. Pickles are read weights-only, values stay
    as they are stored. Raises ModelError; then nothing was written.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ModelError(
            f"{out} is there already.", "Nothing was written.", "Name a folder that does not exist yet."
        )
    if has_pickles(folder):
        packages = _read_pickles(folder, True)
        tensors = {
            name: _state(packages[part], folder / old) for part, old, name in _CONVERTED if part in packages
        }
        config: dict[str, Any] = {"model_type": AUDIOCRAFT, "version": str(packages["lm"].get("version", ""))}
        for part, package in packages.items():
            config[part] = {key: str(package[key]) for key in (_CFG, _STUB) if key in package}
            AudiocraftConfig(config[part].get(_CFG, "{}"), str(folder))  # refuses one that load_model would
        texts = {"config.json": json.dumps(config, indent=2) + "\n"}
        copies: list[Path] = []
    elif (folder / PICKLE).is_file() or (folder / f"{PICKLE}.index.json").is_file():
        read_json(folder / "config.json", "Give the whole folder of the model.")
        stored, _ = folder_weights(folder, True)
        tensors, texts = {"model.safetensors": stored.as_stored()}, {}
        copies = [path for path in folder.iterdir() if path.suffix in (".json", ".model", ".txt")]
        copies = [path for path in copies if not path.name.startswith(PICKLE) and path.name != MANIFEST]
    else:
        raise ModelError(
            f"{folder} holds neither {LM_PICKLE} (audiocraft) nor {PICKLE} (transformers).",
            "Nothing was written.",
            "Name a folder that holds one of them; safetensors need no converting.",
        )
    return _write(out, {name: state for name, state in tensors.items() if state}, texts, copies, folder)


_PARTS = (("lm", LM_PICKLE), ("codec", CODEC_PICKLE))
_CONVERTED = (("lm", LM_PICKLE, LM_FILE), ("codec", CODEC_PICKLE, CODEC_FILE))


def _opened(
    folder: Path,
    headers: Mapping[str, Any],
    lm: StoredTensors,
    codec: StoredTensors | None,
    files: tuple[Path, ...],
) -> AudiocraftFiles:
    lm_config = AudiocraftConfig(headers["lm"].get(_CFG), str(folder))
    if codec is not None:
        return AudiocraftFiles(
            lm, lm_config, codec, AudiocraftConfig(headers["codec"].get(_CFG), lm.where), None, files
        )
    named = headers["codec"].get(_STUB) or lm_config.get("compression_model_checkpoint", "")
    pretrained = str(named).removeprefix(_PUBLISHED)
    if not pretrained:
        raise lm_config.bad(f"names no codec, and there is no {CODEC_PICKLE}")
    return AudiocraftFiles(lm, lm_config, None, None, pretrained, files)


def _read_pickles(folder: Path, allow_pickle: bool) -> dict[str, dict[str, Any]]:
    return {
        part: read_pickle(folder / name, allow_pickle)
        for part, name in _PARTS
        if part == "lm" or (folder / name).is_file()
    }


def _state(package: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint; none if it is a stub."""
    if _STUB in package:
        return {}
    state = package.get("best_state")
    if isinstance(state, Mapping) and set(state) == {"model"} and isinstance(state["model"], Mapping):
        state = state["model"]  # not exported: as training left it
    if not isinstance(state, Mapping) or not state:
        raise ModelError(
            f"{path} holds no best_state; it has: {', '.join(sorted(package)[:8]) or 'nothing'}.",
            "Nothing was loaded.",
            "Give a checkpoint exported by audiocraft (audiocraft.utils.export).",
        )
    return only_tensors(state, path)


def _write(
    out: Path,
    tensors: Mapping[str, Mapping[str, Tensor]],
    texts: Mapping[str, str],
    copies: list[Path],
    source: Path,
) -> list[Path]:
    """A new folder, whole or not at all, with a manifest of what is in it."""
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(parents=True)
        for name, state in tensors.items():
            save_file(
                {key: value.clone().contiguous() for key, value in state.items()},
                part / name,
                {"format": "pt"},
            )
        for name, text in texts.items():
            (part / name).write_text(text, encoding="utf-8")
        for path in copies:
            shutil.copyfile(path, part / path.name)
        files = tuple(
            StoredFile(path.name, path.stat().st_size, file_hash([path])) for path in sorted(part.iterdir())
        )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(out.name, f"converted from {source.name}", "as the original's", now, files)
        (part / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
        os.replace(part, out)
    except OSError as error:
        raise ModelError(
            f"{out} cannot be written: {error}.", "Nothing was written.", "Name a folder on a disk with room."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [out / file.name for file in files]
