"""Writes the page of metrics from the catalogues: `python -m tests.docs.metrics > docs/metrics.md`."""

from prometheus_client import CollectorRegistry

from consumer.metrics import ConsumerMetrics
from producer.metrics import ProducerMetrics

HEAD = """# Metrics

`/metrics` of each process, on `telemetry.listen`, shows what its services count. Times are seconds, instants seconds since 1970. Written from the
catalogues `producer/metrics.py` and `consumer/metrics/catalogue.py` by `python -m tests.docs.metrics`, and held equal to them by a test.
"""


def render_page():
    """Return the page."""
    parts = [HEAD]
    for title, metrics in (("Producer", ProducerMetrics), ("Consumer", ConsumerMetrics)):
        registry = CollectorRegistry()
        metrics(registry)
        parts.append(f"\n## {title}\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n")
        parts += [_row(collector) for collector in _collectors(registry)]
    return "".join(parts)


def _collectors(registry):
    return sorted(set(registry._collector_to_names), key=lambda collector: collector._name)


def _row(collector):
    kind = collector._type
    name = f"{collector._name}_total" if kind == "counter" else collector._name
    labels = ", ".join(f"`{label}`" for label in collector._labelnames) or "none"
    return f"| `{name}` | {kind} | {labels} | {collector._documentation} |\n"


if __name__ == "__main__":
    print(render_page(), end="")  # noqa: T201
