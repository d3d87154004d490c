"""Errors as an answer: the status of each kind, in one place. The sentence is that of the error."""

from http import HTTPStatus

from management.connection_test import ConnectionFailedError, DuplicateOrganizationError
from management.destinations import UnknownDestinationError
from management.organizations.editor import StaleEditError
from management.organizations.store import UnknownOrganizationError
from management.organizations.validation import InputError
from management.replay.jobs import UnknownReplayError
from relay.errors import RelayError

_STATUSES: tuple[tuple[type[RelayError], HTTPStatus], ...] = (
    (UnknownOrganizationError, HTTPStatus.NOT_FOUND),
    (UnknownDestinationError, HTTPStatus.NOT_FOUND),
    (UnknownReplayError, HTTPStatus.NOT_FOUND),
    (DuplicateOrganizationError, HTTPStatus.CONFLICT),
    (StaleEditError, HTTPStatus.CONFLICT),
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ConnectionFailedError, HTTPStatus.UNPROCESSABLE_ENTITY),
)


def status_of(error: RelayError) -> HTTPStatus:
    """Return the status of an error. 503: the cause lies behind the console, and a later attempt may succeed."""
    return next(
        (status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.SERVICE_UNAVAILABLE
    )
