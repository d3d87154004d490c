"""The queries of alerts and dashboards on a real Prometheus that scrapes the relay's own server."""

import asyncio
import contextlib
import re
from contextlib import AsyncExitStack

import pytest
from ruamel.yaml import YAML

from tests.support.prometheus import (
    ALERTS,
    NEEDS_PROMETHEUS,
    panels_of,
    read_alerts,
    read_dashboards,
    run_prometheus,
)
from tests.support.telemetry_world import healthy_relay, serve_metrics, troubled_relay

pytestmark = NEEDS_PROMETHEUS

OF_TIME = {
    "JiraRelayDefect",
    "JiraRelayTransactionsFail",
    "JiraRelayProcessDown",
    "JiraRelayProducerAbsent",
    "JiraRelayConsumerAbsent",
    "JiraRelayDestinationGone",
    "JiraRelayRestarts",
}
"""Alerts that need a change while Prometheus looks, or a process that is gone; promtool plays them."""
SELECTOR = re.compile(r"\b(?:jira_relay_|process_|up\b)[a-z_]*(?:\{[^}]*\})?")


def write_rules(folder):
    """Write the rules without their waits."""
    yaml = YAML(typ="safe")
    rules = yaml.load(ALERTS)
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    file = folder / "alerts.yml"
    with file.open("w", encoding="utf-8") as stream:
        yaml.dump(rules, stream)
    return str(file)


def config(rules, targets):
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
        ],
    }


async def wait_for_alerts(prometheus, expected):
    """Return the active alerts once they are these, of the relay in trouble alone; after a minute those of the last look.

    A busy machine misses a scrape, and the process counts as down until the next one.
    """
    found = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60):
            while names_of(found) != expected or of_healthy(found):
                await asyncio.sleep(0.1)
                found = await prometheus.alerts()
    return found


def names_of(alerts):
    return {each["labels"]["alertname"] for each in alerts}


def of_healthy(alerts):
    return [each for each in alerts if each["labels"].get("job") == "healthy"]


async def wait_for_result(prometheus, query):
    """Return whether the query has a result within half a minute: a missed scrape ends all series until the next one."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(30):
            while not await prometheus.query(query):
                await asyncio.sleep(0.2)
            return True
    return False


async def check_queries(prometheus):
    """Evaluate every expression; each series of it exists, and a panel without a filter has a result."""
    queries = [(rule["expr"], False) for rule in read_alerts()]
    for dashboard in read_dashboards().values():
        queries += [(each["expr"], True) for panel in panels_of(dashboard) for each in panel["targets"]]
    series = set()
    for query, of_panel in queries:
        expression = query.replace("$__rate_interval", "1m")
        expression = re.sub(r"\$\w+", ".*", expression)
        series |= set(SELECTOR.findall(expression))
        if of_panel and "> 0" not in expression:
            assert await wait_for_result(prometheus, expression), query
        else:
            await prometheus.query(expression)
    missing = [each for each in sorted(series) if not await prometheus.query(f"last_over_time({each}[1m])")]
    assert missing == [], missing


async def test_every_query_finds_its_series_and_every_alert_its_texts(tmp_path):
    """All alerts that one look can show fire for a relay in trouble, with complete texts, and none for one that is well."""
    expected = {rule["alert"] for rule in read_alerts()} - OF_TIME
    async with AsyncExitStack() as stack:
        targets = {
            "troubled": await stack.enter_async_context(serve_metrics(troubled_relay())),
            "healthy": await stack.enter_async_context(serve_metrics(healthy_relay())),
        }
        prometheus = await stack.enter_async_context(
            run_prometheus(tmp_path, config(write_rules(tmp_path), targets))
        )
        await prometheus.wait_for('count(count_over_time(up{job=~"troubled|healthy"}[1m]) > 1) == 2', 60)
        alerts = await wait_for_alerts(prometheus, expected)
        await check_queries(prometheus)

    assert names_of(alerts) == expected
    assert of_healthy(alerts) == []
    for text in (text for each in alerts for text in each["annotations"].values()):
        assert not re.search(r"<no value>|<error|NaN|\{\{|  ", text), text
    (many,) = (each for each in alerts if each["labels"]["alertname"] == "JiraRelayOrganizationsFailing")
    assert {"globex", "initech"} <= set(re.split(r"\W+", many["annotations"]["description"]))


async def test_a_wrong_query_is_refused(tmp_path):
    """The check above can fail."""
    async with run_prometheus(tmp_path, {}) as prometheus:
        await prometheus.wait_for("vector(1)")
        with pytest.raises(ValueError, match="parse error"):
            await prometheus.query("sum by (")
