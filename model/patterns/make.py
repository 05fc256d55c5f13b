"""make_pattern: from what a model's spec stores to its pattern."""

from __future__ import annotations

from collections.abc import Sequence

from descant.model.errors import ModelError
from descant.model.patterns.coarse_first import CoarseFirstPattern
from descant.model.patterns.delay import delayed, parallel
from descant.model.patterns.flatten import flattened
from descant.model.patterns.pattern import Pattern

KINDS = ("delay", "flatten", "coarse_first", "parallel")


def make_pattern(
    kind: str,
    n_codebooks: int,
    delays: Sequence[int] | None = None,
    flattening: Sequence[int] | None = None,
) -> Pattern:
    """The pattern of a kind, or a ModelError that says what does not fit.

    kind: one of KINDS. n_codebooks: K, 1 or more. delays: K of them, ascending; for "delay" in columns, by
    default 0..K-1 (stereo: 0, 0, 1, 1, ...); for "flatten" in frames, by default none; for "coarse_first" 0
    and the fine codebooks' own, by default none; for "parallel" none but zeros. flattening: for "flatten"
    only, K inner steps, ascending, by default 0..K-1.
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
    if flattening is not None and kind != "flatten":
        raise _refused(
            f"Inner steps {tuple(flattening)} were given for the pattern {kind!r}; "
            'allowed: for "flatten" only.',
            "Leave them out or take that pattern.",
        )
    if kind == "delay":
        return delayed(n_codebooks, delays)
    if kind == "flatten":
        return flattened(n_codebooks, flattening, delays)
    if kind == "coarse_first":
        return CoarseFirstPattern((0,) * n_codebooks if delays is None else tuple(delays))
    if any(delays or ()):
        raise _refused(
            f"Delays {tuple(delays or ())} were given for the parallel pattern; allowed: zeros.",
            'Leave them out or take the pattern "delay".',
        )
    return parallel(n_codebooks)


def _refused(what: str, do: str) -> ModelError:
    return ModelError(what, "No pattern was made.", do)
