"""The messages of OTLP in JSON, as a backend reads and writes them. Source: OTLP 1.5, "JSON Protobuf Encoding"."""

import json
from typing import Any

from simulators.otlp.protobuf import BadMessageError


def read_request(content: bytes) -> list[dict[str, Any]]:
    """Return the log records of an ExportLogsServiceRequest, in order. Raises BadMessageError."""
    try:
        return [
            _record(record) | {"resource": _attributes(resource_logs["resource"]["attributes"])}
            for resource_logs in json.loads(content)["resourceLogs"]
            for scope_logs in resource_logs["scopeLogs"]
            for record in scope_logs["logRecords"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadMessageError from error


def partial_success(rejected: int, message: str) -> bytes:
    """Write an ExportLogsServiceResponse."""
    if not rejected and not message:
        return b"{}"
    return json.dumps(
        {"partialSuccess": {"rejectedLogRecords": str(rejected), "errorMessage": message}}
    ).encode()


def status(code: int, message: str) -> bytes:
    """Write a google.rpc.Status."""
    return json.dumps({"code": code, "message": message}).encode()


def _record(record: dict[str, Any]) -> dict[str, Any]:
    for time in ("timeUnixNano", "observedTimeUnixNano"):
        if not isinstance(record[time], str):
            raise BadMessageError
    body = record.get("body")
    return {
        "timeUnixNano": int(record["timeUnixNano"]),
        "observedTimeUnixNano": int(record["observedTimeUnixNano"]),
        "severityNumber": record["severityNumber"],
        "eventName": record["eventName"],
        "body": None if body is None else body["stringValue"],
        "attributes": _attributes(record["attributes"]),
    }


def _attributes(listed: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["key"]: each["value"]["stringValue"] for each in listed}
