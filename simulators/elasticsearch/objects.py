"""What has a name in a cluster: indices, data streams with their backing indices, aliases, and index templates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


class ClusterError(Exception):
    """An error as a cluster answers it."""

    def __init__(self, status: int, kind: str, reason: str, cause: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.error: dict[str, Any] = {"type": kind, "reason": reason} | (
            {"caused_by": cause} if cause else {}
        )


@dataclass
class Index:
    """One index: documents by id. `block` is the error of each write to it."""

    name: str
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    closed: bool = False
    block: ClusterError | None = None


@dataclass
class DataStream:
    """Backing indices, of which the last takes documents; a document id is unique within one of them alone."""

    name: str
    backing: list[Index] = field(default_factory=list)
    failure_store: Index | None = None

    def rollover(self) -> None:
        self.backing.append(Index(f".ds-{self.name}-{len(self.backing) + 1:06}"))


@dataclass(frozen=True)
class Template:
    """An index template, as far as names and the first level of its fields go."""

    patterns: tuple[str, ...]
    data_stream: bool = False
    properties: tuple[str, ...] = ("@timestamp", "jira")

    def fits(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)


TEMPLATES = (
    Template(("logs-*-*",), data_stream=True),
    Template(("jira-audit-history-*",)),
)
"""Those of deploy/elasticsearch."""


class Objects:
    """The named objects of a cluster, and the rules for names that are not there yet."""

    def __init__(self) -> None:
        self.templates = list(TEMPLATES)
        self.indices: dict[str, Index] = {}
        self.streams: dict[str, DataStream] = {}
        self.aliases: dict[str, str] = {}
        self.auto_create = True
        self.full = False
        """Whether the cluster has as many shards as it may have."""
        self.unrefreshed: set[str] = set()
        """Ids of documents that no search shows yet: their index was not refreshed."""
        self.failed_shards = 0
        self.search_times_out = False
        self.arrived: dict[str, list[dict[str, Any]]] = {}
        """Documents by the name that they were written to, in the order of their arrival."""

    def template_of(self, name: str) -> Template | None:
        return next((template for template in self.templates if template.fits(name)), None)

    def create_stream(self, name: str) -> DataStream:
        template = self.template_of(name)
        if name in self.streams:
            raise ClusterError(
                400, "resource_already_exists_exception", f"data_stream [{name}] already exists"
            )
        if name in self.indices or name in self.aliases:
            raise ClusterError(500, "illegal_state_exception", f"data stream [{name}] conflicts with index")
        if template is None or not template.data_stream:
            reason = f"no matching index template found for data stream [{name}]"
            raise ClusterError(400, "illegal_argument_exception", reason)
        self._check_room()
        self.streams[name] = DataStream(name)
        self.streams[name].rollover()
        return self.streams[name]

    def write_index(self, name: str, *, require_stream: bool = False) -> tuple[Index, DataStream | None]:
        """Return the index that takes documents for a name, and its data stream; make an absent one as a bulk request does."""
        if name in self.streams:
            return self.streams[name].backing[-1], self.streams[name]
        if require_stream and (name in self.indices or self._makes_index(name)):
            reason = f"no such index [{name}] and [require_data_stream] request flag is [true] and [{name}] is not a data stream"
            raise ClusterError(404, "index_not_found_exception", reason)
        name = self.aliases.get(name, name)
        if name in self.indices:
            return self.indices[name], None
        if not self.auto_create:
            raise ClusterError(404, "index_not_found_exception", f"no such index [{name}]")
        if name != name.lower():
            reason = f"Invalid index name [{name}], must be lowercase"
            raise ClusterError(400, "invalid_index_name_exception", reason)
        if not self._makes_index(name):
            stream = self.create_stream(name)
            return stream.backing[-1], stream
        self._check_room()
        self.indices[name] = Index(name)
        return self.indices[name], None

    def _makes_index(self, name: str) -> bool:
        template = self.template_of(name)
        return template is None or not template.data_stream

    def _check_room(self) -> None:
        if self.full:
            reason = "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum"
            raise ClusterError(400, "validation_exception", f"{reason} normal shards open;")

    def resolve(self, expression: str) -> dict[str, Any]:
        """Return the answer of `GET /_resolve/index/EXPRESSION`."""
        return {
            "indices": [
                {"name": name, "attributes": ["closed" if index.closed else "open"]}
                for name, index in self.indices.items()
                if fnmatchcase(name, expression)
            ],
            "aliases": [
                {"name": name, "indices": [index]}
                for name, index in self.aliases.items()
                if fnmatchcase(name, expression)
            ],
            "data_streams": [
                {
                    "name": name,
                    "backing_indices": [index.name for index in stream.backing],
                    "timestamp_field": "@timestamp",
                }
                for name, stream in self.streams.items()
                if fnmatchcase(name, expression)
            ],
        }

    def search(self, expression: str, body: dict[str, Any], *, ignore: bool) -> dict[str, Any]:
        """Return the answer of a search for document ids in names, or patterns of names. `ignore`: a name that is not there."""
        wanted = expression.split(",")
        indices = [index for each in wanted for index in self._readable(each, ignore=ignore)]
        hits = [
            {"_index": index.name, "_id": each}
            | ({} if body.get("_source") is False else {"_source": index.documents[each]})
            for index in indices
            for each in body["query"]["ids"]["values"]
            if each in index.documents and each not in self.unrefreshed
        ]
        return {
            "took": 1,
            "timed_out": self.search_times_out,
            "_shards": {
                "total": len(indices),
                "successful": len(indices) - self.failed_shards,
                "failed": self.failed_shards,
            },
            "hits": {"total": {"value": len(hits), "relation": "eq"}, "hits": hits[: body.get("size", 10)]},
        }

    def _readable(self, name: str, *, ignore: bool) -> list[Index]:
        found = [index for each, index in self.indices.items() if fnmatchcase(each, name)]
        for each, stream in self.streams.items():
            found += stream.backing if fnmatchcase(each, name) else []
        if not found and "*" not in name and not ignore:
            raise ClusterError(404, "index_not_found_exception", f"no such index [{name}]")
        return found

    def simulate(self, name: str) -> dict[str, Any]:
        """Return the answer of `POST /_index_template/_simulate_index/NAME`."""
        template = self.template_of(name)
        if template is None:
            return {}
        mappings = {"properties": {each: {"type": "object"} for each in template.properties}}
        return {"template": {"settings": {}, "mappings": mappings, "aliases": {}}, "overlapping": []}
