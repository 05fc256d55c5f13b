"""make_pattern: from what a model's spec stores to its pattern."""

from __future__ import annotations

from collections.abc import Sequence

from descant.model.errors import ModelError
from descant.model.patterns.coarse_first import CoarseFirstPattern, GroupedPattern
from descant.model.patterns.delay import DelayPattern, delayed, parallel
from descant.model.patterns.flatten import flattened
from descant.model.patterns.pattern import Pattern
from descant.model.spec import LmSpec

KINDS = ("delay", "flatten", "coarse_first", "parallel", "grouped")


def pattern_of(lm: LmSpec) -> Pattern:
    """The pattern of a language model, or a ModelError that says what does not fit."""
    return make_pattern(
        lm.pattern,
        lm.n_codebooks,
        lm.delays,
        lm.flattening,
        flatten_first=lm.flatten_first,
        empty_initial=lm.empty_initial,
        group_by=lm.group_by,
    )


def make_pattern(
    kind: str,
    n_codebooks: int,
    delays: Sequence[int] | None = None,
    flattening: Sequence[int] | None = None,
    *,
    flatten_first: int = 0,
    empty_initial: int = 0,
    group_by: int | None = None,
) -> Pattern:
    """The pattern of a kind, or a ModelError that says what does not fit.

    kind: one of KINDS. n_codebooks: K, 1 or more. delays: K of them, ascending; for "delay" in columns, by
    default 0..K-1 (stereo: 0, 0, 1, 1, ...); for "flatten" in frames, by default none; for "coarse_first" 0
    and the fine codebooks' own, by default none; for "parallel" and "grouped" none but zeros. flattening: for
    "flatten" only, K inner steps, ascending, by default 0..K-1. flatten_first: for "delay" only, frames that
    come first, a code a column. empty_initial: for "delay" and "parallel", columns without codes before all.
    group_by: for "grouped" only, codebooks of a group, by default 2.
    """
    if kind not in KINDS:
        raise _refused(f"The pattern is {kind!r}; allowed: {', '.join(KINDS)}.", "Choose one of these.")
    if not isinstance(n_codebooks, int) or isinstance(n_codebooks, bool) or n_codebooks < 1:
        raise _refused(
            f"{n_codebooks!r} codebooks were given; allowed: 1 and more.", "Give the codec's number."
        )
    if delays is not None and len(delays) != n_codebooks:
        raise _refused(
            f"{len(delays)} delays were given for {n_codebooks} codebooks.", "Give one delay per codebook."
        )
    for what, value, kinds in (
        ("Inner steps", flattening, ("flatten",)),
        ("Frames to flatten first,", flatten_first or None, ("delay",)),
        ("Empty first columns,", empty_initial or None, ("delay", "parallel")),
        ("Groups of", group_by, ("grouped",)),
    ):
        if value is not None and kind not in kinds:
            raise _refused(
                f"{what} {value!r} were given for the pattern {kind!r}; allowed: for {_either(kinds)} only.",
                "Leave them out or take that pattern.",
            )
    if kind == "delay":
        own = delayed(n_codebooks, delays).delays
        return DelayPattern(own, flatten_first=flatten_first, empty_initial=empty_initial)
    if kind == "flatten":
        return flattened(n_codebooks, flattening, delays)
    if kind == "coarse_first":
        return CoarseFirstPattern((0,) * n_codebooks if delays is None else tuple(delays))
    if any(delays or ()):
        raise _refused(
            f"Delays {tuple(delays or ())} were given for the {kind} pattern; allowed: zeros.",
            'Leave them out or take the pattern "delay".',
        )
    if kind == "grouped":
        return GroupedPattern(n_codebooks, 2 if group_by is None else group_by)
    return DelayPattern(parallel(n_codebooks).delays, empty_initial=empty_initial)


def _either(kinds: Sequence[str]) -> str:
    return " and ".join(f'"{kind}"' for kind in kinds)


def _refused(what: str, do: str) -> ModelError:
    return ModelError(what, "No pattern was made.", do)
