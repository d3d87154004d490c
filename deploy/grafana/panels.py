"""The panels of the dashboards. `generate.py` makes Grafana's JSON of them.

In a query, [J] is the matcher of the relay, [O] of its organizations, and [D] of its destinations and flows.
"""

from typing import NamedTuple


class Panel(NamedTuple):
    """One panel. `queries`: expressions with the names of their series."""

    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    width: int = 8


class Dashboard(NamedTuple):
    """One dashboard. `variables`: the names of its filters, beside that of the relay."""

    title: str
    variables: tuple[str, ...]
    panels: tuple[Panel, ...]


P, C, D = "jira_relay_producer", "jira_relay_consumer", "jira_relay_proof"
NAMED = "{{destination}} {{flow}}"
BY = "destination, flow"
UNPAUSED = f'unless on (job, organization) {P}_organization_state{{[O], state="paused"}} == 1'


def quantiles(metric: str, matcher: str, by: str = "") -> tuple[tuple[str, str], ...]:
    """Return the queries of the median and the 95th percentile of a histogram. `by`: a label that is kept."""
    kept, name = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    return tuple(
        (
            f"histogram_quantile({part}, sum by ({kept}) (rate({metric}_bucket{{{matcher}}}[$__rate_interval])))",
            f"{name}{label}",
        )
        for part, label in ((0.5, "median"), (0.95, "95 %"))
    )


def rate(metric: str, matcher: str, by: str) -> str:
    """Return the query of the rate of a counter by labels."""
    return f"sum by ({by}) (rate({metric}{{{matcher}}}[$__rate_interval]))"


def age(metric: str) -> str:
    """Return the query of the age of an instant of each organization that is not paused."""
    return f"time() - max by (job, organization) ({P}_{metric}_timestamp_seconds{{[O]}}) {UNPAUSED}"
