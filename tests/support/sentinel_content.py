"""Content for Microsoft Sentinel under deploy/azure/content, and what its rules find in rows of a workspace."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.support.azure_workspace import Row, Workspace

FOLDER = Path(__file__).parents[2] / "deploy/azure/content"
QUIET = "quiet.atlassian.net"
"""The organization whose rows are history and replays alone."""

_UNITS = {"m": 1, "h": 60, "d": 1440}


@lru_cache
def load(folder: str) -> dict[str, dict[str, Any]]:
    """Return the content of a folder (rules, hunting, parsers) by the name of its file without the ending."""
    yaml = YAML(typ="safe")
    files = sorted((FOLDER / folder).glob("*.yaml"))
    return {file.stem: yaml.load(file.read_text("utf-8")) for file in files}


def minutes(span: str) -> int:
    """Return the minutes of a span such as 1h or 14d."""
    return int(span[:-1]) * _UNITS[span[-1]]


def workbook() -> dict[str, Any]:
    """Return the workbook of the relay's health."""
    loaded: dict[str, Any] = json.loads((FOLDER / "workbook.json").read_text("utf-8"))
    return loaded


def workbook_queries(organizations: str = "'*'", price: str = "2.5") -> dict[str, str]:
    """Return the queries of the workbook by title, with its parameters filled as the portal fills them."""
    items = [item["content"] for item in workbook()["items"]]
    found = {item["title"]: item["query"] for item in items if "title" in item}
    for item in items:
        found |= {each["name"]: each["query"] for each in item.get("parameters", ()) if "query" in each}
    return {
        title: query.replace("{Organization}", organizations).replace("{Price}", price)
        for title, query in found.items()
    }


def signature(parser: Mapping[str, Any]) -> str:
    """Return the parameters of a parser with their types and defaults, as KQL declares them."""
    declared = (f"{each['name']}: {each['type']} = {each['default']}" for each in parser["parameters"])
    return f"({', '.join(declared)})"


def definition(name: str) -> str:
    """Return a parser as a stored function of duckdb-kql."""
    parser = load("parsers")[name]
    return f"function {name}{signature(parser)} {{ {parser['query']} }}"


def columns_of(content: Mapping[str, Any]) -> set[str]:
    """Return the columns that the mappings and the details of a rule name."""
    mapped = [each for entity in content.get("entityMappings", ()) for each in entity["fieldMappings"]]
    shown = content.get("alertDetailsOverride", {}).values()
    return {
        *(each["columnName"] for each in mapped),
        *content.get("customDetails", {}).values(),
        *(name for text in shown for name in re.findall(r"\{\{(\w+)\}\}", text)),
    }


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of Jira that are added together. `given`: arguments of Workspace.add."""

    records: tuple[Mapping[str, Any], ...]
    given: Mapping[str, Any] = field(default_factory=dict)


def alerts(slug: str, *batches: Batch) -> list[Row]:
    """Return what a rule of `rules` finds in the batches, as Sentinel runs it: over the rows of its period alone.

    Each row is there twice, as after a lost answer. A second organization has the same events as a backfill, as a replay, and as a
    replay to the live table; the rule may not find any of them.
    """
    rule = load("rules")[slug]
    workspace = Workspace()
    for batch in batches:
        workspace.add(*batch.records, **batch.given, copies=2)
        for history in ({"mode": "backfill"}, {"mode": "replay"}, {"replay": "job-1"}):
            workspace.add(*batch.records, **{**batch.given, **history, "organization": QUIET})
    found = workspace.query(rule["query"], minutes(rule["queryPeriod"]))
    assert QUIET not in {row.get("Organization") for row in found}
    assert all(row.keys() >= columns_of(rule) for row in found)
    return found
