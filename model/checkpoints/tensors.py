"""Reading tensors from files and checking names and shapes before anything is built from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from descant.model.errors import ModelError

_SHOWN = 5  # names listed of each kind of problem
_CHUNK = 2**20  # bytes hashed at a time
_MAPPED = 2**25  # bytes read of mapped files before they are let go of
Shapes = Mapping[str, tuple[int, ...]]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises ModelError if it cannot be read."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


class StoredTensors(Mapping[str, Tensor]):
    """Tensors of safetensors files, or of a dict, each read when it is asked for; shapes are known before.

    What is given is the asker's own: floating point as float32, no view of a file. Files are let go of and
    opened again now and then: what has been read of a mapped file counts as this process's memory. Close it,
    or use it in a `with`.
    """

    def __init__(self, source: Sequence[Path] | Mapping[str, Tensor], where: str) -> None:
        """source: safetensors files (a name must be in one of them only), or tensors. where: for messages.
        Raises ModelError if a file is missing, cut off or not of that kind."""
        self.where = where
        self._files: dict[str, Any] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._tensors: Mapping[str, Tensor] = {}
        self._stack = ExitStack()
        self._paths: list[Path] = []
        self._read = 0  # bytes since the files were opened
        if isinstance(source, Mapping):
            self._tensors = source
            self._shapes = {name: tuple(value.shape) for name, value in source.items()}
            return
        try:
            for path in source:
                self._open(path)
            self._paths = list(source)
        except BaseException:
            self.close()
            raise

    def _open(self, path: Path) -> None:
        try:
            file = self._stack.enter_context(safe_open(str(path), framework="pt"))
            for name in file.keys():  # noqa: SIM118 (it is no dict)
                self._files[name] = file
                self._shapes[name] = tuple(file.get_slice(name).get_shape())
        except (OSError, SafetensorError) as error:
            raise _unreadable(path, error) from error

    @property
    def shapes(self) -> Shapes:
        """Name -> shape of all of them."""
        return self._shapes

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._shapes:
            raise KeyError(name)
        mine = _own(self._stored(name), name, self.where)
        self._read += mine.nbytes
        if self._read > _MAPPED and self._paths:
            self._stack.close()
            self._read = 0
            for path in self._paths:
                self._open(path)
        return mine

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def close(self) -> None:
        """Let go of files and tensors."""
        self._stack.close()
        self._files, self._shapes, self._tensors = {}, {}, {}

    def __enter__(self) -> StoredTensors:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def as_stored(self) -> dict[str, Tensor]:
        """All of them in the precision they are stored in; not to be changed."""
        return {name: self._stored(name) for name in self}

    def _stored(self, name: str) -> Tensor:
        try:
            found: Tensor = (
                self._tensors[name] if name in self._tensors else self._files[name].get_tensor(name)
            )
        except (OSError, SafetensorError) as error:
            raise _unreadable(self.where, error) from error
        return found


def _own(value: Tensor, name: str, where: str) -> Tensor:
    """A float32 copy in our own memory. Raises ModelError for what is no number, or a whole one."""
    if not value.is_floating_point():
        raise ModelError(
            f"{where}: {name} is stored as {value.dtype}; allowed: float32, float16, bfloat16.",
            "Nothing was loaded.",
            "Use weights that are not quantized.",
        )
    copy = value.to(torch.float32) if value.dtype != torch.float32 else value.clone()
    if not bool(torch.isfinite(copy.sum())):
        raise ModelError(
            f"{where}: {name} holds values that are not numbers (NaN or infinite).",
            "Nothing was loaded.",
            "Fetch the weights again: the file is damaged.",
        )
    return copy


def check_shapes(found: Shapes, wanted: Shapes, source: str, ignore: Sequence[str] = ()) -> None:
    """Raise a ModelError that lists what is missing, unexpected, misshapen; nothing if nothing is.

    ignore: names (or their beginnings) that may be there and are left out.
    """
    missing = sorted(set(wanted) - set(found))
    unexpected = sorted(name for name in set(found) - set(wanted) if not name.startswith(tuple(ignore)))
    misshapen = [
        f"{name} {tuple(found[name])} instead of {tuple(shape)}"
        for name, shape in sorted(wanted.items())
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    problems = [
        f"{kind}: {', '.join(names[:_SHOWN])}"
        + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if names
    ]
    if problems:
        raise ModelError(
            f"{source} does not fit its config: {'; '.join(problems)}.",
            "Nothing was loaded.",
            "Use weights and config that belong together.",
        )


def checked(
    tensors: Mapping[str, Tensor], shapes: Shapes, source: str, ignore: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Exactly the tensors named in `shapes`, or a ModelError as `check_shapes` raises it."""
    check_shapes({name: tuple(value.shape) for name, value in tensors.items()}, shapes, source, ignore)
    return {name: tensors[name] for name in shapes}


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of what a module's state dict holds."""
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Put tensors into a module's parameters and buffers, all or none. Raises ModelError as `checked`."""
    module.load_state_dict(checked(tensors, shapes_of(module), source))


def file_hash(paths: Sequence[Path]) -> str:
    """sha256 (hex) of the files, one after the other. Raises ModelError if one cannot be read."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise _unreadable(path, error) from error
    return digest.hexdigest()


def tensors_hash(modules: Sequence[nn.Module]) -> str:
    """sha256 (hex) of all parameters and buffers, in the order of their names."""
    digest = hashlib.sha256()
    for module in modules:
        for name, value in sorted(module.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _unreadable(path: Path | str, error: Exception) -> ModelError:
    return ModelError(
        f"The weights file {path} cannot be read: {error}.",
        "Nothing was loaded.",
        "Fetch the file again, or give another one.",
    )
