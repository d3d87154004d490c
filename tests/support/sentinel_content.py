"""Content for Microsoft Sentinel under deploy/azure/content, and what its rules find in rows of a workspace."""

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
        for _ in range(2):
            workspace.add(*batch.records, **batch.given)
        for history in ({"mode": "backfill"}, {"mode": "replay"}, {"replay": "job-1"}):
            workspace.add(*batch.records, **{**batch.given, **history, "organization": QUIET})
    found = workspace.query(rule["query"], minutes(rule["queryPeriod"]))
    assert QUIET not in {row.get("Organization") for row in found}
    assert all(row.keys() >= columns_of(rule) for row in found)
    return found
