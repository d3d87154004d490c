"""The dashboards of deploy/grafana: what their generator writes, their metrics, and their panels."""

import json
import re
import subprocess
import sys

import pytest

from tests.support.prometheus import DEPLOY, METRICS, faults, panels_of, read_dashboards, selectors

DASHBOARDS = read_dashboards()
EACH = pytest.mark.parametrize("name", DASHBOARDS)
UNITS = {"s", "short", "ops", "bytes", "Bps", "percentunit"}
COLUMNS = 24


def test_the_files_are_what_the_generator_writes():
    """`python deploy/grafana/generate.py --check` ends with 0."""
    command = [sys.executable, DEPLOY / "grafana/generate.py", "--check"]

    assert subprocess.run(command, timeout=240, check=False).returncode == 0
    assert sorted(DASHBOARDS) == ["destinations", "kafka", "organizations", "overview", "replay"]


@EACH
def test_a_query_reads_metrics_that_exist(name):
    """Each name, label and known value of a label is of a catalogue, and each variable is one of the dashboard."""
    variables = {each["name"] for each in DASHBOARDS[name]["templating"]["list"]} | {"__rate_interval"}
    for panel in panels_of(DASHBOARDS[name]):
        for target in panel["targets"]:
            assert [*selectors(target["expr"])]
            assert faults(target["expr"]) == []
            assert {*re.findall(r"\$(\w+)", target["expr"])} <= variables
            assert not re.search(r"\[[A-Z]\]", target["expr"])


@EACH
def test_a_panel_explains_itself(name):
    """It has a title of its own, a sentence, a unit, names for its series, and a place within the 24 columns."""
    panels = panels_of(DASHBOARDS[name])
    places = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert all(target["legendFormat"] for target in panel["targets"])
        assert place["x"] + place["w"] <= COLUMNS
        assert not cells & places
        places |= cells

    assert len({panel["title"] for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_each_metric_is_on_a_dashboard():
    """A metric that no dashboard shows would be seen by nobody."""
    text = json.dumps(DASHBOARDS)

    assert [name for name in METRICS if name not in text] == []


def test_dashboards_ask_for_no_resource_from_outside():
    """No panel, link or text has a URL."""
    assert "http" not in json.dumps(DASHBOARDS)
