"""Conditions: what steers a model, as tensors for a batch, and their null.

Knows nothing about streams; for those see the generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from descant.model.lm.inputs import LmInputs, null_prefix
from descant.model.spec import ControlSpec


@dataclass(frozen=True, eq=False)
class Conditions(LmInputs):
    """LmInputs made from words and clips; `MusicModel.conditions` makes them, `MusicModel.lm` takes them.

    texts: the prompts as given, one a row (None: null text).
    """

    texts: tuple[str | None, ...] = (None,)

    @property
    def batch(self) -> int:
        """Rows."""
        return len(self.texts)

    def null(self, specs: Sequence[ControlSpec]) -> Conditions:
        """The unconditional branch of guidance: no text, guided controls absent, the others kept."""
        kept = {spec.name for spec in specs if not spec.guided}
        controls = {name: value for name, value in self.controls.items() if name in kept}
        return Conditions(None, None, controls, texts=(None,) * self.batch)

    def guided(self, specs: Sequence[ControlSpec]) -> Conditions:
        """Both branches in one batch: rows 0..B-1 conditioned, rows B..2B-1 null."""
        text = mask = None
        if self.text is not None:
            real = self.text_mask
            if real is None:
                real = torch.ones(self.text.shape[:2], dtype=torch.bool)
            text = torch.cat([self.text, torch.zeros_like(self.text)])
            mask = torch.cat([real, torch.zeros_like(real)])
        null = self.null(specs).controls
        absent = {
            spec.name: null_prefix(spec, self.batch, self.controls[spec.name])
            for spec in specs
            if spec.form == "prefix" and spec.name in self.controls
        }
        controls = {
            name: torch.cat([value, null.get(name, absent.get(name, torch.zeros_like(value)))])
            for name, value in self.controls.items()
        }
        bias = self.text_bias
        bias = None if bias is None else torch.cat([bias, torch.zeros_like(bias)])
        return Conditions(text, mask, controls, bias, self.texts + (None,) * self.batch)
