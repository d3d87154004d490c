"""The harmless requests of `jira-relay check`: product and version, the target, and the rights, as far as a cluster tells."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from consumer.destinations.elasticsearch.client import ClusterClient
from consumer.destinations.elasticsearch.response import BulkContext, ClusterResponse, is_transient
from consumer.destinations.elasticsearch.target import TargetName
from consumer.destinations.elasticsearch.target_check import TargetCheck
from consumer.destinations.outcome import Outcome, Paused, Sent

MIN_ELASTICSEARCH = (7, 9)
"""The first version with data streams."""


async def probe_cluster(
    client: ClusterClient, target_check: TargetCheck, name: str, targets: Sequence[TargetName]
) -> Outcome:
    """Ask for everything that can be known without writing a document. Raises what httpx raises."""
    root = await client.call("GET", "/")
    if root.status == 401 or is_transient(root.status) or 300 <= root.status < 400:
        return BulkContext(name, targets[0].name).problem(root.error(), root.status)
    product = _product(root)
    if product is None and root.status == 200:
        return Paused(
            f"The server is neither Elasticsearch nor OpenSearch ({root.status}). Check destinations.{name}.endpoint, and any proxy"
            " on the way."
        )
    if product is not None and product[0] == "Elasticsearch" and product[1] < MIN_ELASTICSEARCH:
        return Paused(f"Elasticsearch {product[1][0]}.{product[1][1]} has no data streams. Use 7.9 or newer.")
    for target in targets:
        problem = await target_check.problem(target)
        if problem is not None:
            return problem
    return await _missing_rights(client, name, targets) or Sent(
        _note(product, checked=client.is_elasticsearch)
    )


def _note(product: tuple[str, tuple[int, ...]] | None, *, checked: bool) -> str:
    """Return product and version, and whether the right to create documents is known. OpenSearch tells it to nobody."""
    named = "version not told" if product is None else f"{product[0]} {'.'.join(map(str, product[1]))}"
    return named if checked else f"{named}; the right to create documents shows with the first event"


def _product(root: ClusterResponse) -> tuple[str, tuple[int, ...]] | None:
    """Return product and version. None: the answer does not say, or the relay may not see it."""
    try:
        version: Mapping[str, Any] = root.document()["version"]
        numbers = tuple(int(each) for each in str(version["number"]).split(".")[:2])
    except (ValueError, LookupError, TypeError):
        return None
    opensearch = version.get("distribution") == "opensearch"
    return ("OpenSearch" if opensearch else "Elasticsearch"), numbers


async def _missing_rights(client: ClusterClient, name: str, targets: Sequence[TargetName]) -> Paused | None:
    """Ask Elasticsearch for the right to create documents; OpenSearch has no such request."""
    if not client.is_elasticsearch:
        return None
    names = [each.pattern for each in targets]
    wanted = {"index": [{"names": names, "privileges": ["create_doc"]}]}
    response = await client.call("POST", "/_security/user/_has_privileges", orjson.dumps(wanted))
    try:
        allowed = response.status != 200 or response.document().get("has_all_requested") is not False
    except (ValueError, AttributeError):
        allowed = True
    if allowed:
        return None
    return Paused(
        f"The user or API key of destinations.{name} may not create documents in {', '.join(names)}. Give it the privileges"
        " create_doc and auto_configure there.",
        403,
    )
