"""Metrics: the catalogue of the producer, and one method for each event that is a log line and a count.

Enters: facts about rounds, transactions, shards and requests.
Leaves: Prometheus metrics and log lines.
May not know: who reports, or why.
"""

from producer.metrics.events import ProducerMetrics

__all__ = ["ProducerMetrics"]
