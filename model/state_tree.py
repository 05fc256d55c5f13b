"""A state of dataclasses, lists and tensors as plain data and back: how a codec's state leaves a process.

Knows nothing about codecs. No types are written or read: the shape to fill comes from a fresh state of the
same kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from descant.model.errors import ModelError


def flatten(state: Any, tensors: dict[str, Tensor], prefix: str) -> Any:
    """JSON-ready form of `state`; its tensors go into `tensors` under names that begin with `prefix`."""
    if isinstance(state, Tensor):
        name = f"{prefix}{len(tensors)}"
        tensors[name] = state.detach().clone().contiguous()
        return {"tensor": name}
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        fields = dataclasses.fields(state)
        return {"fields": {f.name: flatten(getattr(state, f.name), tensors, prefix) for f in fields}}
    if isinstance(state, (list, tuple)):
        return {"items": [flatten(item, tensors, prefix) for item in state]}
    if isinstance(state, dict):
        return {"entries": {str(key): flatten(value, tensors, prefix) for key, value in state.items()}}
    if state is None or isinstance(state, (bool, int, float, str)):
        return {"value": state}
    raise TypeError(f"a state may not hold a {type(state).__name__}")


def unflatten(described: Any, tensors: Mapping[str, Tensor], like: Any) -> Any:
    """The state again, of the types of `like` (a fresh one). Raises ModelError if it does not fit."""
    try:
        return _build(described, tensors, like)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelError(
            f"The saved state does not fit this codec: {error!r}.",
            "The stream is unchanged.",
            "Restore it with the model that saved it.",
        ) from error


def _build(described: Any, tensors: Mapping[str, Tensor], like: Any) -> Any:
    if "tensor" in described:
        if like is not None and not isinstance(like, Tensor):
            raise TypeError("a tensor where none is expected")
        return tensors[described["tensor"]].clone()
    if "value" in described:
        if like is not None and not isinstance(like, (bool, int, float, str, Tensor)):
            raise TypeError("a plain value where none is expected")
        return described["value"]
    if "items" in described:
        if not isinstance(like, (list, tuple)):
            raise TypeError("a list where none is expected")
        kinds = list(like) or [None]
        items = [
            _build(item, tensors, kinds[min(i, len(kinds) - 1)]) for i, item in enumerate(described["items"])
        ]
        return tuple(items) if isinstance(like, tuple) else items
    if "entries" in described:
        return {key: _build(described["entries"][str(key)], tensors, value) for key, value in like.items()}
    if not dataclasses.is_dataclass(like) or isinstance(like, type):
        raise TypeError("a record where none is expected")
    names = {f.name for f in dataclasses.fields(like)}
    if names != set(described["fields"]):
        raise KeyError(f"fields {sorted(described['fields'])} instead of {sorted(names)}")
    return type(like)(
        **{name: _build(described["fields"][name], tensors, getattr(like, name)) for name in names}
    )
