"""The OpenAPI document: `OPERATIONS` describes every call, and a test holds it to the routes."""

from collections.abc import Mapping

from console.api.openapi import (
    changes,
    completeness,
    dead_letters,
    destination_moves,
    destinations,
    events,
    organizations,
    overview,
    replays,
)
from console.api.openapi.contract import Operation

OPERATIONS: Mapping[str, Operation] = {
    **overview.OPERATIONS,
    **organizations.OPERATIONS,
    **destinations.OPERATIONS,
    **destination_moves.OPERATIONS,
    **events.OPERATIONS,
    **changes.OPERATIONS,
    **completeness.OPERATIONS,
    **replays.OPERATIONS,
    **dead_letters.OPERATIONS,
}
"""Each call by method and path, as in `console/permissions.py`."""
