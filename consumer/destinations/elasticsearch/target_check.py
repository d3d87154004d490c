"""Checks a target before the first document: a request or two, whose answer holds for some minutes."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from consumer.destinations.elasticsearch.client import ClusterClient
from consumer.destinations.elasticsearch.name_lookup import Found, find_months, find_stream, lacks_template
from consumer.destinations.elasticsearch.response import BulkContext, ClusterResponse, is_transient
from consumer.destinations.elasticsearch.target import TargetName
from consumer.destinations.outcome import Paused, Retry

CHECK_SECONDS = 300.0
"""How long the result of a check holds. An object that takes the name later is seen then."""

Problem = Paused | Retry | None


class TargetCheck:
    """Remembers until when each target is known to be right. `clock` returns seconds."""

    def __init__(self, client: ClusterClient, destination: str, clock: Callable[[], float]) -> None:
        self._client = client
        self._destination = destination
        self._clock = clock
        self._right_until: dict[TargetName, float] = {}
        self._lock = asyncio.Lock()

    def forget(self) -> None:
        """Check again before the next body."""
        self._right_until.clear()

    async def make_ready(self, target: TargetName) -> Problem:
        """Create an absent data stream. Return why documents may not be written there; None: nothing known is against it.

        Raises what httpx raises.
        """
        async with self._lock:
            if self._clock() < self._right_until.get(target, 0.0):
                return None
            problem = await self._check(target, self._create_stream)
            if problem is None:
                self._right_until[target] = self._clock() + CHECK_SECONDS
            return problem

    async def problem(self, target: TargetName) -> Problem:
        """Return the same without creating anything."""
        return await self._check(target, self._find_template)

    async def _check(
        self, target: TargetName, if_absent: Callable[[TargetName], Awaitable[Problem]]
    ) -> Problem:
        if target.layout == "monthly":
            return await self._check_months(target)
        response = await self._client.call("GET", f"/_resolve/index/{target.name}")
        if _is_no_answer(response):
            return self._failed(response, target)
        found = find_stream(response, target.name)
        if found == "absent":
            return await if_absent(target)
        return None if found in {"right", "unknown"} else self._taken(found, target.name, "a data stream")

    async def _create_stream(self, target: TargetName) -> Problem:
        """Create the data stream: without a template a bulk request would create an index in its place.

        A relay that may not create it goes on with Elasticsearch, which refuses by itself (require_data_stream), and so does one
        whose server does not know the request.
        """
        response = await self._client.call("PUT", f"/_data_stream/{target.name}")
        error = response.error()
        if response.status in {200, 404, 405} or error.type == "resource_already_exists_exception":
            return None
        if response.status == 403 and self._client.is_elasticsearch:
            return None
        if response.status == 400 and "template" in error.reason:
            return Paused(
                f"No index template makes {target.name} a data stream ({response.describe()}). Load the templates of"
                " deploy/elasticsearch, with this name in index_patterns.",
                response.status,
            )
        return self._failed(response, target)

    async def _check_months(self, target: TargetName) -> Problem:
        response = await self._client.call("GET", f"/_resolve/index/{target.name}-*")
        if _is_no_answer(response):
            return self._failed(response, target)
        found, name = find_months(response, target.name)
        if found not in {"right", "unknown"}:
            return self._taken(found, name, "an index")
        return await self._find_template(target)

    async def _find_template(self, target: TargetName) -> Problem:
        month = "" if target.layout == "data-stream" else f"-{datetime.now(UTC):%Y.%m}"
        name = f"{target.name}{month}"
        response = await self._client.call("POST", f"/_index_template/_simulate_index/{name}")
        if not lacks_template(response):
            return None
        return Paused(
            f"No index template of the relay fits {name}, so the cluster would guess the types of its fields. Load the templates"
            " of deploy/elasticsearch, with this name in index_patterns.",
            response.status,
        )

    def _failed(self, response: ClusterResponse, target: TargetName) -> Problem:
        return BulkContext(self._destination, target.name).problem(response.error(), response.status)

    def _taken(self, found: Found, name: str, wanted: str) -> Paused:
        return Paused(
            f"The name {name} belongs to another object of the cluster, of the type {found}; the relay needs {wanted}. Rename or"
            f" delete that object, or set destinations.{self._destination}.index or .history_index to another name."
        )


def _is_no_answer(response: ClusterResponse) -> bool:
    """Whether the answer is about the relay or the cluster, and not about the target. A relay may lack the right to look: 403."""
    return response.status == 401 or is_transient(response.status)
