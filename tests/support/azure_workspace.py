"""A workspace of Azure: rows that the relay makes of Jira's records, stored by the deployed rule, and queries over them by duckdb-kql.

duckdb-kql is no Kusto: its results are evidence beside the diagnostics of Microsoft's checker (tests/support/kusto.py).
"""

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import duckdb
import duckdb_kql
import orjson

from consumer.decoding.columns import decode
from consumer.destinations.sentinel.rows import encode_rows
from consumer.formats.replay_mark import mark_replayed
from producer.sources.jira_cloud.mapping import to_event
from simulators.azure.arm import Deployment, load_template
from simulators.azure.rule import DataCollectionRule, deploy_rule
from tests.support.messages import AUDIT_EVENT, REF, message

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
"""The clock of the queries: `now()` and the end of a rule's period."""
ORGANIZATION = "acme.atlassian.net"

_LIVE, _HISTORY = "Custom-JiraAuditRelay", "Custom-JiraAuditRelayHistory"
_TYPES = {"string": "VARCHAR", "long": "BIGINT", "int": "INTEGER", "datetime": "TIMESTAMP", "dynamic": "JSON"}

Row = dict[str, Any]
OTHER_TABLES: Mapping[str, Mapping[str, str]] = {
    "DCRLogErrors": {"TimeGenerated": "datetime"}
    | dict.fromkeys(("InputStreamId", "OperationName", "Message"), "string"),
    "ContainerLogV2": {"TimeGenerated": "datetime", "PodName": "string", "LogMessage": "dynamic"},
}
"""Tables of Azure that content reads beside the relay's own, with the columns that it reads."""


class Workspace:
    """Rows by table, and queries over them. Times are given in minutes before NOW."""

    def __init__(self) -> None:
        self._rule = _deployed_rule()
        self._others: dict[str, list[Row]] = {name: [] for name in OTHER_TABLES}

    def add(
        self,
        *records: Mapping[str, Any],
        organization: str = ORGANIZATION,
        mode: str = "live",
        arrived: float = 5,
        collected: float | None = None,
        replay: str | None = None,
        variant: str | None = None,
        copies: int = 1,
    ) -> None:
        """Store records of Jira, `copies` times. `mode` replay goes to the history; `replay` marks rows and leaves their mode."""
        collected_ms = _ms(arrived if collected is None else collected)
        known = {"collected": collected_ms, "mode": "live" if mode == "replay" else mode, "variant": variant}
        events = [{**_event(each, organization), **known} for each in records]
        frame = decode([message(each) for each in events], {REF: AUDIT_EVENT}).frame
        if mode == "replay" or replay:
            frame = mark_replayed(frame, replay or "replay-1", keep_mode=mode != "replay")
        stream = _HISTORY if mode in {"backfill", "replay"} else _LIVE
        rows = [orjson.loads(row) for row in encode_rows(frame)]
        for _ in range(copies):
            self._rule.store(stream, rows, "request", iso(arrived))

    def add_rows(self, table: str, *rows: Row) -> None:
        """Store rows of another table of Azure."""
        self._others[table] += rows

    def query(self, kql: str, period_minutes: float = 1e6, functions: Sequence[str] = ()) -> list[Row]:
        """Return the rows of a query's result. As for a rule of Sentinel, only rows that arrived within the period are there."""
        since = NOW - timedelta(minutes=period_minutes)
        with duckdb_kql.connect() as connection:
            for name, columns, rows in self._tables():
                if name not in kql and not functions:
                    continue  # a table costs 15 ms
                recent = [row for row in rows if datetime.fromisoformat(row["TimeGenerated"]) > since]
                _create(connection, name, columns, recent)
            found = duckdb_kql.kql(
                connection, kql, query_now=NOW.replace(tzinfo=None), functions=list(functions)
            )
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _tables(self) -> Iterable[tuple[str, Mapping[str, str], list[Mapping[str, Any]]]]:
        for name, table in self._rule.tables().items():
            yield name, table.columns, [stored.row for stored in table.stored_rows]
        for name, rows in self._others.items():
            yield name, OTHER_TABLES[name], list(rows)


def iso(minutes: float) -> str:
    """Return the time that many minutes before NOW as Azure writes it."""
    return (NOW - timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(record: Mapping[str, Any], organization: str) -> dict[str, Any]:
    event = to_event(dict(record), organization)
    assert isinstance(event, dict), event
    return event


def _ms(minutes: float) -> int:
    return int((NOW - timedelta(minutes=minutes)).timestamp() * 1000)


@lru_cache
def _pristine_rule() -> DataCollectionRule:
    return deploy_rule(Deployment(load_template(), {"workspaceName": "sentinel", "principalId": ""}), {})


def _deployed_rule() -> DataCollectionRule:
    return copy.deepcopy(_pristine_rule())


def _create(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: Mapping[str, str],
    rows: Iterable[Mapping[str, Any]],
) -> None:
    declared = ", ".join(f'"{column}" {_TYPES[kind]}' for column, kind in columns.items())
    connection.execute(f"CREATE TABLE {name} ({declared})")
    values = [_value(row.get(column), kind) for row in rows for column, kind in columns.items()]
    if values:
        places = f"({', '.join('?' for _ in columns)})"
        every = ", ".join([places] * (len(values) // len(columns)))
        connection.execute(f"INSERT INTO {name} VALUES {every}", values)  # noqa: S608 - names of this file


def _value(value: Any, kind: str) -> Any:
    """Return a value as Kusto shows it: an absent text is empty, and an absent value of another type is null."""
    if kind == "string":
        return value or ""
    if value is None:
        return None
    if kind == "dynamic":
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return datetime.fromisoformat(value).replace(tzinfo=None) if kind == "datetime" else value
