from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from producer.state.intervals import TimeRange, add_range, missing_ranges, remove_range, split_in_half

RANGE = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: TimeRange(*pair))


def inside(ranges):
    return {ms for one in ranges for ms in range(one.start, one.end)}


def collected(ranges):
    collection = ()
    for one in ranges:
        collection = add_range(collection, one)
    return collection


@given(st.lists(RANGE, max_size=8))
def test_adding_covers_exactly_the_added_ranges(ranges):
    """The ranges ascend, do not touch, and hold every added instant."""
    collection = collected(ranges)
    assert inside(collection) == inside(ranges)
    assert all(one.width for one in collection)
    assert all(older.end < newer.start for older, newer in pairwise(collection))


@given(st.lists(RANGE, max_size=8), RANGE)
def test_missing_is_the_complement(ranges, within):
    """Missing and present ranges are disjoint and together cover the whole."""
    collection = collected(ranges)
    gaps = missing_ranges(collection, within)
    assert inside(gaps) == inside([within]) - inside(collection)
    assert all(older.end < newer.start for older, newer in pairwise(gaps))
    assert collected([*collection, *gaps, within]) == collected([*collection, within])


@given(RANGE.filter(lambda one: one.width > 1))
def test_halves_cut_without_an_unread_range(whole):
    """The halves are not empty, are disjoint, and together cover the whole."""
    older, newer = split_in_half(whole)
    assert (older.start, older.end, newer.end) == (whole.start, newer.start, whole.end)
    assert older.width
    assert newer.width


@given(st.lists(RANGE, max_size=8), RANGE)
def test_removing_leaves_the_instants_outside(ranges, gone):
    """Where `gone` is empty, or ends before its start, the collection is the same: no range is cut in two."""
    collection = collected(ranges)
    rest = remove_range(collection, gone)
    assert inside(rest) == inside(collection) - inside([gone])
    assert rest == collected(rest)
    assert gone.width or rest == collection
