"""The identity of a target: where the events of a destination go."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Target:
    """Digest of the settings that identify a target, and the same in words; neither holds a secret."""

    digest: str
    address: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The target that a group of a destination belongs to, since `at` (ms UTC)."""

    target: Target
    at: int
    confirmed: bool = False
    """Whether an operator confirmed it, so that a process of another target may still be leaving."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The pause of a destination by an operator, since `at` (ms UTC)."""

    at: int
    who: str


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of one name as the log holds them. `current` is the one that counts, None: there is none."""

    current: Claim | None = None
    latest: Claim | None = None
    """The last record: compaction keeps this one."""
    pause: Pause | None = None
    """None: no operator has paused the destination, or that is not known."""
    pause_unknown: str | None = None
    """Why the pause cannot be read; None: it can, or there is no record of one."""

    @property
    def may_be_lost(self) -> bool:
        """Whether compaction would keep a claim that does not count."""
        return (
            self.current is not None
            and self.latest is not None
            and self.current.target.digest != self.latest.target.digest
        )


def judge_claims(claims: Iterable[Claim], pause: Pause | None = None) -> Claims:
    """Return which of the claims counts. `claims`: in the order of the log.

    The first one counts, until an operator confirms another target. All processes read one log, so all come to one result,
    however late a claim of a process that was frozen arrives.
    """
    current = latest = None
    for latest in claims:
        if current is None or latest.confirmed:
            current = latest
    return Claims(current, latest, pause)


def target_of(kind: str, identity: Mapping[str, str]) -> Target:
    """Return the target of one flow. `identity`: the entry of the flow in the result of `DestinationKind.identity`."""
    canonical = orjson.dumps({"kind": kind, **identity}, option=orjson.OPT_SORT_KEYS)
    address = ", ".join(f"{name} {value}" for name, value in identity.items())
    return Target(hashlib.sha256(canonical).hexdigest(), f"{kind}: {address}")
