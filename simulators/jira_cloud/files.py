"""Audit records read from a file."""

import json
from pathlib import Path
from typing import Any, NoReturn

from simulators.jira_cloud.log import AuditLogEntry
from simulators.jira_cloud.query import QueryError, parse_instant


class RecordsFileError(Exception):
    """A file of records is invalid. The message names the line and the reason in one sentence."""


def read_records(path: Path) -> list[AuditLogEntry]:
    """Read a file with one audit record a line, each as Jira's API returns it. The bytes are kept.

    Empty lines are skipped, and a repeated record counts once. Raises RecordsFileError when a line is invalid.
    """
    entries: dict[int, tuple[int, AuditLogEntry]] = {}
    for number, line in enumerate(_read_lines(path), 1):
        raw = line.strip()
        if not raw:
            continue
        entry = _parse_entry(f"{path}, line {number}", raw)
        first, first_entry = entries.setdefault(entry.id, (number, entry))
        if json.loads(first_entry.raw) != json.loads(raw):
            raise RecordsFileError(
                f"{path}, line {number}: line {first} already has id {entry.id} with other content"
            )
    return [entry for _, entry in entries.values()]


def _read_lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise RecordsFileError(f"cannot read the records file {path}: {error.strerror}") from error


def _parse_entry(place: str, raw: bytes) -> AuditLogEntry:
    record = _parse_json(place, raw)
    if not isinstance(record, dict):
        raise RecordsFileError(f"{place}: not a JSON object")
    record_id = record.get("id")
    if type(record_id) is not int or not -(2**63) <= record_id < 2**63:
        raise RecordsFileError(
            f"{place}: id is {_describe_value(record, 'id')}, not a whole number of 64 bits"
        )
    return AuditLogEntry(record_id, _parse_created(place, record), raw)


def _parse_json(place: str, raw: bytes) -> Any:
    try:
        return json.loads(raw.decode(), parse_constant=_reject_constant)
    except UnicodeDecodeError:
        raise RecordsFileError(f"{place}: not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise RecordsFileError(f"{place}: not a JSON object ({error})") from None


def _parse_created(place: str, record: dict[str, Any]) -> int:
    text = record.get("created")
    try:
        created = parse_instant(text, None) if isinstance(text, str) else None
    except QueryError:
        created = None
    if created is None:
        shown = _describe_value(record, "created")
        raise RecordsFileError(
            f"{place}: created is {shown}, not a time with a zone such as 2026-01-18T08:43:02.838+0000"
        )
    return created


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _describe_value(record: dict[str, Any], name: str) -> str:
    return json.dumps(record[name])[:60] if name in record else "missing"
