"""What a language model is given beside its tokens: text states and frame controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from descant.model.errors import ModelError
from descant.model.spec import ControlSpec


@dataclass(frozen=True)
class LmInputs:
    """Conditions as tensors.

    text: [B, L, text_dim] float32 token states, or None (null).
    text_mask: [B, L] bool, True where a state is real; None: all are. A row that is all False is the null
        text.
    text_bias: [B, L] float32, added to cross-attention's scores of a token in every head: the log of its
        prompt's weight where prompts are blended; None: zeros. For text in cross-attention only.
    controls: name -> [B, F, dim] float32, one vector a frame; position s of the language model gets frame s.
        A control that is missing, or shorter than the sequence, is zeros there (absent). Of a prefix control:
        [B, length, dim], missing: its null.
    """

    text: Tensor | None = None
    text_mask: Tensor | None = None
    controls: Mapping[str, Tensor] = field(default_factory=dict)
    text_bias: Tensor | None = None


def check_control_names(names: object, specs: tuple[ControlSpec, ...], reads_text: bool = False) -> None:
    """Raise ModelError if a name is not among the model's controls; the message lists those that are, and
    text."""
    known = [spec.name for spec in specs]
    unknown = [name for name in names if name not in known]  # type: ignore[attr-defined]
    if unknown:
        accepted = ["text", *known] if reads_text else known
        raise ModelError(
            f"This model has no control named {', '.join(map(repr, unknown))}; "
            f"it accepts: {', '.join(accepted) or 'none'}.",
            "The model and whatever is playing are unchanged.",
            "Use one of the accepted names.",
        )


def null_prefix(spec: ControlSpec, batch: int, like: Tensor) -> Tensor:
    """What stands for an absent prefix control: [B, length, dim], one-hot at spec.null, or zeros."""
    absent = like.new_zeros(batch, spec.length, spec.dim)
    if spec.null is not None:
        absent[..., spec.null] = 1.0
    return absent


def prefix_control(controls: Mapping[str, Tensor], spec: ControlSpec, batch: int, like: Tensor) -> Tensor:
    """A prefix control's vectors [B, length, dim], or its null. Raises ModelError for a wrong shape."""
    given = controls.get(spec.name)
    if given is None:
        return null_prefix(spec, batch, like)
    if tuple(given.shape) != (batch, spec.length, spec.dim):
        raise _misshapen(spec, given, f"[{batch}, {spec.length}, {spec.dim}]", "Give the whole prefix.")
    return given.to(like)


def stack_controls(
    controls: Mapping[str, Tensor], specs: tuple[ControlSpec, ...], batch: int, length: int, like: Tensor
) -> Tensor:
    """All frame controls side by side, in the spec's order, cut or zero-padded to `length` frames.

    Result: [B, length, sum of dims], dtype and device of `like`. Raises ModelError for a wrong width.
    """
    parts = []
    for spec in specs:
        given = controls.get(spec.name)
        if given is None:
            parts.append(like.new_zeros(batch, length, spec.dim))
            continue
        if given.dim() != 3 or given.shape[0] != batch or given.shape[2] != spec.dim:
            do = f"Give one vector of {spec.dim} values a frame for each of the {batch} rows."
            raise _misshapen(spec, given, f"[{batch}, frames, {spec.dim}]", do)
        given = given[:, :length].to(like)
        missing = length - given.shape[1]
        parts.append(torch.nn.functional.pad(given, (0, 0, 0, missing)) if missing else given)
    return torch.cat(parts, dim=-1)


def _misshapen(spec: ControlSpec, given: Tensor, allowed: str, do: str) -> ModelError:
    return ModelError(
        f"Control {spec.name!r} has shape {tuple(given.shape)}; allowed: {allowed}.",
        "The model is unchanged.",
        do,
    )
