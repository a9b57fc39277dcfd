"""The front against its definition."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from holdfast.explore.pareto import front

COSTS = st.integers(1, 4).flatmap(
    lambda size: st.lists(st.tuples(*[st.integers(0, 3)] * size), max_size=12)
)


@given(COSTS)
def test_front_is_what_no_point_beats(costs):
    found = front(costs)
    beaten = set()
    for (i, a), (j, b) in product(enumerate(costs), repeat=2):
        if i != j and a != b and max(x - y for x, y in zip(a, b, strict=True)) <= 0:
            beaten.add(j)
    assert found == [index not in beaten for index in range(len(costs))]


def test_equal_points_share_the_front():
    assert front([(1, 2), (1, 2), (2, 1), (2, 2)]) == [True, True, True, False]
