"""Documents that are there already under the ids of events: those of an earlier try, or of another program."""

import asyncio
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from consumer.destinations.elasticsearch.client import ClusterClient
from consumer.destinations.elasticsearch.response import ClusterResponse
from consumer.destinations.outcome import Outcome, Partial, Sent
from consumer.formats.source_labels import ECS_OBJECT

SEARCH_SECONDS = 5.0
MAX_IDS = 500
"""Ids of one search; a search returns at most 10,000 documents (index.max_result_window)."""
_SEARCH = "_search?ignore_unavailable=true&filter_path=hits.hits._id,hits.hits._source"
_CONFLICT = b"409"
_HASHED = "sha256:"


def conflicting_rows(response: ClusterResponse) -> list[int]:
    """Return the rows of a bulk request whose documents were there already."""
    if _CONFLICT not in response.content:
        return []
    items = response.document()["items"]
    return [row for row, item in enumerate(items) if next(iter(item.values()))["status"] == 409]


def document_ids(content: bytes, rows: Sequence[int], *, compressed: bool) -> list[str]:
    """Return the document ids of these rows of a body."""
    lines = (gzip.decompress(content) if compressed else content).split(b"\n")
    return [orjson.loads(lines[2 * row])["create"]["_id"] for row in rows]


def foreign_ids(response: ClusterResponse) -> set[str]:
    """Return the ids whose documents, as a search returned them, are all of another program.

    A document of the relay has its id as `jira.audit.uid`, `uid` or `metadata.uid`. One without a source says nothing.
    """
    ours: dict[str, bool] = {}
    for hit in response.document().get("hits", {}).get("hits", ()):
        found, source = str(hit["_id"]), hit.get("_source")
        is_ours = not source or found.startswith(_HASHED) or found in _uids(source)
        ours[found] = ours.get(found, False) or is_ours
    return {found for found, is_ours in ours.items() if not is_ours}


def with_taken_ids(outcome: Outcome, taken: Mapping[int, str]) -> Outcome:
    """Return the outcome in which the rows are rejected whose ids are taken. `taken`: row and id."""
    reasons = {
        row: f"id_taken: the document {document_id} belongs to another program, so the event cannot be created under its id"
        for row, document_id in taken.items()
    }
    match outcome:
        case Sent() if reasons:
            return Partial(reasons, status=409)
        case Partial() if reasons:
            return replace(outcome, rejected={**outcome.rejected, **reasons})
        case _:
            return outcome


async def find_taken(
    client: ClusterClient, names: str, content: bytes, rows: Sequence[int], *, compressed: bool
) -> dict[int, str]:
    """Search the documents of these rows, and return row and id of those that are of another program.

    Empty where the relay may not search, or the cluster does not answer in time: then each is taken for a repeat, as nearly all are.
    """
    ids = await asyncio.to_thread(document_ids, content, rows, compressed=compressed)
    foreign: set[str] = set()
    try:
        async with asyncio.timeout(SEARCH_SECONDS):
            for start in range(0, len(ids), MAX_IDS):
                foreign |= await _search(client, names, ids[start : start + MAX_IDS])
    except Exception:  # noqa: BLE001 - the answer to the documents counts, with or without this look
        return {}
    return {row: each for row, each in zip(rows, ids, strict=True) if each in foreign}


async def _search(client: ClusterClient, names: str, ids: Sequence[str]) -> set[str]:
    # Whole sources: of a filtered one that is empty nobody knows whether the document has none.
    query = {"size": len(ids), "query": {"ids": {"values": ids}}}
    response = await client.call("POST", f"/{names}/{_SEARCH}", orjson.dumps(query))
    return foreign_ids(response) if response.status == 200 else set()


def _uids(source: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what may be the key of an event in a document of each format: native, ocsf, ecs."""
    audit = _member(source.get(ECS_OBJECT), "audit")
    return source.get("uid"), _member(source.get("metadata"), "uid"), _member(audit, "uid")


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
