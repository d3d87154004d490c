"""A careful consumer that handles each record alone: the Python that a good engineer writes in a day.

It uses confluent-kafka, fastavro, orjson and gzip of isal, keeps two requests in flight on a connection each, and commits
accepted offsets in order.
"""

import io
import json
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import fastavro
import orjson
from confluent_kafka import Consumer, TopicPartition
from isal import igzip

BODY_BYTES = 1_000_000
"""As Azure's limit."""
SINGLE_OBJECT_BYTES = 10
IN_FLIGHT = 2
IDLE_SECONDS = 0.5
"""A body that has not grown for so long is sent."""
NO_CONTENT = 204

_of_thread = threading.local()


def build_row(event: dict[str, Any]) -> dict[str, Any]:
    item = event["objectItem"]
    changes, associated = event["changedValues"], event["associatedItems"]
    item_of = item or {}
    uid = f"{event['organization']}/{event['id']}"
    row = {
        "EventId": event["id"],
        "EventUid": uid if event["variant"] is None else f"{uid}/{event['variant']}",
        "EventMessage": event["summary"],
        "EventDescription": event["description"],
        "EventCreationTime": _iso(event["created"]),
        "CollectedTime": _iso(event["collected"]),
        "EventCategoryType": event["category"],
        "EventSource": event["eventSource"],
        "SrcIpAddr": event["remoteAddress"],
        "UserName": event["authorKey"],
        "UserSid": event["authorAccountId"],
        "ObjectItemId": item_of.get("id"),
        "ObjectItemName": item_of.get("name"),
        "ObjectItemTypeName": item_of.get("typeName"),
        "ObjectItemParentId": item_of.get("parentId"),
        "ObjectItemParentName": item_of.get("parentName"),
        "objectItem": None if item is None else _present(item),
        "ChangedValues": None if changes is None else [_present(each) for each in changes],
        "AssociatedItems": None if associated is None else [_present(each) for each in associated],
        "Organization": event["organization"],
        "EventMode": event["mode"],
        "Unmodeled": event["unmodeled"],
        "EventVendor": "Atlassian",
        "EventProduct": "Jira Audit",
    }
    return _present(row)


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _iso(ms: int) -> str:
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(1_000)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _post(address: str, path: str, rows: Sequence[bytes]) -> None:
    if not hasattr(_of_thread, "connection"):
        _of_thread.connection = HTTPConnection(address, timeout=30)
    body = igzip.compress(b"[" + b",".join(rows) + b"]", 1)
    headers = {
        "Content-Encoding": "gzip",
        "Content-Type": "application/json",
        "Authorization": "Bearer token",
    }
    _of_thread.connection.request("POST", path, body, headers)
    response = _of_thread.connection.getresponse()
    response.read()
    if response.status != NO_CONTENT:
        raise RuntimeError(response.status)


def run(schema_path: Path, bootstrap: str, topic: str, group: str, address: str, path: str) -> None:
    """Deliver the topic until the process is killed."""
    schema = fastavro.parse_schema(json.loads(schema_path.read_text()))
    read, dumps = fastavro.schemaless_reader, orjson.dumps
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([topic])
    posts: deque[tuple[Future[None], dict[int, int]]] = deque()
    rows: list[bytes] = []
    size, positions = 2, {}
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        while True:
            messages = consumer.consume(1_000, timeout=IDLE_SECONDS)
            for message in messages:
                row = dumps(build_row(read(io.BytesIO(message.value()[SINGLE_OBJECT_BYTES:]), schema)))
                if size + len(row) + 1 > BODY_BYTES:
                    posts.append((pool.submit(_post, address, path, rows), positions))
                    rows, size, positions = [], 2, {}
                rows.append(row)
                size += len(row) + 1
                positions[message.partition()] = message.offset() + 1
            if rows and not messages:
                posts.append((pool.submit(_post, address, path, rows), positions))
                rows, size, positions = [], 2, {}
            while posts and (len(posts) > IN_FLIGHT or posts[0][0].done()):
                post, accepted = posts.popleft()
                post.result()
                consumer.commit(
                    offsets=[TopicPartition(topic, *each) for each in accepted.items()], asynchronous=True
                )


if __name__ == "__main__":
    environment = os.environ
    run(
        Path(environment["SCHEMA"]),
        environment["BOOTSTRAP"],
        environment["TOPIC"],
        environment["GROUP"],
        environment["SINK"],
        environment["SINK_PATH"],
    )
