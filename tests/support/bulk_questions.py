"""Bulk requests whose answers a cluster and its simulator must agree on: body, target and parameters of each."""

import json
from collections.abc import Mapping

STREAM, MONTH = "logs-questions.audit-1", "jira-audit-history-2026.01"
DOCUMENT = {"@timestamp": "2026-01-01T00:00:00.000Z", "jira": {"audit": {"uid": "a/1"}}}


def lines(*pairs: tuple[Mapping[str, object], object], end: str = "\n", last: str = "\n") -> bytes:
    """Return a body of actions and documents; a document that is a text is written as it is."""
    listed = [
        line
        for action, document in pairs
        for line in (json.dumps(action), document if isinstance(document, str) else json.dumps(document))
    ]
    return (end.join(listed) + last).encode()


def create(document_id: str, **more: str) -> dict[str, object]:
    return {"create": {"_id": document_id, **more}}


QUESTIONS: Mapping[str, tuple[str, bytes]] = {
    "created": (f"{STREAM}/_bulk", lines((create("a/1"), DOCUMENT), (create("a/2"), DOCUMENT))),
    "there already": (f"{STREAM}/_bulk", lines((create("a/1"), DOCUMENT), (create("a/3"), DOCUMENT))),
    "twice in a body": (f"{STREAM}/_bulk", lines((create("a/4"), DOCUMENT), (create("a/4"), DOCUMENT))),
    "carriage returns": (f"{STREAM}/_bulk", lines((create("a/5"), DOCUMENT), end="\r\n", last="\r\n")),
    "index in the action": ("_bulk", lines((create("a/1", _index=MONTH), DOCUMENT))),
    "no timestamp": (f"{STREAM}/_bulk", lines((create("a/6"), {"x": 1}), (create("a/7"), DOCUMENT))),
    "broken document": (
        f"{STREAM}/_bulk",
        lines((create("a/8"), '{"@timestamp":'), (create("a/9"), DOCUMENT)),
    ),
    "index in place of create": (f"{STREAM}/_bulk", lines(({"index": {"_id": "a/10"}}, DOCUMENT))),
    "broken action": (f"{STREAM}/_bulk", b'{"cre\n{}\n'),
    "no line end": (f"{STREAM}/_bulk", lines((create("a/11"), DOCUMENT), last="")),
    "no documents": (f"{STREAM}/_bulk", b"\n"),
    "long id": (f"{STREAM}/_bulk", lines((create("x" * 513), DOCUMENT))),
    "capital letters": ("_bulk", lines((create("a/1", _index="Questions"), DOCUMENT))),
    "unknown parameter": (f"{STREAM}/_bulk?nonsense=1", lines((create("a/12"), DOCUMENT))),
    "required data stream": (f"{STREAM}/_bulk?require_data_stream=true", lines((create("a/12"), DOCUMENT))),
    "without pipeline": (f"{STREAM}/_bulk?pipeline=_none", lines((create("a/13"), DOCUMENT))),
}


def shape(answer: Mapping[str, object], status: int) -> object:
    """Return what must agree: the status, whether there are errors, and the status of each document."""
    items = answer.get("items")
    if not isinstance(items, list):
        return status
    return status, answer["errors"], [(*item, next(iter(item.values()))["status"]) for item in items]
