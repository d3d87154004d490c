"""The Merkle tree of a day's events (RFC 6962): its root, and proofs that an event is in it. Pure."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from management.completeness.canonical import EventKey
from management.completeness.verifier import leaf_hash, node_hash

EMPTY_ROOT = sha256(b"").digest()
"""The root of a day without events (RFC 6962, 2.1)."""


def leaves_of(events: Iterable[EventKey]) -> list[bytes]:
    """Return the leaves of a day, sorted by id and then by the hash of the content."""
    return [leaf_hash(each.id, each.content) for each in sorted(events)]


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a tree."""
    level = list(leaves)
    while len(level) > 1:
        level = _level_above(level)
    return level[0] if level else EMPTY_ROOT


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the siblings of a leaf from the bottom up, as `root_of_path` takes them. Raises IndexError for a leaf that is not there."""
    if not 0 <= index < len(leaves):
        raise IndexError("the tree has no such leaf")
    path, level = [], list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level, index = _level_above(level), index >> 1
    return path


def _level_above(level: Sequence[bytes]) -> list[bytes]:
    """Return the level above; a node without a sibling moves up as it is, which gives the tree of RFC 6962."""
    pairs = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return [*pairs, level[-1]] if len(level) % 2 else pairs
