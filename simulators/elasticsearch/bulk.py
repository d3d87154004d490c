"""The bulk API: lines of a body, and the answer to each document."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from simulators.elasticsearch.objects import ClusterError, DataStream, Index, Objects

MAX_ID_BYTES = 512


class BulkRules:
    """Applies bulk requests to the objects of a cluster, with the faults that concern single documents."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.poisons: set[str] = set()
        self.throttled: dict[str, int] = {}
        """Document id: how many times it is still answered 429."""
        self.busy = False
        """Whether every document is answered 429."""
        self.diverts = False
        """Whether a poison is written to the failure store, and answered 201."""

    def apply(self, body: bytes, target: str | None, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Create the documents of a body. Raises ClusterError for a body that cannot be read."""
        operations = list(_operations(body, target))
        if not operations:
            raise ClusterError(
                400, "action_request_validation_exception", "Validation Failed: 1: no requests added;"
            )
        require_stream = parameters.get("require_data_stream") == "true"
        items = [
            {action: self._item(action, name, document_id, source, require_stream=require_stream)}
            for action, name, document_id, source in operations
        ]
        errors = any("error" in result for item in items for result in item.values())
        return {"took": 3, "errors": errors, "items": items}

    def _item(
        self, action: str, name: str, document_id: str, source: bytes, *, require_stream: bool
    ) -> dict[str, Any]:
        answer: dict[str, Any] = {"_index": name, "_id": document_id}
        try:
            index, stream = self.objects.write_index(name, require_stream=require_stream)
            answer["_index"] = index.name
            document = self._document(action, index, stream, document_id, source)
        except ClusterError as error:
            return answer | {"status": error.status, "error": error.error}
        if document is None:
            failures = f".fs-{name}-000002"
            return answer | {"_index": failures, "status": 201, "result": "created", "failure_store": "used"}
        index.documents[document_id] = document
        self.objects.arrived.setdefault(name, []).append({"_id": document_id, **document})
        return answer | {"_version": 1, "result": "created", "status": 201}

    def _document(
        self, action: str, index: Index, stream: DataStream | None, document_id: str, source: bytes
    ) -> dict[str, Any] | None:
        """Check one document, in a cluster's order. Return None for one that goes to the failure store."""
        if stream is not None and action != "create":
            reason = "only write ops with an op_type of create are allowed in data streams"
            raise ClusterError(400, "illegal_argument_exception", reason)
        if index.closed:
            raise ClusterError(400, "index_closed_exception", "closed")
        if index.block is not None:
            raise index.block
        if self.busy or self.throttled.get(document_id, 0) > 0:
            self.throttled[document_id] = self.throttled.get(document_id, 0) - 1
            raise ClusterError(
                429, "es_rejected_execution_exception", "rejected execution of coordinating operation"
            )
        if document_id in index.documents:
            reason = f"[{document_id}]: version conflict, document already exists (current version [1])"
            raise ClusterError(409, "version_conflict_engine_exception", reason)
        try:
            document = json.loads(source)
        except ValueError as error:
            cause = {"type": "json_e_o_f_exception", "reason": str(error)}
            raise ClusterError(400, "document_parsing_exception", "failed to parse", cause) from error
        if stream is not None and "@timestamp" not in document:
            cause = {
                "type": "illegal_argument_exception",
                "reason": "data stream timestamp field [@timestamp] is missing",
            }
            raise ClusterError(400, "document_parsing_exception", "failed to parse", cause)
        if document_id in self.poisons:
            if self.diverts and stream is not None:
                return None
            cause = {
                "type": "illegal_argument_exception",
                "reason": "'nonsense' is not an IP string literal.",
            }
            reason = (
                f"[1:77] failed to parse field [source.ip] of type [ip] in document with id '{document_id}'."
            )
            raise ClusterError(400, "document_parsing_exception", reason, cause)
        return dict(document)


def _operations(body: bytes, target: str | None) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield action, name, document id and source of each document. A line may end with a carriage return too."""
    if not body.endswith(b"\n"):
        reason = "The bulk request must be terminated by a newline [\\n]"
        raise ClusterError(400, "illegal_argument_exception", reason)
    lines = iter([line.removesuffix(b"\r") for line in body[:-1].split(b"\n")] if body.strip() else [])
    for line in lines:
        try:
            ((action, options),) = json.loads(line).items()
            name, document_id = options.get("_index", target), options["_id"]
        except (ValueError, LookupError, AttributeError) as error:
            reason = f"Malformed action/metadata line: {error}"
            raise ClusterError(400, "x_content_parse_exception", reason) from error
        if name is None:
            raise ClusterError(
                400, "action_request_validation_exception", "Validation Failed: 1: index is missing;"
            )
        if not 0 < len(document_id.encode()) <= MAX_ID_BYTES:
            reason = f"Validation Failed: 1: id [{document_id}] is too long, must be no longer than 512 bytes"
            raise ClusterError(400, "action_request_validation_exception", reason)
        yield action, name, document_id, next(lines, b"")
