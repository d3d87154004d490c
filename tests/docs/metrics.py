"""Writes the page of metrics from the catalogues: `python -m tests.docs.metrics > docs/metrics.md`."""

import consumer.metrics.catalogue
import producer.metrics.catalogue
import relay.telemetry.traces.metrics
from relay.telemetry.certificates import CERTIFICATE_EXPIRY
from relay.telemetry.metrics import BUILD_INFO, Counter, Gauge, Histogram

CATALOGUES = {
    "producer": producer.metrics.catalogue.CATALOGUE,
    "consumer": consumer.metrics.catalogue.CATALOGUE,
    "telemetry": relay.telemetry.traces.metrics.CATALOGUE,
}
KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}

HEAD = f"""# Metrics

<!-- Written by `python -m tests.docs.metrics` from the catalogues of producer, consumer and telemetry; a test holds it equal. -->

Each process serves `/metrics` in Prometheus' format at `telemetry.listen`.

- A name is `jira_relay_<service>_<thing>_<unit>`, and a counter ends in `_total`.
- Durations are seconds, sizes are bytes, and an instant is seconds since 1970 UTC.
- A state is one gauge for each state, with the label `state`: 1 for the current one, 0 for the others.
- A counter begins at 0 with its organization or destination, so `rate()` sees its first event.
- An organization, or the flow of a destination, has series only in the process that owns it.
  They end when the organization is deleted or another process takes it over, so sum over processes.
- Histograms have no label of an organization: thousands of organizations would make a million series.

## Every process

| metric | kind | labels | meaning |
| --- | --- | --- | --- |
| `{BUILD_INFO[0]}_info` | gauge | `version`, `revision`, `python` | {BUILD_INFO[1]} |
| `{CERTIFICATE_EXPIRY[0]}` | gauge | `setting` | {CERTIFICATE_EXPIRY[1]} |
| `process_…` | gauge, counter | none | Memory, CPU time, start time and, where the system shows them, open files, from Prometheus' client for Python. |
| `python_info` | gauge | `implementation`, `version`, … | The version of Python, from the same client. |
"""


def render_page():
    """Return the page."""
    parts = [HEAD]
    for service, catalogue in CATALOGUES.items():
        parts.append(
            f"\n## {service.capitalize()}\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n"
        )
        parts += [_row(metric) for metric in sorted(catalogue, key=lambda metric: metric.name)]
    return "".join(parts)


def _row(metric):
    labels = ", ".join(_label(label) for label in metric.labels) or "none"
    return f"| `{metric.name}` | {KINDS[metric.kind]} | {labels} | {metric.help} |\n"


def _label(label):
    values = f" ({', '.join(label.values)})" if label.values else ""
    return f"`{label.name}`{values}"


if __name__ == "__main__":
    print(render_page(), end="")  # noqa: T201
