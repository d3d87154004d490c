"""The data collection rule and its tables, as the template deploys them: the way of a row behind a 204."""

import json
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulators.azure.arm import Deployment, DeploymentError, Resource
from simulators.azure.kusto import KqlError, Transform, coerce, parse_transform
from simulators.azure.native_tables import NATIVE_TABLES

MAX_FIELD_BYTES = 64 * 1024
"""Azure truncates longer values. Source: Azure Monitor service limits, "Logs Ingestion API"."""

SYSTEM_COLUMNS = frozenset({"_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"})
UID_COLUMNS = ("EventUid", "EventOriginalUid")
"""Columns that identify an event: of the relay's own tables, and of the native table and its history."""

_TABLE = "Microsoft.OperationalInsights/workspaces/tables"
_RULE = "Microsoft.Insights/dataCollectionRules"


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A stored row. `number` is its place among all rows of the world in the order of arrival, from 0."""

    number: int
    request_id: str
    row: Mapping[str, Any]
    """Every column of the table; None where there is no value."""


@dataclass(slots=True)
class SilentLosses:
    """Counts of the values that Azure loses behind a 204, by `table.column`."""

    dropped: Counter[str] = field(default_factory=Counter)
    """Columns that the stream does not declare or the table does not have."""
    nulled: Counter[str] = field(default_factory=Counter)
    """Values that do not fit the type of their column."""
    truncated: Counter[str] = field(default_factory=Counter)
    """Values longer than 64 KB."""


class Table:
    """The rows of a table, and counts of all that were added. It keeps the last `keep` rows; None keeps all."""

    def __init__(self, name: str, columns: Mapping[str, str], keep: int | None) -> None:
        self.name = name
        self.columns = dict(columns)
        self.stored_rows: deque[StoredRow] = deque(maxlen=keep)
        self.accepted = 0
        self._uid_column = next((name for name in UID_COLUMNS if name in columns), UID_COLUMNS[0])
        self.uid_counts: Counter[str] = Counter()

    def add(self, arrival: StoredRow) -> None:
        self.stored_rows.append(arrival)
        self.accepted += 1
        self.uid_counts[str(arrival.row.get(self._uid_column))] += 1

    def duplicates(self) -> dict[str, int]:
        """Return the number of rows for each event that was added more than once, by its uid."""
        return {uid: count for uid, count in self.uid_counts.items() if count > 1}


@dataclass(frozen=True, slots=True)
class DataFlow:
    """One data flow of the rule: a stream, its transform, its table."""

    columns: Mapping[str, str]
    transform: Transform
    table: Table


class DataCollectionRule:
    """Stores the rows of each call in the table of their stream, and counts the values that are lost."""

    def __init__(self, flows: Mapping[str, DataFlow]) -> None:
        self.flows = flows
        self.losses = SilentLosses()
        self._row_count = 0

    def tables(self) -> dict[str, Table]:
        return {flow.table.name: flow.table for flow in self.flows.values()}

    def store(self, stream: str, rows: Iterable[Mapping[str, Any]], request_id: str, now: str) -> None:
        """Transform and store the rows of a call. `now` is ISO 8601."""
        flow = self.flows[stream]
        for raw in rows:
            row = self._apply_stream_columns(flow, raw)
            flow.transform(row, now)
            flow.table.add(StoredRow(self._row_count, request_id, self._apply_table_columns(flow.table, row)))
            self._row_count += 1

    def _apply_stream_columns(self, flow: DataFlow, raw: Mapping[str, Any]) -> dict[str, Any]:
        row = {}
        for name, value in raw.items():
            if (kind := flow.columns.get(name)) is None:
                self.losses.dropped[f"{flow.table.name}.{name}"] += 1
                continue
            row[name] = kept = coerce(value, kind)
            if kept is None and value is not None:
                self.losses.nulled[f"{flow.table.name}.{name}"] += 1
        return row

    def _apply_table_columns(self, table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
        kept = dict.fromkeys(table.columns)
        for name, value in row.items():
            if name not in kept:
                self.losses.dropped[f"{table.name}.{name}"] += 1
            elif (text := _overlong_text(value)) is None:
                kept[name] = value
            else:
                self.losses.truncated[f"{table.name}.{name}"] += 1
                kept[name] = text.encode(errors="replace")[:MAX_FIELD_BYTES].decode(errors="ignore")
        return kept


def _overlong_text(value: Any) -> str | None:
    """Return the text of a value that is too long for a field, else None."""
    if isinstance(value, (list, dict)):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str) or len(value) * 4 <= MAX_FIELD_BYTES:
        return None
    return value if len(value.encode(errors="replace")) > MAX_FIELD_BYTES else None


def deploy_rule(
    deployment: Deployment, existing: Mapping[str, Mapping[str, str]], keep: int | None = None
) -> DataCollectionRule:
    """Deploy tables and rule. `existing` has the columns and types of tables made earlier, by name.

    Raises DeploymentError when Azure would refuse the template.
    """
    resources = deployment.resources()
    created = {resource.id: resource for resource in resources if resource.type == _TABLE}
    (entry,) = [resource for resource in resources if resource.type == _RULE]
    tables = {name: Table(name, columns, keep) for name, columns in existing.items()}
    tables |= {name: Table(name, columns, keep) for name, columns in NATIVE_TABLES.items()}
    tables |= {table.name: table for table in _create_tables(created, entry, existing, keep)}
    properties = entry.body["properties"]
    declared = {
        name: _column_types(stream["columns"]) for name, stream in properties["streamDeclarations"].items()
    }
    return DataCollectionRule(
        {flow["streams"][0]: _create_flow(flow, declared, tables) for flow in properties["dataFlows"]}
    )


def _create_tables(
    created: Mapping[str, Resource],
    entry: Resource,
    existing: Mapping[str, Mapping[str, str]],
    keep: int | None,
) -> Iterable[Table]:
    for resource in created.values():
        schema = resource.body["properties"]["schema"]
        columns = _column_types(schema["columns"])
        if resource.id not in entry.depends_on:
            raise DeploymentError(f"InvalidOutputTable: the rule does not wait for {schema['name']}")
        for name, kind in existing.get(schema["name"], {}).items():
            if columns.get(name, kind) != kind:
                raise DeploymentError(f"the type of {schema['name']}.{name} cannot be changed")
        if bad := SYSTEM_COLUMNS & columns.keys():
            raise DeploymentError(f"reserved column names: {sorted(bad)}")
        yield Table(schema["name"], columns, keep)


def _create_flow(
    flow: Mapping[str, Any], declared: Mapping[str, Mapping[str, str]], tables: Mapping[str, Table]
) -> DataFlow:
    (stream,) = flow["streams"]
    prefix, _, name = flow["outputStream"].partition("-")
    if name not in tables or prefix != ("Microsoft" if name in NATIVE_TABLES else "Custom"):
        raise DeploymentError(f"InvalidOutputTable: there is no table {name}")
    try:
        compiled = parse_transform(flow["transformKql"], declared[stream])
    except KqlError as error:
        raise DeploymentError(f"InvalidTransformQuery: {error}") from error
    _check_output(compiled.columns, tables[name].columns)
    return DataFlow(declared[stream], compiled, tables[name])


def _check_output(produced: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    wrong = [
        f"{name} [produced:'{kind.title()}', output:'{wanted[name].title()}']"
        for name, kind in produced.items()
        if wanted.get(name, kind) != kind
    ]
    if "TimeGenerated" not in produced:
        raise DeploymentError("InvalidTransformOutput: TimeGenerated is missing")
    if wrong:
        raise DeploymentError(
            "InvalidTransformOutput: Types of transform output columns do not match the ones defined "
            f"by the output stream: {', '.join(wrong)}"
        )


def _column_types(entries: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {entry["name"]: entry["type"].lower() for entry in entries}
