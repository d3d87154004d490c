"""Microsoft's own checker of KQL, where the machine has Node.js and the package."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

VERSION = "12.4.1"
_PACKAGE = "@kusto/language-service-next"
_PREFIX = Path("~/.cache/jira-audit-relay/kusto")
_SCRIPT = Path(__file__).with_name("kusto.js")

COMMAND = f"npm install --prefix {_PREFIX} {_PACKAGE}@{VERSION}"
"""The numbered names of its constructors change with the version, so it is fixed."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query, and the tables and functions that it may name. Functions: parameters in parentheses, and body."""

    text: str
    tables: Mapping[str, Mapping[str, str]]
    functions: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def diagnostics(queries: Sequence[Query]) -> list[list[str]]:
    """Return the errors of each query. Skips the test without the checker, which takes seconds to start."""
    folder = _PREFIX.expanduser() / "node_modules" / _PACKAGE
    node = shutil.which("node")
    if node is None or not _has_version(folder):
        pytest.skip(f"the checker of KQL is not installed: install Node.js, then {COMMAND}")
    asked = [
        {
            "query": each.text,
            "tables": {name: _columns(columns) for name, columns in each.tables.items()},
            "functions": each.functions,
        }
        for each in queries
    ]
    done = subprocess.run(
        [node, str(_SCRIPT), str(folder)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=560,
        check=True,
    )
    found: list[list[str]] = json.loads(done.stdout)
    return found


def _columns(columns: Mapping[str, str]) -> str:
    names = {"boolean": "bool"}
    return f"({', '.join(f'{name}: {names.get(kind, kind)}' for name, kind in columns.items())})"


def _has_version(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "package.json").read_text("utf-8"))["version"] == VERSION)
    except (OSError, ValueError, KeyError):
        return False
