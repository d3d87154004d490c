"""Checks the pure parts for `make cover`: `python -m tests.cover coverage.json` names each that is not fully covered."""

import fnmatch
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def pure_parts(root: Path = ROOT) -> list[str]:
    """Return the patterns of the files that must be fully covered."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    return list(project["tool"]["jira-relay"]["cover"]["pure"])


def shortfalls(report: Mapping[str, Any], patterns: Sequence[str]) -> Iterator[str]:
    """Yield a line for each pattern without a measured file, and for each matched file with a gap in lines or branches."""
    files = report["files"]
    for pattern in patterns:
        matched = sorted(fnmatch.filter(files, pattern))
        if not matched:
            yield f"{pattern}: no such file was measured"
        for name in matched:
            lines = files[name]["missing_lines"]
            branches = [f"{start} to {end}" for start, end in files[name]["missing_branches"]]
            if lines or branches:
                yield f"{name}: lines {lines}, branches {branches} are not covered"


if __name__ == "__main__":
    found = list(shortfalls(json.loads(Path(sys.argv[1]).read_text("utf-8")), pure_parts()))
    for line in found:
        print(line)  # noqa: T201
    sys.exit(f"{len(found)} pure parts are not fully covered." if found else 0)
