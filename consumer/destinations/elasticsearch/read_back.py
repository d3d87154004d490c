"""Reading back a cluster: a search for the ids of documents, which are the uids of events."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import orjson

from consumer.destinations.elasticsearch.client import ClusterClient
from consumer.destinations.elasticsearch.config import NO_HISTORY, ElasticsearchConfig, history_routes
from consumer.destinations.elasticsearch.response import ClusterResponse
from consumer.destinations.elasticsearch.rows import document_id
from consumer.destinations.elasticsearch.target import TargetName
from consumer.destinations.read_back import AcceptedEvents, ReadBackError
from relay.errors import describe, one_line

SEARCH_SECONDS = 30.0
MAX_IDS = 1_000
"""Ids of one search. A data stream and a history index may both have a document, and a search returns at most 10,000."""
_FILTER = "timed_out,_shards.total,_shards.failed,hits.hits._id,error"


@asynccontextmanager
async def open_read_back(name: str, config: ElasticsearchConfig) -> AsyncIterator["ClusterReadBack"]:
    """Open the reader of the destination `name`. Raises RelayError for a credential that cannot be used."""
    async with ClusterClient(name, reading_config(config), SEARCH_SECONDS) as client:
        yield ClusterReadBack(name, config, client)


def reading_config(config: ElasticsearchConfig) -> ElasticsearchConfig:
    """Return the settings with the credential for reading; without one, that of writing is used."""
    names = ("api_key", "api_key_file", "username", "password", "password_file")
    own = {each: getattr(config, f"read_back_{each}") for each in names}
    return config.model_copy(update=own) if any(own.values()) else config


class ClusterReadBack:
    """Searches for documents by their ids, in the live target of an organization and in that of its history."""

    def __init__(self, name: str, config: ElasticsearchConfig, client: ClusterClient) -> None:
        self._name, self._config, self._client = name, config, client

    async def missing(self, accepted: AcceptedEvents) -> set[str]:
        """Return the uids without a document. Raises ReadBackError."""
        by_id = {document_id(uid): uid for uid in accepted.uids}
        path = f"/{','.join(self._names(accepted.organization))}/_search?filter_path={_FILTER}"
        ids, found = sorted(by_id), set[str]()
        for start in range(0, len(ids), MAX_IDS):
            found |= await self._search(path, ids[start : start + MAX_IDS])
        return {uid for each, uid in by_id.items() if each not in found}

    def _names(self, organization: str) -> list[str]:
        config = self._config
        live = config.by_organization.get(organization, config.index)
        names = [TargetName(live, config.layout).pattern]
        if config.history_index != NO_HISTORY:
            history = history_routes(config).get(organization, config.history_index)
            names.append(TargetName(history, "monthly").pattern)
        return names

    async def _search(self, path: str, ids: Sequence[str]) -> set[str]:
        # Two targets may have a document each, and a data stream that was rolled over between two deliveries a third. A page that
        # has a hit too many may leave some out.
        query = {"size": 2 * len(ids) + 1, "_source": False, "query": {"ids": {"values": ids}}}
        try:
            async with asyncio.timeout(SEARCH_SECONDS):
                response = await self._client.call("POST", path, orjson.dumps(query))
        except TimeoutError:
            raise ReadBackError(
                f"The cluster did not answer within {SEARCH_SECONDS:g} s. Try again."
            ) from None
        except httpx.HTTPError as error:
            raise ReadBackError(
                f"The connection to the cluster failed: {one_line(self._client.redact(describe(error)))}."
            ) from error
        found = self._found_ids(response)
        if len(found) > 2 * len(ids):
            raise ReadBackError(
                "The cluster has more than two documents for each event, which this question cannot tell apart. Ask for fewer days."
            )
        return {*found}

    def _found_ids(self, response: ClusterResponse) -> list[str]:
        if response.status == 404:
            raise ReadBackError(
                f"The cluster has no such index yet ({response.error().type}). Check the names of destinations.{self._name}."
            )
        if response.status in {401, 403}:
            raise ReadBackError(
                f"The cluster refuses the search ({response.status}). Give the credential of destinations.{self._name}.read_back_api_key"
                " the index privilege `read` on the live and the history names."
            )
        if response.status != 200:
            raise ReadBackError(f"The search failed ({response.status}: {response.error().type}). Try again.")
        try:
            answer = response.document()
            shards, hits = answer["_shards"], answer.get("hits", {}).get("hits", [])
            if answer["timed_out"] or shards["failed"]:
                raise ReadBackError(
                    f"The cluster answered in part: {shards['failed']} of {shards['total']} shards failed, or the search ran out of time."
                    " Try again once its health is green."
                )
            if not shards["total"]:
                raise ReadBackError("The cluster has no index of these names yet.")
            return [str(hit["_id"]) for hit in hits]
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ReadBackError(
                "The answer is not that of a cluster. Check its endpoint, and any proxy."
            ) from None
