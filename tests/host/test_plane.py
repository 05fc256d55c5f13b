"""Prompts on a plane: the nearest is loudest, on a prompt it is alone, in the middle all are equal."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descant.host.plane import ring, shares

unit = st.floats(0.0, 1.0)


@given(st.lists(st.tuples(unit, unit), min_size=1, max_size=6), st.tuples(unit, unit))
def test_shares_are_one_in_all_and_the_nearest_has_the_most(points, at):
    found = shares(points, at)
    assert len(found) == len(points) and math.isclose(sum(found), 1.0)
    nearest = min(range(len(points)), key=lambda index: math.dist(points[index], at))
    assert found[nearest] == max(found) and min(found) >= 0.0


@pytest.mark.parametrize("count", range(1, 7))
def test_a_ring_is_even(count):
    points = ring(count)
    assert shares(points, (0.5, 0.5)) == pytest.approx([1 / count] * count)
    for index, point in enumerate(points):
        assert shares(points, point) == tuple(float(index == other) for other in range(count))


def test_no_prompts_no_shares():
    assert shares((), (0.5, 0.5)) == ()
