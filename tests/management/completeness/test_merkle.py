from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from management.completeness.canonical import EventKey
from management.completeness.merkle import EMPTY_ROOT, inclusion_path, leaves_of, root_of
from management.completeness.verifier import leaf_hash, node_hash, root_of_path

LEAVES = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40)


def rfc_6962_root(leaves):
    """The recursive definition of RFC 6962, 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    return node_hash(rfc_6962_root(leaves[:split]), rfc_6962_root(leaves[split:]))


@given(LEAVES)
def test_the_root_is_that_of_rfc_6962(leaves):
    assert root_of(leaves) == rfc_6962_root(leaves)


def test_a_day_without_events_has_the_root_of_nothing():
    assert root_of([]) == EMPTY_ROOT == sha256(b"").digest()


@given(LEAVES, st.data())
def test_a_path_leads_to_the_root(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = inclusion_path(leaves, index)
    assert root_of_path(leaves[index], index, len(leaves), path) == root_of(leaves)


@given(LEAVES, st.data())
def test_no_other_leaf_place_or_path_leads_to_the_root(leaves, data):
    leaves = [sha256(bytes([at]) + leaf).digest() for at, leaf in enumerate(leaves)]
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, size, root = inclusion_path(leaves, index), len(leaves), root_of(leaves)
    assert root_of_path(sha256(leaves[index]).digest(), index, size, path) != root
    assert root_of_path(leaves[index], index, size, [*path, leaves[0]]) != root
    assert root_of_path(leaves[index], size, size, path) is None
    for other in range(size):
        assert other == index or root_of_path(leaves[index], other, size, path) != root
    if path:
        assert root_of_path(leaves[index], index, size, path[:-1]) != root


def test_a_path_of_no_leaf_is_refused():
    with pytest.raises(IndexError):
        inclusion_path([b""], 1)


def test_leaves_are_sorted_and_apart_from_nodes():
    one, other = EventKey(2, b"\x02" * 32), EventKey(1, b"\x03" * 32)
    assert (
        leaves_of([one, other])
        == leaves_of([other, one])
        == [leaf_hash(1, b"\x03" * 32), leaf_hash(2, b"\x02" * 32)]
    )
    assert leaf_hash(0, bytes(32)) == sha256(bytes(1 + 8 + 32)).digest()
    assert node_hash(bytes(8), bytes(32)) != leaf_hash(0, bytes(32))
