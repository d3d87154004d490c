"""Errors as an answer: the status and the problem type of each kind, in one place. The sentence is that of the error."""

from http import HTTPStatus

from console import problems
from console.problems import ProblemKind
from management.connection_test import ConnectionFailedError, DuplicateOrganizationError
from management.dead_letters import UnknownLetterError
from management.destinations import UnknownDestinationError
from management.events.stored_event import NoEventError
from management.organizations.editor import StaleEditError
from management.organizations.store import UnknownOrganizationError, UnreadableOrganizationError
from management.organizations.validation import InputError
from management.replay.jobs import UnknownReplayError
from relay.errors import RelayError

_KINDS: tuple[tuple[type[RelayError], HTTPStatus, str], ...] = (
    (NoEventError, HTTPStatus.NOT_FOUND, "no-event"),
    (UnknownOrganizationError, HTTPStatus.NOT_FOUND, "unknown-organization"),
    (UnreadableOrganizationError, HTTPStatus.INTERNAL_SERVER_ERROR, "unreadable-organization"),
    (UnknownDestinationError, HTTPStatus.NOT_FOUND, "unknown-destination"),
    (UnknownReplayError, HTTPStatus.NOT_FOUND, "unknown-replay"),
    (UnknownLetterError, HTTPStatus.NOT_FOUND, "unknown-dead-letter"),
    (DuplicateOrganizationError, HTTPStatus.CONFLICT, "duplicate-organization"),
    (StaleEditError, HTTPStatus.CONFLICT, "stale-edit"),
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input"),
    (ConnectionFailedError, HTTPStatus.UNPROCESSABLE_ENTITY, "connection-failed"),
)
UNAVAILABLE = ProblemKind("unavailable", HTTPStatus.SERVICE_UNAVAILABLE)
"""The cause lies behind the console, and a later attempt may succeed."""

PROBLEM_KINDS = {
    kind.name: kind
    for kind in (
        *(ProblemKind(name, status) for _, status, name in _KINDS),
        UNAVAILABLE,
        *(each for each in vars(problems).values() if isinstance(each, ProblemKind)),
    )
}
"""Every kind of problem, by its name."""


def kind_of(error: RelayError) -> ProblemKind:
    """Return the kind of problem that an error is."""
    return next(
        (ProblemKind(name, status) for kind, status, name in _KINDS if isinstance(error, kind)), UNAVAILABLE
    )


def status_of(error: RelayError) -> HTTPStatus:
    """Return the status of an error."""
    return kind_of(error).status
