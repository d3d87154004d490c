"""The result of a change to one organization."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """A change that was made, or was not needed.

    `action`: added, modified, resumed, paused, deleted, resealed or unchanged; without a change, `would be added`, `would
    be modified` or `would be deleted`. `remarks`: sentences for the operator.
    """

    name: str
    action: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeFailure:
    """A change that was not made, and the reason: a sentence for the operator."""

    name: str
    reason: str
