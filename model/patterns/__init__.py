"""Patterns: which codebook of which frame stands in which column, for training and for streams."""

from descant.model.patterns.coarse_first import CoarseFirstPattern, GroupedPattern
from descant.model.patterns.delay import DelayPattern, delayed, parallel
from descant.model.patterns.flatten import FlattenPattern, flattened
from descant.model.patterns.make import KINDS, make_pattern, pattern_of
from descant.model.patterns.pattern import Pattern

__all__ = [
    "KINDS",
    "CoarseFirstPattern",
    "DelayPattern",
    "FlattenPattern",
    "GroupedPattern",
    "Pattern",
    "delayed",
    "flattened",
    "make_pattern",
    "parallel",
    "pattern_of",
]
