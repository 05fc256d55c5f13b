"""Prompts on a plane: how much of each is heard at a point, by how near it is.

Knows nothing about words, wires or windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

NEAR = 0.02  # at this distance from a prompt it is heard alone
STEEP = 2.5  # how fast a prompt fades with its distance
FAINT = 0.01  # a share that nobody would hear is none

Point = tuple[float, float]


def shares(points: Sequence[Point], at: Point) -> tuple[float, ...]:
    """A share 0..1 for each point, 1 in all; none for no points. points, at: x and y, 0..1 each."""
    if not points:
        return ()
    distances = [math.dist(point, at) for point in points]
    nearest = min(distances)
    if nearest <= NEAR:
        alone = distances.index(nearest)
        return tuple(float(index == alone) for index in range(len(points)))
    weights = [(nearest / distance) ** STEEP for distance in distances]
    total = sum(weights)
    heard = [weight / total if weight / total >= FAINT else 0.0 for weight in weights]
    total = sum(heard)
    return tuple(share / total for share in heard)


def ring(count: int) -> tuple[Point, ...]:
    """Places for 1..n prompts to begin with: evenly on a circle, the first at the left."""
    return tuple(
        (
            0.5 - 0.38 * math.cos(2 * math.pi * index / count),
            0.5 - 0.38 * math.sin(2 * math.pi * index / count),
        )
        for index in range(count)
    )
