"""The identity of a target: where the events of a destination go."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Target:
    """Digest of the settings that identify a target, and the same in words; neither holds a secret."""

    digest: str
    address: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The target that the groups of a destination belong to, since `at` (ms UTC)."""

    target: Target
    at: int
    confirmed: bool = False
    """Whether an operator confirmed it, so that a process of another target may still be leaving."""


def target_of(kind: str, identity: Mapping[str, str]) -> Target:
    """Return the target of a destination's settings. `identity`: as `DestinationKind.identity` returns it."""
    canonical = orjson.dumps({"kind": kind, **identity}, option=orjson.OPT_SORT_KEYS)
    address = ", ".join(f"{name} {value}" for name, value in identity.items())
    return Target(hashlib.sha256(canonical).hexdigest(), f"{kind}: {address}")
