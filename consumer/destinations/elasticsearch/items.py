"""The answers of the bulk API to single documents, and the outcome of a body that they make together."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from consumer.destinations.outcome import Outcome, Partial, Paused, Retry, Sent
from relay.errors import one_line

MAX_QUOTED_CHARS = 300

Verdict = Literal["accepted", "rejected", "busy", "blocked"]
"""Of one document: busy passes by itself, blocked needs an operator, and no document is to blame for either."""

_CREATED = frozenset({200, 201})
_BLOCKED_STATUSES = frozenset({401, 403, 404, 405})
_BLOCKED_TYPES = frozenset(
    {
        *(
            "cluster_block_exception",
            "index_closed_exception",
            "index_not_found_exception",
            "security_exception",
        ),
        *("invalid_index_name_exception", "resource_already_exists_exception", "validation_exception"),
        *("invalid_alias_name_exception", "index_template_missing_exception"),
    }
)
"""Types of errors that come with 400 too, and are never about a document: closed index, full cluster, wrong name."""
_BLOCKED_REASON = re.compile(
    r"pipeline with id|no write index|write index is defined|op_type of create|data[ _]streams? (?:only|\[)|is not a data stream"
    r"|maximum (?:normal |local_only )?shards|there are no ingest nodes|conflicts with",
    re.IGNORECASE,
)
"""Reasons of illegal_argument_exception and illegal_state_exception that are about the target."""
_BLOCKED_ILLEGAL = frozenset({"illegal_argument_exception", "illegal_state_exception"})
_DIVERTED = "used"
"""`failure_store` of a document that was written to the failure store of the data stream, with the status 201."""


@dataclass(frozen=True, slots=True)
class BulkError:
    """The error of a document or of a request, as Elasticsearch and OpenSearch write it."""

    type: str = ""
    reason: str = ""

    @classmethod
    def of(cls, error: Any, redact: Callable[[str], str] = str) -> "BulkError":
        """Read an error; one of another form is its text. `redact` removes secrets before `text` may divide them."""
        match error:
            case {"type": str(kind), **rest}:
                return cls(redact(kind), redact(": ".join(_reasons(error if rest else {}))))
            case None:
                return cls()
            case _:
                return cls("", redact(str(error)))

    @property
    def text(self) -> str:
        printable = "".join(each if each.isprintable() else " " for each in f"{self.type}: {self.reason}")
        return one_line(printable, MAX_QUOTED_CHARS).strip(": ")

    @property
    def is_about_target(self) -> bool:
        return self.type in _BLOCKED_TYPES or (
            self.type in _BLOCKED_ILLEGAL and _BLOCKED_REASON.search(self.reason) is not None
        )


@dataclass(slots=True)
class _Judged:
    rejected: dict[int, str] = field(default_factory=dict)
    busy: list[int] = field(default_factory=list)
    blocked: list[int] = field(default_factory=list)
    reasons: dict[Verdict, tuple[BulkError, int]] = field(default_factory=dict)
    """The first error of each verdict, with its status."""


def judge(
    items: Sequence[Mapping[str, Any]],
    explain: Callable[[BulkError, int], Paused | Retry],
    redact: Callable[[str], str] = str,
) -> Outcome:
    """Return the outcome of a body whose documents have these answers, in their order.

    `explain(error, status)` is the outcome of a body whose documents all have this error. Raises LookupError, TypeError or ValueError for items of another form.
    """
    judged = _Judged()
    for index, verdict, error, status in _exceptions(items, redact):
        judged.reasons.setdefault(verdict, (error, status))
        if verdict == "rejected":
            judged.rejected[index] = error.text
        else:
            (judged.busy if verdict == "busy" else judged.blocked).append(index)
    again = frozenset((*judged.busy, *judged.blocked))
    if not judged.rejected and not again:
        return Sent()
    if not again:
        return Partial(judged.rejected, status=judged.reasons["rejected"][1])
    error, status = judged.reasons["blocked" if judged.blocked else "busy"]
    problem = explain(error, status)
    return (
        problem if len(again) == len(items) else Partial(judged.rejected, again, None, status, problem.reason)
    )


def _exceptions(
    items: Sequence[Mapping[str, Any]], redact: Callable[[str], str]
) -> Iterator[tuple[int, Verdict, BulkError, int]]:
    """Yield row, verdict, error and status of each document that was not created by this request."""
    for index, item in enumerate(items):
        (result,) = item.values()
        status = result["status"]
        if status in _CREATED and result.get("failure_store") != _DIVERTED:
            continue
        verdict, error = _verdict(status, BulkError.of(result.get("error"), redact))
        if verdict != "accepted":
            yield index, verdict, error, status


def _verdict(status: int, error: BulkError) -> tuple[Verdict, BulkError]:
    """Judge one answer. Sources: Elasticsearch, "Bulk API", "Failure store"; answers of OpenSearch 3.8 in the tests."""
    if status in _CREATED:
        return "rejected", BulkError(
            "failure_store", "the document was diverted to the failure store of the data stream"
        )
    if status == 409 and error.type in {"", "version_conflict_engine_exception"}:
        return "accepted", error  # a document with the id of this event is there: an earlier try made it
    if status in {408, 429} or status >= 500:
        return "busy", error
    if status in _BLOCKED_STATUSES or status == 409 or not 400 <= status < 500 or error.is_about_target:
        return "blocked", error
    return "rejected", error


def _reasons(error: Mapping[str, Any], depth: int = 3) -> Iterator[str]:
    """Yield the reason of an error, and those of its causes."""
    reason, cause = error.get("reason"), error.get("caused_by")
    if isinstance(reason, str):
        yield reason
    if isinstance(cause, dict) and depth:
        yield from _reasons(cause, depth - 1)
