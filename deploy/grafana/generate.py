"""Write the dashboards, and the copies of them and of the alerts that the Helm chart needs in its own folder.

`python deploy/grafana/generate.py`; with `--check` it writes nothing, and ends with 1 if a file differs.
"""

import json
import sys
from pathlib import Path
from typing import Any

from destination_panels import DESTINATIONS
from kafka_panels import KAFKA, REPLAY
from organization_panels import ORGANIZATIONS
from overview_panels import OVERVIEW
from panels import Dashboard, Panel

DEPLOY = Path(__file__).parents[1]
FOLDER = DEPLOY / "grafana" / "dashboards"
CHART = DEPLOY / "helm" / "jira-audit-relay" / "files"
DASHBOARDS = (OVERVIEW, ORGANIZATIONS, DESTINATIONS, KAFKA, REPLAY)
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
HEIGHT = {"stat": 4, "timeseries": 8}
COLUMNS = 24
MATCHERS = {
    "[J]": 'job=~"$job"',
    "[O]": 'job=~"$job", organization=~"$organization"',
    "[D]": 'job=~"$job", destination=~"$destination", flow=~"$flow"',
    "[R]": 'job=~"$job", destination=~"$destination"',
}
VALUES = {
    "job": "label_values(jira_relay_build_info, job)",
    "organization": 'label_values(jira_relay_producer_organization_state{job=~"$job"}, organization)',
    "destination": 'label_values(jira_relay_consumer_destination_state{job=~"$job"}, destination)',
    "flow": 'label_values(jira_relay_consumer_destination_state{job=~"$job"}, flow)',
}


def expression(query: str) -> str:
    """Return a query with its matchers."""
    for short, matcher in MATCHERS.items():
        query = query.replace(short, matcher)
    return query


def panel(number: int, made: Panel, x: int, y: int) -> dict[str, Any]:
    """Return one panel as Grafana reads it."""
    options: dict[str, Any] = {
        "tooltip": {"mode": "multi", "sort": "desc"},
        "legend": {"displayMode": "list"},
    }
    if made.kind == "stat":
        options = {
            "reduceOptions": {"calcs": ["lastNotNull"]},
            "colorMode": "none",
            "textMode": "value_and_name",
        }
    return {
        "id": number,
        "type": made.kind,
        "title": made.title,
        "description": made.description,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": made.width, "h": HEIGHT[made.kind]},
        "fieldConfig": {"defaults": {"unit": made.unit}, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": expression(query),
                "legendFormat": legend,
            }
            for index, (query, legend) in enumerate(made.queries)
        ],
    }


def variables(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the filters of a dashboard: the data source, the relay, and these."""
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
    }
    filters = [
        {
            "name": name,
            "label": "Relay" if name == "job" else name.capitalize(),
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": VALUES[name], "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }
        for name in ("job", *names)
    ]
    return [source, *filters]


def dashboard(made: Dashboard) -> dict[str, Any]:
    """Return one dashboard as Grafana reads it; its panels fill rows of 24 columns."""
    panels, x, y, height = [], 0, 0, 0
    for number, each in enumerate(made.panels, 1):
        if x + each.width > COLUMNS or (height and HEIGHT[each.kind] != height):
            x, y = 0, y + height
        height = HEIGHT[each.kind]
        panels.append(panel(number, each, x, y))
        x += each.width
    return {
        "uid": f"jira-relay-{made.title.lower()}",
        "title": f"Jira relay: {made.title}",
        "tags": ["jira-relay"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "links": [{"title": "Jira relay", "type": "dashboards", "tags": ["jira-relay"], "asDropdown": True}],
        "templating": {"list": variables(made.variables)},
        "panels": panels,
    }


def to_text(made: dict[str, Any]) -> str:
    """Return a dashboard as JSON with a line for each panel, so that a change shows as one line."""
    panels = ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in made["panels"])
    rest = json.dumps(made | {"panels": []}, indent=1, ensure_ascii=False)
    return rest.replace('"panels": []', f'"panels": [\n{panels}\n ]') + "\n"


def files() -> dict[Path, str]:
    """Return the content of every file that this program writes."""
    texts = {f"{made.title.lower()}.json": to_text(dashboard(made)) for made in DASHBOARDS}
    written = {
        folder / name: text for folder in (FOLDER, CHART / "dashboards") for name, text in texts.items()
    }
    return written | {CHART / "alerts.yml": (DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8")}


def main() -> int:
    """Write or check every file."""
    different = [
        file for file, text in files().items() if not file.exists() or file.read_text("utf-8") != text
    ]
    if "--check" in sys.argv:
        return 1 if different else 0
    for file in different:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(files()[file], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
